package intercom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// What may be repeated is, what may not is not.
func TestRetry(t *testing.T) {
	t.Parallel()
	calls := map[string]struct {
		call func(context.Context, *Client) error
		once bool
	}{
		"search": {call: func(ctx context.Context, c *Client) error {
			_, err := c.SearchContacts(ctx, []string{"a@x.io"})
			return err
		}},
		"contact":     {call: func(ctx context.Context, c *Client) error { _, err := c.Contact(ctx, "c0"); return err }},
		"tag contact": {call: func(ctx context.Context, c *Client) error { return c.TagContact(ctx, "c0", "1") }},
		"create tag":  {call: func(ctx context.Context, c *Client) error { _, err := c.CreateTag(ctx, "x"); return err }},
		"message":     {call: sendMessage, once: true},
		"ticket": {once: true, call: func(ctx context.Context, c *Client) error {
			_, err := c.CreateTicket(ctx, Ticket{Type: "1", Contact: "c0", Title: "x"})
			return err
		}},
		"ticket type": {once: true, call: func(ctx context.Context, c *Client) error { _, err := c.CreateTicketType(ctx, "x", ""); return err }},
		"attribute": {once: true, call: func(ctx context.Context, c *Client) error {
			_, err := c.CreateTicketTypeAttribute(ctx, "1", "x", "")
			return err
		}},
	}
	faults := map[string]struct {
		fault  http.HandlerFunc
		repeat bool
	}{
		"500":      {func(w http.ResponseWriter, _ *http.Request) { answer(w, 500, "") }, true},
		"503 html": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 503, "<html>") }, true},
		"408":      {func(w http.ResponseWriter, _ *http.Request) { answer(w, 408, envelope("request_timeout", "")) }, true},
		"reset": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				reset(conn)
			}
		}, true},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"id":"1`) }, true},
		"404":            {func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, envelope("not_found", "User Not Found")) }, false},
		"401": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 401, envelope("unauthorized", "Access Token Invalid"))
		}, false},
		"422": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 422, envelope("data_invalid", "")) }, false},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.Path)
			answer(w, 307, "")
		}, false},
	}
	for name, call := range calls {
		for kind, f := range faults {
			if name == "tag contact" && kind == "half an answer" {
				continue // its answer is not looked at
			}
			t.Run(name+" meets "+kind, func(t *testing.T) {
				t.Parallel()
				// A fault at first, then all is well: succeeds if it may be repeated.
				var n atomic.Int32
				base := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if n.Add(1) <= 2 {
						f.fault(w, r)
						return
					}
					answer(w, 200, `{"id":"1","data":[]}`)
				})
				want, failed := int32(3), false
				if call.once || !f.repeat {
					want, failed = 1, true
				}
				err := call.call(t.Context(), newTestClient(t, base))
				if n.Load() != want || (err != nil) != failed {
					t.Errorf("%d requests and %v; want %d requests and failure %v", n.Load(), err, want, failed)
				}

				// The fault for ever: ends.
				n.Store(-1000)
				if err := call.call(t.Context(), newTestClient(t, base)); err == nil {
					t.Error("want an error")
				}
				want = maxAttempts
				if failed {
					want = 1
				}
				if got := n.Load() + 1000; got != want {
					t.Errorf("gave up after %d requests, want %d", got, want)
				}
			})
		}
	}
}

func TestRetry_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int32
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		cancel()
		answer(w, 500, "")
	})
	if _, err := newTestClient(t, base).Me(ctx); err == nil || n.Load() != 1 {
		t.Errorf("%d requests, error %v", n.Load(), err)
	}
}

// An idempotent write that may have been done stays in doubt, however its last
// attempt failed.
func TestRetry_KeepsDoubt(t *testing.T) {
	t.Parallel()
	var first atomic.Bool
	c := newTestClient(t, "http://127.0.0.1:1", func(cfg *Config) {
		tr := transport()
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			if first.Swap(true) {
				return nil, errors.New("no route")
			}
			client, server := net.Pipe()
			go func() { swallow(server); _ = server.Close() }()
			return client, nil
		}
		cfg.HTTP = &http.Client{Transport: tr}
	})
	if err := c.TagContact(t.Context(), "c0", "1"); classes(err) != "unknown" {
		t.Errorf("class %q of %v", classes(err), err)
	}
}

// A repetition that is refused does not say that the first attempt did nothing:
// the contact may have lost its tag by it.
func TestRetry_KeepsDoubtWhenRefused(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			answer(w, 500, "")
			return
		}
		answer(w, 404, envelope("not_found", "User Not Found"))
	})
	c := newTestClient(t, base)
	if err := c.TagContact(t.Context(), "c0", "1"); classes(err) != "unknown" || !Gone(err) || n.Load() != 2 {
		t.Errorf("class %q of %v, after %d requests", classes(err), err, n.Load())
	}
	if err := c.TagContact(t.Context(), "c0", "1"); classes(err) != "refused" || !Gone(err) {
		t.Errorf("class %q of %v", classes(err), err)
	}
}

func TestAnswers_AreBounded(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		_, _ = io.WriteString(w, `{"id":"`)
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = 'x'
		}
		for range 2 * maxAnswer >> 20 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	if _, err := newTestClient(t, base).Me(t.Context()); err == nil {
		t.Error("read an endless answer")
	} else if fmt.Sprint(err) != "intercom: GET /me: 200: the answer is too long" {
		t.Errorf("got %v", err)
	}
}
