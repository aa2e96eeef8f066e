package intercom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxAttempts  = 4       // of calls that may be repeated
	maxAnswer    = 8 << 20 // bytes; a page of 150 contacts is well under one
	maxErrorBody = 64 << 10
)

// A kind says what may be done with a call whose outcome is in doubt.
type kind int

const (
	read       kind = iota // changes nothing
	idempotent             // doing it twice is doing it once
	once                   // a second one would be seen: never repeated
)

// A call is one request to Intercom. Op is the method and the path's template,
// such as "GET /contacts/{id}": what errors and logs show of it.
type call struct {
	op    string
	kind  kind
	path  []string    // segments, escaped when the request is made
	query string      // already encoded
	body  any         // nil: none
	out   any         // where the answer is decoded to
	ok    func() bool // reports whether the decoded answer has what was promised; nil: anything goes
}

// do makes a call. Reads and idempotent writes wait for pacing and are tried
// again on 408, 429, 5xx and broken connections, until ctx ends or four attempts
// are over. What was once in doubt stays so: a second attempt that is refused
// says nothing of the first. The error is always an [*Error].
func (c *Client) do(ctx context.Context, l call) error {
	payload, err := encode(l.body)
	if err != nil {
		return &Error{Op: l.op, Outcome: OutcomeRefused, Message: "the request cannot be written as JSON"}
	}
	doubt := false // an earlier attempt may have been carried out
	for n := 1; ; n++ {
		e := c.admit(ctx, l)
		if e == nil {
			if e = c.attempt(ctx, l, payload); e == nil {
				return nil
			}
		}
		doubt = doubt || e.Outcome == OutcomeUnknown
		if l.kind == once || n == maxAttempts || !e.worthRepeating() || hurried(ctx, e) || ctx.Err() != nil || !c.pause(ctx, l, n, e) {
			if doubt && l.kind == idempotent {
				e.Outcome = OutcomeUnknown
			}
			return e
		}
	}
}

// pause sleeps before the next attempt and reports whether there may be one.
// After a 429 the pacer does the waiting.
func (c *Client) pause(ctx context.Context, l call, n int, e *Error) bool {
	c.logger.LogAttrs(ctx, slog.LevelDebug, "intercom call is repeated",
		slog.String("op", l.op), slog.Int("attempt", n), slog.Int("status", e.Status), slog.String("request_id", e.RequestID))
	if e.Status == http.StatusTooManyRequests {
		return ctx.Err() == nil
	}
	d := c.backoff(n)
	if e.RetryAt.After(time.Now().Add(d)) {
		d = min(time.Until(e.RetryAt), time.Minute)
	}
	return sleep(ctx, d) == nil
}

// backoff is 250 ms after the first attempt, doubling, each plus up to as much
// again, so that processes that failed together do not return together.
func backoff(attempt int) time.Duration {
	d := 250 * time.Millisecond << (attempt - 1)
	return d + rand.N(d)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt makes the request once and tells how it ended; nil means done.
func (c *Client) attempt(ctx context.Context, l call, payload []byte) *Error {
	timeout := c.writeTimeout
	if l.kind == read {
		timeout = c.readTimeout
	}
	if err := ctx.Err(); err != nil {
		return &Error{Op: l.op, Outcome: OutcomeNotSent, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var sent wire
	req, err := c.request(httptrace.WithClientTrace(ctx, sent.trace()), l, payload)
	if err != nil {
		return &Error{Op: l.op, Outcome: OutcomeRefused, Message: "the request cannot be built"}
	}
	start := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return c.broken(l, &sent, err)
	}
	defer resp.Body.Close()

	c.observe(ctx, l, resp, start)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return c.answered(l, resp)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.broken(l, nil, err)
	case len(raw) > maxAnswer:
		return c.unreadable(l, resp, "the answer is too long")
	case l.out == nil:
		return nil
	}
	if err := json.Unmarshal(raw, l.out); err != nil {
		return c.unreadable(l, resp, "the answer is not the JSON that was expected")
	}
	if l.ok != nil && !l.ok() {
		return c.unreadable(l, resp, "the answer lacks the id that was expected")
	}
	return nil
}

func (c *Client) request(ctx context.Context, l call, payload []byte) (*http.Request, error) {
	method, _, _ := strings.Cut(l.op, " ")
	segments := make([]string, len(l.path))
	for i, s := range l.path {
		segments[i] = url.PathEscape(s)
	}
	target := c.base.String() + "/" + strings.Join(segments, "/")
	if l.query != "" {
		target += "?" + l.query
	}

	var body io.Reader
	if payload != nil {
		body = bytes.NewReader(payload)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Intercom-Version", Version)
	req.Header.Set("User-Agent", userAgent)
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// observe tells the pacer what the answer says about the limits.
func (c *Client) observe(ctx context.Context, l call, resp *http.Response, sent time.Time) {
	c.pacer.observe(ctx, resp.Header, resp.StatusCode, sent)
	if resp.StatusCode == http.StatusTooManyRequests {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "intercom's rate limit is used up; calls pause",
			slog.String("op", l.op), slog.Duration("pause", time.Until(c.pacer.shut()).Round(time.Millisecond)))
	}
}

func encode(body any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // bodies are HTML: keep them readable in Intercom's own logs
	if err := enc.Encode(body); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// A wire remembers how far a request got. The transport reports each connection
// it looks for and each that it got; the first byte of a request follows only
// after the latter. A transport that repeats a POST does so only when nothing
// was written, and looks for a connection again: that resets got.
type wire struct {
	sought, got atomic.Bool
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { w.got.Store(false); w.sought.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { w.got.Store(true) },
	}
}

// untouched reports that no byte of the request can have left. A transport that
// does not report at all leaves it in doubt.
func (w *wire) untouched() bool {
	return w != nil && w.sought.Load() && !w.got.Load()
}

// broken is the error of a call that got no whole answer. Sent is nil when part
// of an answer was there.
func (c *Client) broken(l call, sent *wire, err error) *Error {
	e := &Error{Op: l.op, Outcome: OutcomeUnknown, Err: withoutURL(err)}
	if sent.untouched() {
		e.Outcome = OutcomeNotSent
	}
	return e
}

// unreadable is the error of a 2xx whose body is of no use: whatever was asked
// has probably been done.
func (c *Client) unreadable(l call, resp *http.Response, why string) *Error {
	return &Error{Op: l.op, Status: resp.StatusCode, Outcome: OutcomeUnknown, Message: why, RequestID: resp.Header.Get("X-Request-Id")}
}

// withoutURL drops what net/http puts around an error: method and address say
// less than Op, and addresses have no place in logs.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
