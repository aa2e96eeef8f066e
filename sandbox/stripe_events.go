package sandbox

import (
	"bytes"
	"encoding/json"
	"sort"
	"strconv"
)

// event is one Stripe event. Events of one change share the snapshots of their
// objects; the whole event is written out only when somebody asks for it.
type event struct {
	id       string
	typ      string
	created  int64
	version  string          // of the account when it was made: what the list of events shows it in (facts 2.2)
	object   json.RawMessage // never expanded (facts 2.7)
	previous json.RawMessage // nil when the event has none
	request  string          // req_ of the call that made it; empty for Stripe's own doing
	customer *customer
	record   int // 1 + index of the state it tells of in the customer's history; 0: none
	pending  int // endpoints that have not answered 2xx yet, and those that never hear of it
}

func (e *event) ident() string        { return e.id }
func (e *event) raw() json.RawMessage { return e.render(e.version, e.pending) }
func (e *event) touch()               {}

// render writes the event in an API version, with that many pending webhooks.
func (e *event) render(version string, pending int) []byte {
	object, previous := e.object, e.previous
	if version != APIVersion {
		object, previous = inVersion(version, object), previousInVersion(version, object, previous)
	}
	b := make([]byte, 0, len(object)+len(previous)+400)
	b = append(b, `{"id":"`...)
	b = append(b, e.id...)
	b = append(b, `","object":"event","api_version":"`+version+`","created":`...)
	b = strconv.AppendInt(b, e.created, 10)
	b = append(b, `,"data":{"object":`...)
	b = append(b, object...)
	if previous != nil {
		b = append(b, `,"previous_attributes":`...)
		b = append(b, previous...)
	}
	b = append(b, `},"livemode":false,"pending_webhooks":`...)
	b = strconv.AppendInt(b, int64(pending), 10)
	b = append(b, `,"request":{"id":`...)
	if e.request == "" {
		b = append(b, `null,"idempotency_key":null`...)
	} else {
		b = append(b, '"')
		b = append(b, e.request...)
		b = append(b, `","idempotency_key":"`...)
		b = append(b, "key_"+e.request...)
		b = append(b, '"')
	}
	b = append(b, `},"type":"`...)
	b = append(b, e.typ...)
	return append(b, `"}`...)
}

// previousAttributes says what of before is different in after: only the changed
// keys, with their old values, objects descended into, arrays whole (facts 2.4).
// A key that is new has the old value null. It returns nil when nothing changed.
func previousAttributes(before, after json.RawMessage) json.RawMessage {
	if bytes.Equal(before, after) {
		return nil
	}
	var was, is map[string]json.RawMessage
	if json.Unmarshal(before, &was) != nil || json.Unmarshal(after, &is) != nil {
		return before
	}
	keys := make([]string, 0, len(is))
	for k := range is {
		keys = append(keys, k)
	}
	for k := range was {
		if _, ok := is[k]; !ok {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	changed := map[string]json.RawMessage{}
	for _, k := range keys {
		old, now := was[k], is[k]
		switch {
		case bytes.Equal(old, now):
		case old == nil:
			changed[k] = json.RawMessage("null")
		case old[0] == '{' && len(now) > 0 && now[0] == '{' && !bytes.HasPrefix(old, []byte(`{"id"`)):
			changed[k] = previousAttributes(old, now)
		default: // scalars, arrays, and objects with an id of their own, which are replaced whole
			changed[k] = old
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return mustJSON(changed)
}
