package sandbox

import (
	"net/http"
	"strconv"
	"time"
)

// A StripeFault is what goes wrong with one request to the Stripe half; the zero
// value is nothing.
type StripeFault struct {
	Kind FaultKind

	// Process carries the request out before the answer goes wrong: the case in
	// which nobody knows whether a webhook endpoint was made.
	Process bool

	Status int    // of FaultStatus
	Reason string // FaultStatus 429: the Stripe-Rate-Limited-Reason; empty is no header, and code lock_timeout (facts 2.7)
	HTML   bool   // FaultStatus: a page of the edge instead of the error envelope

	Delay time.Duration // machine time, before whatever is answered
}

// fault is what goes wrong with one request: what the function says, else what
// chance does.
func (s *stripeServer) fault(r *http.Request) StripeFault {
	s.own.Lock()
	ask := s.faults
	s.own.Unlock()
	if ask != nil {
		if fault := ask(r); fault != (StripeFault{}) {
			return fault
		}
	}
	s.own.Lock()
	defer s.own.Unlock()
	if s.upset == (Misbehaviour{}) {
		return StripeFault{}
	}
	request := r.Method + " " + r.URL.RequestURI()
	n := s.asked[request]
	s.asked[request]++
	return s.upset.ofRequest(request, n)
}

// misbehave changes how often requests go wrong, from the next one on.
func (s *stripeServer) misbehave(m Misbehaviour) {
	s.own.Lock()
	defer s.own.Unlock()
	s.upset, s.asked = m, map[string]int{}
}

// rest waits for a delay, and says whether the client is still there afterwards.
func rest(r *http.Request, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// spoil carries a request out if the fault says so, and loses or changes its
// answer. It ends by http.ErrAbortHandler where the connection must break.
func (s *stripeServer) spoil(w http.ResponseWriter, r *http.Request, body []byte, fault StripeFault) {
	var answer stripeAnswer
	if fault.Process || fault.Kind == FaultTruncate {
		answer = s.process(r, body)
	}
	if fault.Kind == FaultStatus {
		s.write(w, r, s.faulty(fault))
		return
	}
	s.count(r, 0, "")
	switch fault.Kind {
	case FaultReset:
		intercomReset(w)
	case FaultHang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case FaultTruncate:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body[:len(answer.body)/2]) // the connection breaks next anyway
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// faulty is the answer of a fault with a status.
func (s *stripeServer) faulty(fault StripeFault) stripeAnswer {
	if fault.HTML {
		answer := stripeAnswer{status: fault.Status, header: http.Header{}}
		answer.header.Set("Content-Type", "text/html")
		answer.body = []byte("<html><body><h1>" + http.StatusText(fault.Status) + "</h1></body></html>")
		return answer
	}
	if fault.Status == http.StatusTooManyRequests {
		return s.tooMany(fault.Reason)
	}
	err := &stripeError{status: fault.Status, typ: "invalid_request_error", message: http.StatusText(fault.Status)}
	if fault.Status >= http.StatusInternalServerError {
		err.typ, err.message = "api_error", "An unknown error occurred"
	}
	return s.refused(err)
}

// tooMany is a 429: for a rate, with its reason, or, without one, because another
// request holds the object. Those of the second kind have no request id (facts 2.7).
func (s *stripeServer) tooMany(reason string) stripeAnswer {
	err := &stripeError{status: http.StatusTooManyRequests, typ: "invalid_request_error", code: "rate_limit",
		message: "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."}
	if reason == "" {
		err.code = "lock_timeout"
		err.message = "This object cannot be accessed right now because another API request or Stripe process is currently accessing it."
	}
	answer := s.refused(err)
	answer.reason = err.code
	if reason == "" {
		answer.header.Del("Request-Id")
		return answer
	}
	answer.reason = reason
	answer.header.Set("Stripe-Rate-Limited-Reason", reason)
	return answer
}
