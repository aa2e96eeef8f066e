package stripesync

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// ourVersion is the only API version whose payloads are used as they are.
const ourVersion = "2023-10-16"

// margin is how far apart two instants of Stripe's clock must be before they say
// which came first: an event's created is cut to whole seconds, and the instant
// of a read is corrected by a Date header that is.
const margin = 2 * time.Second

// news is what one event says about an object.
type news struct {
	eventType string
	created   time.Time
	version   string
	change    change
	object    []byte // the payload
}

// held is what the mirror has of an object.
type held struct {
	found   bool
	raw     []byte
	asOf    time.Time
	deleted bool
}

// A verdict is what becomes of the events of one object.
type verdict int

const (
	superseded verdict = iota // the mirror is certainly newer
	payload                   // one event's payload is certainly the newest
	refetch                   // neither is certain: the object has to be read
)

func (v verdict) String() string { return [...]string{"superseded", "payload", "refetch"}[v] }

// decide settles the events of one object, oldest first, against what the mirror
// has. The index is that of the event whose payload wins.
//
// Only the events within the margin of the newest one matter: those before them
// told of a state that has passed. A removal is final, so nothing within the
// margin contradicts it. Payloads that agree need no order among themselves, and
// one that is what the mirror has is as good as a read.
func decide(events []news, have held) (verdict, int) {
	newest := len(events) - 1
	last := events[newest]
	if have.found && last.created.Before(have.asOf.Add(-margin)) {
		return superseded, newest
	}

	agreed := last.change != hint
	for i := newest; i >= 0 && !events[i].created.Before(last.created.Add(-margin)); i-- {
		if events[i].change == removal && events[i].version == ourVersion {
			return payload, i
		}
		agreed = agreed && events[i].change == last.change && sameJSON(events[i].object, last.object)
	}

	switch {
	case !agreed:
		return refetch, newest
	case have.found && have.deleted == (last.change == removal) && sameJSON(have.raw, last.object):
		return payload, newest
	case last.version != ourVersion:
		return refetch, newest
	case !have.found || last.created.After(have.asOf.Add(margin)):
		return payload, newest
	}
	return refetch, newest
}

// newestPayload is the event whose payload is most likely the newest: of those of
// one second, a change comes after a creation (facts/stripe.md 2.5). It is -1
// when a payload that we can use is not among the newest.
func newestPayload(events []news) int {
	best := -1
	for i, e := range events {
		switch {
		case e.version != ourVersion || e.change == hint:
		case best < 0 || e.created.After(events[best].created) || e.beginning() <= events[best].beginning():
			best = i
		}
	}
	if best >= 0 && events[best].created.Before(events[len(events)-1].created) {
		return -1
	}
	return best
}

// beginning is 1 for events that tell how an object began.
func (n news) beginning() int {
	for _, ending := range []string{".created", ".trial_will_end", ".finalized"} {
		if strings.HasSuffix(n.eventType, ending) {
			return 1
		}
	}
	return 0
}

// sameJSON reports whether two texts are one JSON apart from white space: Stripe
// indents an object by where it stands.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
