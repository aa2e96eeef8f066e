package sandbox

import (
	"net"
	"net/http"
	"strconv"
)

// A FaultKind is a way for an answer to go wrong.
type FaultKind int

// The kinds of faults (Intercom: 10, item 9).
const (
	FaultNone     FaultKind = iota
	FaultReset              // the connection is reset before a byte of the answer
	FaultHang               // no answer until the client gives up
	FaultStatus             // an answer with Fault.Status
	FaultTruncate           // the true answer, cut off in its middle; always processed
)

// A Fault is what goes wrong with one request; the zero value is nothing.
type Fault struct {
	Kind FaultKind

	// Process carries the request out, and logs what it made as accepted, before
	// the answer goes wrong: the case in which nobody knows.
	Process bool

	Status   int  // of FaultStatus
	Headers  bool // FaultStatus: with the X-RateLimit headers, nothing remaining
	HTML     bool // FaultStatus: a page of the edge instead of the error envelope (1.5)
	NullID   bool // FaultStatus: request_id is null in the envelope (1.5)
	NoAnswer bool // FaultStatus: an empty body (1.5)

	RetryAfter int // FaultStatus: seconds of machine time, in a Retry-After header; zero: none
}

// spoil carries a request out if the fault says so, and loses or changes its
// answer. It ends by http.ErrAbortHandler where the connection must break.
func (i *Intercom) spoil(w http.ResponseWriter, r *http.Request, body []byte, fault Fault) {
	var answer intercomAnswer
	if fault.Process || fault.Kind == FaultTruncate {
		answer = i.process(r, body)
	}
	switch fault.Kind {
	case FaultReset:
		intercomReset(w)
	case FaultHang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case FaultTruncate:
		whole := answer.encode()
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		w.WriteHeader(answer.status)
		_, _ = w.Write(whole[:len(whole)/2]) // the connection breaks next anyway
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case FaultStatus:
		i.writeFault(w, fault)
	}
}

// intercomReset closes the connection so that the client reads a reset, not an end.
func intercomReset(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // without it the client reads an end: as broken
			}
			_ = conn.Close() // it is to break
			return
		}
	}
	panic(http.ErrAbortHandler)
}

func (i *Intercom) writeFault(w http.ResponseWriter, fault Fault) {
	code, message := intercomFaultCode(fault.Status)
	answer := intercomError(fault.Status, code, message)
	if !fault.NullID {
		i.mu.Lock()
		answer = i.named(answer)
		i.mu.Unlock()
	}
	if fault.Headers {
		for name, values := range i.rateHeader(0) {
			w.Header()[name] = values
		}
	}
	if fault.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(fault.RetryAfter))
	}
	switch {
	case fault.NoAnswer:
		w.WriteHeader(fault.Status)
	case fault.HTML:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(fault.Status)
		w.Write([]byte("<html><body><h1>" + http.StatusText(fault.Status) + "</h1></body></html>")) //nolint:errcheck // as in write
	default:
		i.write(w, answer)
	}
}

// intercomFaultCode is the code that goes with a status (1.5).
func intercomFaultCode(status int) (code, message string) {
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized", "Access Token Invalid"
	case http.StatusForbidden:
		return "api_plan_restricted", "Active subscription needed."
	case http.StatusRequestTimeout:
		return "request_timeout", "Request timed out"
	case http.StatusTooManyRequests:
		return "rate_limit_exceeded", "Exceeded rate limit of 167 in 10_seconds"
	case http.StatusServiceUnavailable:
		return "service_unavailable", "Sorry, the API service is temporarily unavailable"
	}
	if status >= http.StatusInternalServerError {
		return "server_error", "An unknown error occurred"
	}
	return "client_error", http.StatusText(status)
}
