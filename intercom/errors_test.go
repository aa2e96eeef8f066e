package intercom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// classes are what the three predicates say of an error.
func classes(err error) string {
	var out []string
	for name, is := range map[string]bool{"refused": Refused(err), "unknown": Unknown(err), "not sent": NotSent(err)} {
		if is {
			out = append(out, name)
		}
	}
	return strings.Join(out, " and ")
}

// Every status, and whether a message answered so may have been sent.
func TestError_ByStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status  int
		want    string
		limited bool
	}{
		{400, "refused", false}, {401, "refused", false}, {402, "refused", false}, {403, "refused", false},
		{404, "refused", false}, {405, "refused", false}, {406, "refused", false}, {409, "refused", false},
		{410, "refused", false}, {413, "refused", false}, {415, "refused", false}, {422, "refused", false},
		{429, "refused", true},
		{408, "unknown", false}, {500, "unknown", false}, {502, "unknown", false}, {503, "unknown", false},
		{504, "unknown", false}, {529, "unknown", false},
		{302, "unknown", false}, {307, "unknown", false}, {499, "unknown", false}, // undocumented: doubt
	}
	bodies := map[string]string{
		"envelope": envelope("some_code", "Some words"), "html": "<html>Bad gateway</html>", "nothing": "",
		"null request id": `{"type":"error.list","request_id":null,"errors":[{"code":"x"}]}`,
		"no errors":       `{"type":"error.list","errors":[]}`,
	}
	for _, tt := range tests {
		for kind, body := range bodies {
			t.Run(fmt.Sprintf("%d with %s", tt.status, kind), func(t *testing.T) {
				t.Parallel()
				var seen requests
				base := serve(t, func(w http.ResponseWriter, r *http.Request) {
					seen.note(r)
					w.Header().Set("Location", "/elsewhere")
					answer(w, tt.status, body)
				})
				err := sendMessage(t.Context(), newTestClient(t, base))
				if got := classes(err); got != tt.want {
					t.Errorf("class\n got %s\nwant %s", got, tt.want)
				}
				if RateLimited(err) != tt.limited {
					t.Errorf("RateLimited is %v", RateLimited(err))
				}
				var e *Error
				if !errors.As(err, &e) || e.Status != tt.status || e.Op != "POST /messages" {
					t.Fatalf("error is %#v", err)
				}
				if kind == "envelope" && (e.Code != "some_code" || e.Message != "Some words" || e.RequestID != "req-1") {
					t.Errorf("envelope was read as %q, %q, %q", e.Code, e.Message, e.RequestID)
				}
				if seen.count() != 1 {
					t.Errorf("the message was posted %d times", seen.count())
				}
			})
		}
	}
}

func sendMessage(ctx context.Context, c *Client) error {
	_, err := c.CreateMessage(ctx, Message{From: "991267716", To: "6762f0", Role: "user", Body: "<p>Hi Ana</p>"})
	return err
}

func TestError_PredicatesOfOtherErrors(t *testing.T) {
	t.Parallel()
	if got := classes(nil); got != "" {
		t.Errorf("no error is %s", got)
	}
	if got := classes(errors.New("something else")); got != "unknown" {
		t.Errorf("a foreign error is %s, want unknown", got)
	}
	wrapped := fmt.Errorf("deliver: %w", &Error{Status: 404, Outcome: OutcomeRefused})
	if classes(wrapped) != "refused" || !Gone(wrapped) || RateLimited(wrapped) {
		t.Errorf("a wrapped 404 is %s, gone %v, limited %v", classes(wrapped), Gone(wrapped), RateLimited(wrapped))
	}
}

// Nothing that identifies a person, and no token, gets into errors or logs, even
// where Intercom echoes it.
func TestError_IsDiscreet(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-RateLimit-Reset", fmt.Sprint(time.Now().Unix()))
		code := http.StatusConflict
		if r.Method == http.MethodGet {
			code = http.StatusInternalServerError
		}
		answer(w, code, envelope("conflict", "Contact <ana@x.io> with token "+testToken+" exists with id=6762f0"))
	})
	c := newTestClient(t, base, func(cfg *Config) { cfg.Logger = logger(&log) })
	errs := []error{
		sendMessage(t.Context(), c),
		func() error { _, err := c.SearchContacts(t.Context(), []string{"ana@x.io"}); return err }(),
		func() error { _, err := c.Contact(t.Context(), "6762f0"); return err }(),
		c.TagContact(t.Context(), "6762f0", "1"),
	}
	for _, err := range errs {
		for _, secret := range []string{testToken, "ana@x.io", "Hi Ana", base} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows %q\n got %s", secret, err)
			}
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log shows %q\n got %s", secret, log.String())
			}
		}
		if !strings.Contains(err.Error(), "id=6762f0") {
			t.Errorf("the error lost the id\n got %s", err)
		}
	}
	if log.Len() == 0 {
		t.Error("nothing was logged about the repeated reads")
	}
}

func TestError_Text(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  Error
		want string
		fix  string
	}{
		{
			Error{Op: "POST /messages", Status: 403, Code: "api_plan_restricted", Message: "Active subscription needed.", RequestID: "72b6", Outcome: OutcomeRefused},
			"intercom: POST /messages: 403 api_plan_restricted: Active subscription needed. (request 72b6)",
			"plan does not include this",
		},
		{
			Error{Op: "GET /me", Status: 401, Code: "unauthorized", Message: "Access Token Invalid", Outcome: OutcomeRefused},
			"intercom: GET /me: 401 unauthorized: Access Token Invalid",
			"INTERCOM_ACCESS_TOKEN",
		},
		{
			Error{Op: "POST /tickets", Err: context.DeadlineExceeded},
			"intercom: POST /tickets: context deadline exceeded (outcome unknown)", "",
		},
		{
			Error{Op: "POST /tickets", Err: errors.New("dial tcp 127.0.0.1:1: connection refused"), Outcome: OutcomeNotSent},
			"intercom: POST /tickets: dial tcp 127.0.0.1:1: connection refused (not sent)", "INTERCOM_API_BASE",
		},
		{
			Error{Op: "GET /tags", Status: 403, Outcome: OutcomeRefused},
			"intercom: GET /tags: 403", "the permission for GET /tags",
		},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("text\n got %s\nwant %s", got, tt.want)
		}
		if got := tt.err.Fix(); !strings.Contains(got, tt.fix) || (tt.fix == "") != (got == "") {
			t.Errorf("fix of %s\n got %q\nwant %q in it", tt.want, got, tt.fix)
		}
	}
}
