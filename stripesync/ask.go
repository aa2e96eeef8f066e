package stripesync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// askTimeout is how long an operator who waits is let wait for one answer.
const askTimeout = 15 * time.Second

// A reply is Stripe's answer to an operator's question.
type reply struct {
	raw  []byte
	skew time.Duration // how far Stripe's clock is ahead of ours for certain; behind when negative
}

// ask sends one request, once. It is for what an operator asks for: the sync
// reads through its client's get, which tries again. The key is the idempotency
// key of a write, and empty for a read. The error is an *AskError.
func (s *Sync) ask(ctx context.Context, method, path string, values *form.Values, key string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	x := &exchange{}
	params := &stripe.Params{Context: context.WithValue(ctx, exchangeKey{}, x)}
	if key != "" {
		params.SetIdempotencyKey(key)
	}
	var body struct{ stripe.APIResource }
	sent := s.now()
	err := s.stripe.backend.CallRaw(method, path, s.stripe.key, values, params, &body)
	received := s.now()
	r := reply{}
	if !x.date.IsZero() {
		r.skew = certainSkew(sent, received, x.date)
	}
	var said *stripe.Error
	switch {
	case err == nil:
		r.raw = bytes.TrimSpace(body.LastResponse.RawJSON)
		return r, nil
	case errors.As(err, &said):
		return r, &AskError{Method: method, Path: path, Status: said.HTTPStatusCode, Code: string(said.Code), Said: cmp.Or(said.Msg, "no reason given")}
	case x.status >= 400:
		return r, &AskError{Method: method, Path: path, Status: x.status, Said: "no reason given"}
	case x.status != 0: // the error quotes the answer, which may hold a customer's address
		err = errors.New("the answer is cut short or not Stripe's JSON")
	}
	return r, &AskError{Method: method, Path: path, err: err}
}

// certainSkew is how far a Date header, written between sent and received and
// cut to whole seconds, is certainly ahead of our clock, or behind when negative.
func certainSkew(sent, received, date time.Time) time.Duration {
	if ahead := date.Sub(received); ahead > 0 {
		return ahead
	}
	if behind := sent.Sub(date.Add(time.Second)); behind > 0 {
		return -behind
	}
	return 0
}

// An AskError is a question of an operator's that Stripe refused, or did not
// answer.
type AskError struct {
	Method, Path string
	Status       int    // 0: there was no answer that could be read
	Code         string // Stripe's, such as resource_missing
	Said         string // Stripe's message
	err          error
}

// Error is one line, with what to do where Stripe's own words do not say it.
func (e *AskError) Error() string {
	what := strings.ReplaceAll(strings.Split(strings.TrimPrefix(e.Path, "/v1/"), "/")[0], "_", " ")
	switch {
	case e.Status == 0:
		return fmt.Sprintf("%s %s: %v", e.Method, e.Path, e.err)
	case e.Status == http.StatusUnauthorized:
		return "Stripe does not accept the API key (401): " + e.Said
	case e.Status == http.StatusForbidden && e.Method == http.MethodGet:
		return fmt.Sprintf("the API key may not read %s (403); give it the permission %s in Stripe's dashboard", what, cmp.Or(e.Permission(), "to read them"))
	case e.Status == http.StatusForbidden:
		return fmt.Sprintf("the API key may not write %s (403); give it the permission %s in Stripe's dashboard, if only for now", what, cmp.Or(e.Permission(), "to write them"))
	}
	return fmt.Sprintf("Stripe answered %d to %s %s: %s", e.Status, e.Method, e.Path, e.Said)
}

func (e *AskError) Unwrap() error { return e.err }

// Permission is the permission that a restricted key lacks, as Stripe names it in
// a refusal, such as rak_charge_read; empty when it does not.
func (e *AskError) Permission() string {
	if found := permission.FindStringSubmatch(e.Said); found != nil {
		return "rak_" + found[1]
	}
	return ""
}

// permission matches "Having the 'rak_charge_read' permission" and
// "Enabling \"Charges Read\" ('charge_read') permissions".
var permission = regexp.MustCompile(`'(?:rak_)?([a-z_]+_(?:read|write))'`)

// again reports whether the same question may be answered later.
func again(err error) bool {
	var e *AskError
	return errors.As(err, &e) &&
		(e.Status == 0 || e.Status == http.StatusConflict || e.Status == http.StatusTooManyRequests || e.Status >= 500)
}
