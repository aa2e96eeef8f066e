package stripesync

import (
	"bytes"
	"encoding/json"
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
	created time.Time
	version string
	change  change
	object  []byte // the payload
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

// sameJSON reports whether two texts are one JSON apart from white space: Stripe
// indents an object by where it stands.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
