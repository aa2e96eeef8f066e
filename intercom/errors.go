package intercom

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// An Outcome says what a failed call may have done.
type Outcome int

const (
	OutcomeUnknown Outcome = iota // it may have been done: never repeat blindly
	OutcomeRefused                // it was answered with no, or was wrong before it left: not done
	OutcomeNotSent                // no byte of it left us: not done
)

// An Error is a call that failed. Every method of [Client] that talks to
// Intercom fails with one. Its text is one line, for logs, and holds no token, no
// address and nothing of the request's body.
type Error struct {
	Op        string // method and path's template: "POST /messages"
	Status    int    // of the answer; 0 when there was none
	Code      string // Intercom's: "rate_limit_exceeded"; empty when it gave none
	Message   string // Intercom's words, addresses removed, or ours
	RequestID string // Intercom's, for its support; often empty
	Outcome   Outcome
	RetryAt   time.Time // machine time; when the limits allow calls again; zero: not stated
	Err       error     // the cause, when there was no answer

	canonical string // of a 410: the contact that took this one's place
	unpaced   bool   // pacing did not let it leave
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("intercom: ")
	b.WriteString(e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
		if e.Code != "" {
			b.WriteString(" " + e.Code)
		}
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	switch {
	case e.Outcome == OutcomeNotSent:
		b.WriteString(" (not sent)")
	case e.Outcome == OutcomeUnknown && !strings.HasPrefix(e.Op, "GET "):
		b.WriteString(" (outcome unknown)")
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Fix is what an operator can do about the error, in a few words; empty when
// there is nothing to do but wait.
func (e *Error) Fix() string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return "check INTERCOM_ACCESS_TOKEN, and that INTERCOM_API_BASE is the region of the workspace"
	case e.Code == "api_plan_restricted":
		return "the workspace's Intercom plan does not include this; ask Intercom or choose another plan"
	case e.Status == http.StatusForbidden:
		return "give the app the permission for " + e.Op + " on its Authentication page in Intercom's Developer Hub"
	case e.Code == "intercom_version_invalid":
		return "Intercom no longer offers version " + Version + " of its API; a newer Dunlin is needed"
	case e.Outcome == OutcomeNotSent && e.RetryAt.IsZero() && !e.unpaced:
		return "check that this machine can reach INTERCOM_API_BASE"
	}
	return ""
}

// Refused reports that a call was definitely not done: Intercom said no, or the
// call was wrong before it left. Unless it is [RateLimited], the same call will
// be refused again.
func Refused(err error) bool { return outcome(err) == OutcomeRefused }

// NotSent reports that no byte of the call left this machine: definitely not
// done, and worth another try.
func NotSent(err error) bool { return outcome(err) == OutcomeNotSent }

// Unknown reports that a call may have been carried out. It is true of every
// error that is neither Refused nor NotSent, those of other packages included.
func Unknown(err error) bool { return err != nil && outcome(err) == OutcomeUnknown }

// RateLimited reports that a call was not done because a limit is used up:
// refused with 429, or held back because another call was. Its [Error.RetryAt]
// says until when.
func RateLimited(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Outcome != OutcomeUnknown &&
		(e.Status == http.StatusTooManyRequests || e.Outcome == OutcomeNotSent && !e.RetryAt.IsZero())
}

// Gone reports that what a call was about is not there: never was, or was
// deleted, archived or merged away.
func Gone(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

func outcome(err error) Outcome {
	var e *Error
	if errors.As(err, &e) {
		return e.Outcome
	}
	return OutcomeUnknown
}

// definite holds the answers that mean "not done". Intercom promises nothing
// about any of them; a server that refuses before it acts is what they say. 408
// and 5xx are missing on purpose, and so is everything rare: doubt is unknown.
var definite = map[int]bool{
	http.StatusBadRequest:                  true,
	http.StatusUnauthorized:                true,
	http.StatusPaymentRequired:             true,
	http.StatusForbidden:                   true,
	http.StatusNotFound:                    true,
	http.StatusMethodNotAllowed:            true,
	http.StatusNotAcceptable:               true,
	http.StatusConflict:                    true,
	http.StatusGone:                        true,
	http.StatusLengthRequired:              true,
	http.StatusRequestEntityTooLarge:       true,
	http.StatusRequestURITooLong:           true,
	http.StatusUnsupportedMediaType:        true,
	http.StatusUnprocessableEntity:         true,
	http.StatusTooManyRequests:             true,
	http.StatusRequestHeaderFieldsTooLarge: true,
}

// answered is the error of an answer that is not 2xx. Its body may be the
// documented envelope, HTML from the edge, or nothing.
func (c *Client) answered(l call, resp *http.Response) *Error {
	e := &Error{Op: l.op, Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id")}
	if definite[resp.StatusCode] {
		e.Outcome = OutcomeRefused
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		e.RetryAt = c.pacer.shut()
	case http.StatusServiceUnavailable:
		if d, ok := retryAfter(resp.Header); ok {
			e.RetryAt = time.Now().Add(d)
		}
	case http.StatusGone:
		e.canonical = canonicalContact(resp.Header.Get("Link"))
	}

	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	var envelope struct {
		RequestID text `json:"request_id"`
		Errors    []struct {
			Code    text `json:"code"`
			Message text `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(raw, &envelope) != nil {
		return e
	}
	if envelope.RequestID != "" {
		e.RequestID = clip(string(envelope.RequestID), 64)
	}
	if len(envelope.Errors) > 0 {
		e.Code = clip(string(envelope.Errors[0].Code), 64)
		e.Message = c.discreet(string(envelope.Errors[0].Message))
	}
	return e
}

// discreet shortens a message of Intercom's and takes out whatever looks like an
// e-mail address, and our token: both have been seen echoed by APIs.
func (c *Client) discreet(s string) string {
	words := strings.Fields(strings.ReplaceAll(s, c.token, "[token]"))
	for i, w := range words {
		if strings.Contains(w, "@") {
			words[i] = "[address]"
		}
	}
	return clip(strings.Join(words, " "), 200)
}

// clip keeps the first n bytes of s, whole characters, on one line.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// worthRepeating reports whether the same call might succeed in a moment.
func (e *Error) worthRepeating() bool {
	switch {
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusRequestTimeout, e.Status >= 500:
		return true
	case e.Status >= 200 && e.Status <= 299: // an answer that was cut short
		return true
	case e.Status != 0 || e.Outcome == OutcomeRefused:
		return false
	}
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return !errors.As(e.Err, &authority) && !errors.As(e.Err, &host) && !errors.As(e.Err, &invalid)
}

// wrong is a call that is refused before it leaves: what says why.
func wrong(op, what string) *Error {
	return &Error{Op: op, Outcome: OutcomeRefused, Message: what}
}
