package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Misbehaviour is how often Stripe goes wrong, by chance that a seed decides. The
// zero value is a Stripe that never does. Shares are between 0 and 1.
//
// The fate of a request is a hash of the seed, the request's method and URL, and
// how many of the same there were before it; that of a webhook, of the seed and
// the event. So neither concurrency nor what else is asked changes it.
type Misbehaviour struct {
	Seed int64

	// Shares of the requests to the API; together at most 1.
	RateLimited  float64 // 429 with a Stripe-Rate-Limited-Reason, code rate_limit
	LockTimeouts float64 // 429 without, code lock_timeout
	Failures     float64 // 500
	Unavailable  float64 // 503
	Hangs        float64 // no answer until the client gives up
	Resets       float64 // the connection is reset before a byte of the answer
	Truncated    float64 // the true answer, cut off in its middle

	Latency   time.Duration // machine time, before every answer
	EventsLag time.Duration // virtual time, whole seconds: younger events are not on the list of events yet

	// Shares of the webhooks, each thrown for itself.
	Dropped float64 // never posted; the list of events has them, undelivered
	Doubled float64 // posted twice
	Twins   float64 // told by two Event objects, one id each, both on the list (facts 2.2)
	Delayed float64 // posted by the first Advance that is DelayedBy after the event

	DelayedBy time.Duration // virtual time; zero means an hour
	Shuffled  time.Duration // virtual time: each webhook waits for a part of it, so that later ones overtake it
}

const delayedBy = time.Hour

// check reports all that is wrong with m.
func (m Misbehaviour) check() error {
	var faults []error
	for _, s := range append(m.ofRequests(), share{"Dropped", m.Dropped}, share{"Doubled", m.Doubled}, share{"Twins", m.Twins}, share{"Delayed", m.Delayed}) {
		faults = append(faults, s.check("Misbehaviour"))
	}
	sum := 0.0
	for _, s := range m.ofRequests() {
		sum += s.of
	}
	if sum > 1 {
		faults = append(faults, fmt.Errorf("the shares of requests in the sandbox's Misbehaviour add up to %g; give shares of 1 together at most", sum))
	}
	for _, d := range []struct {
		name string
		of   time.Duration
	}{{"Latency", m.Latency}, {"EventsLag", m.EventsLag}, {"DelayedBy", m.DelayedBy}, {"Shuffled", m.Shuffled}} {
		if d.of < 0 {
			faults = append(faults, fmt.Errorf("the sandbox's Misbehaviour.%s is %s; give zero or more", d.name, d.of))
		}
	}
	return errors.Join(faults...)
}

// share is a number from 0 to 1 with the name of its field.
type share struct {
	name string
	of   float64
}

func (s share) check(in string) error {
	if s.of >= 0 && s.of <= 1 {
		return nil
	}
	return fmt.Errorf("the sandbox's %s.%s is %g; give a share from 0 to 1", in, s.name, s.of)
}

func (m Misbehaviour) ofRequests() []share {
	return []share{{"RateLimited", m.RateLimited}, {"LockTimeouts", m.LockTimeouts}, {"Failures", m.Failures}, {"Unavailable", m.Unavailable},
		{"Hangs", m.Hangs}, {"Resets", m.Resets}, {"Truncated", m.Truncated}}
}

// rateReasons are Stripe's reasons for a 429 (facts 2.7).
var rateReasons = []string{"global-rate", "endpoint-rate", "global-concurrency", "endpoint-concurrency", "resource-specific"}

// ofRequest is the fate of the n-th request with that method and URL.
func (m Misbehaviour) ofRequest(request string, n int) StripeFault {
	d, fault := dice(uint64(m.Seed)), StripeFault{Delay: m.Latency}
	x := d.unit(request, "fate", n)
	for _, s := range m.ofRequests() {
		if x -= s.of; x >= 0 {
			continue
		}
		fault.Kind = FaultStatus
		switch s.name {
		case "RateLimited":
			fault.Status, fault.Reason = http.StatusTooManyRequests, rateReasons[d.pick(len(rateReasons), request, "reason", n)]
		case "LockTimeouts":
			fault.Status = http.StatusTooManyRequests
		case "Failures":
			fault.Status = http.StatusInternalServerError
		case "Unavailable":
			fault.Status = http.StatusServiceUnavailable
		case "Hangs":
			fault.Kind = FaultHang
		case "Resets":
			fault.Kind = FaultReset
		case "Truncated":
			fault.Kind = FaultTruncate
		}
		return fault
	}
	return fault
}

func (m Misbehaviour) webhooks(p float64, e *event, purpose string) bool {
	return p > 0 && dice(uint64(m.Seed)).chance(p, e.id, purpose, 0)
}

func (m Misbehaviour) twin(e *event) bool { return m.webhooks(m.Twins, e, "twin") }

// held is how long after its event a letter waits to be posted, in virtual seconds.
func (m Misbehaviour) held(l letter) int64 {
	wait := time.Duration(0)
	if m.webhooks(m.Delayed, l.event, "delayed") {
		wait = cmp.Or(m.DelayedBy, delayedBy)
	}
	if m.Shuffled > 0 {
		wait += time.Duration(dice(uint64(m.Seed)).unit(l.event.id, "shuffled", l.copy) * float64(m.Shuffled))
	}
	return int64(wait / time.Second)
}
