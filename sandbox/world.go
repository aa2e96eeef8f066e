package sandbox

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"slices"
	"time"
)

const (
	pastDays   = 120 // how long the merchant has lived before Start
	eventsDays = 30  // how long Stripe shows events (facts 2.6)
)

// world is the merchant: what Stripe holds about their customers, and what is
// going to happen to them. It has no lock of its own: [Sandbox] has one.
type world struct {
	dice
	catalog *catalog
	now     int64 // the instant of what is happening, Unix seconds
	start   int64 // before it, nobody listens and nobody is written to

	queue   queue
	ordinal int // of the next task

	customers     []*customer // oldest first, like every list here
	subscriptions []*subscription
	invoices      []*invoice
	charges       []*charge
	refunds       []*refund
	disputes      []*dispute
	events        []*event           // the last 30 days
	endpoints     []*webhookEndpoint // that take webhooks
	byID          map[string]entity

	version string       // the account's own API version
	life    Life         // what happens beyond the usual
	upset   Misbehaviour // how webhooks go wrong

	emitted   int       // events so far
	changing  []*event  // of the change under way
	request   string    // who is behind the change under way: empty for Stripe itself
	outbox    []letter  // to be posted
	made      int       // webhook endpoints ever made, for their ids
	merchant  *customer // nobody's customer: who the events of the catalog are about
	lines     []Line
	byContact map[string]*customer
	newcomers int // how many customers there ever were
	settled   int // how many there were at the start: the pace of sign-ups
	welcome   func(contactSeed)
}

// task is something that will happen to one customer.
type task struct {
	at      int64
	who     int // the customer's number
	ordinal int
	run     func()
}

// queue is a heap of tasks: the earliest first; in one instant by customer, so
// that it does not matter whose was thought of first; then in order of thought.
type queue []task

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	if q[i].who != q[j].who {
		return q[i].who < q[j].who
	}
	return q[i].ordinal < q[j].ordinal
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(t any)   { *q = append(*q, t.(task)) }
func (q *queue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = task{}
	*q = old[:len(old)-1]
	return t
}

// later runs f at a Unix second, at the earliest at the next instant of the grid.
func (w *world) later(at int64, c *customer, f func()) {
	w.ordinal++
	heap.Push(&w.queue, task{at: max(at, onGrid(w.now+1)), who: c.n, ordinal: w.ordinal, run: f})
}

// runUntil lets everything up to and including a Unix second happen, in order.
func (w *world) runUntil(to int64) {
	for len(w.queue) > 0 && w.queue[0].at <= to {
		t := heap.Pop(&w.queue).(task)
		w.now = t.at
		t.run()
	}
	w.now = max(w.now, to)
}

// next is the instant of the next task. There always is one: a new customer is
// always on the way.
func (w *world) next() int64 { return w.queue[0].at }

// recording is false in the deep past, of which Stripe shows objects but no events.
func (w *world) recording() bool { return w.now > w.start-eventsDays*day }

// change is one thing that happens to one customer: the events f emits share one
// second, and what is different afterwards is one state of the customer's history.
func (w *world) change(c *customer, f func()) {
	w.changing = w.changing[:0]
	f()
	w.remember(c)
	w.request = ""
}

// byCall marks the change under way as somebody's call of the API.
func (w *world) byCall(c *customer) {
	w.request = w.id("req_", c.key+"/request/"+itoa(int64(c.emitted)), 14)
}

// edit changes an object and returns what to say as previous_attributes.
func (w *world) edit(o entity, f func()) json.RawMessage {
	if !w.recording() {
		o.touch()
		f()
		return nil
	}
	before := o.raw()
	o.touch()
	f()
	return previousAttributes(before, o.raw())
}

// emit tells of o as it is now. Updates that changed nothing are not told.
func (w *world) emit(typ string, c *customer, o entity, previous json.RawMessage) {
	c.emitted++
	if !w.recording() {
		return
	}
	key := c.key + "/event/" + itoa(int64(c.emitted))
	e := &event{id: w.id("evt_1", key, 23), typ: typ, created: w.now, version: w.version,
		object: o.raw(), previous: previous, request: w.request, customer: c}
	w.record(e)
	if w.upset.twin(e) {
		other := *e
		other.id, other.pending = w.id("evt_1", key+"/twin", 23), 0
		w.record(&other)
	}
}

// record puts an event on the list and on its way to whoever wants it.
func (w *world) record(e *event) {
	w.emitted++
	for _, to := range w.endpoints {
		if to.wants(e.typ) {
			e.pending++
			w.post(e, to)
		}
	}
	w.events = append(w.events, e)
	w.byID[e.id] = e
	w.changing = append(w.changing, e)
}

// updated emits an update of o by f, unless f changes nothing.
func (w *world) updated(typ string, c *customer, o entity, f func()) {
	if previous := w.edit(o, f); previous != nil {
		w.emit(typ, c, o, previous)
	}
}

// forget drops the events that Stripe would not show any more.
func (w *world) forget() {
	oldest := w.now - eventsDays*day
	n, _ := slices.BinarySearchFunc(w.events, oldest, func(e *event, t int64) int { return cmp.Compare(e.created, t) })
	if n < 4096 && n < len(w.events)/2 { // not for every few of them
		return
	}
	for _, e := range w.events[:n] {
		delete(w.byID, e.id)
	}
	w.events = slices.Clone(w.events[n:])
}

// say adds a line for whoever watches.
func (w *world) say(kind, text string) {
	if w.now > w.start {
		w.lines = append(w.lines, Line{At: time.Unix(w.now, 0).UTC(), Kind: kind, Text: text})
	}
}

// The lists are in order of creation, ties in order of arrival, and only ever grow
// at their end: that is what pages are cut by.

func (w *world) addCustomer(c *customer) {
	w.customers = append(w.customers, c)
	w.byID[c.id] = c
}

func (w *world) addSubscription(s *subscription) {
	w.subscriptions = append(w.subscriptions, s)
	s.customer.subs = append(s.customer.subs, s)
	w.byID[s.id] = s
}

func (w *world) addInvoice(i *invoice) {
	w.invoices = append(w.invoices, i)
	i.customer.invoices = append(i.customer.invoices, i)
	w.byID[i.id] = i
}

func (w *world) addCharge(c *charge) {
	w.charges = append(w.charges, c)
	c.customer.charges = append(c.customer.charges, c)
	w.byID[c.id] = c
}
