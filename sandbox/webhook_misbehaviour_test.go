package sandbox

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// upset makes a sandbox whose webhooks go wrong, and the endpoint they go to.
func upset(t *testing.T, m Misbehaviour) (*Sandbox, *endpoint) {
	t.Helper()
	s, err := New(Config{Seed: 31, Customers: 100, Misbehaviour: m})
	if err != nil {
		t.Fatal(err)
	}
	return s, newEndpoint(t, s)
}

func TestMisbehaviour_dropped(t *testing.T) {
	t.Parallel()
	s, e := upset(t, Misbehaviour{Seed: 1, Dropped: 0.25})
	happened := live(t, s, 8)
	share := float64(len(e.taken)) / float64(happened.Events)
	if happened.Undelivered != 0 || share < 0.65 || share > 0.85 {
		t.Fatalf("%d of %d events were taken, %d undelivered", len(e.taken), happened.Events, happened.Undelivered)
	}
	since := s.Now().AddDate(0, 0, -8).Unix()
	lost := fetch(t, s, "/v1/events", map[string][]string{"limit": {"100"}, "delivery_success": {"false"}})
	all := fetch(t, s, "/v1/events", map[string][]string{"limit": {"100"}, "created[gt]": {itoa(since)}})
	if len(all) != happened.Events || len(lost) != happened.Events-len(e.taken) {
		t.Errorf("%d events on the list and %d undelivered ones, of %d and %d", len(all), len(lost), happened.Events, happened.Events-len(e.taken))
	}
	for _, id := range lost {
		if _, taken := e.taken[id]; taken {
			t.Errorf("%s was posted, and is on the list of undelivered events", id)
		}
	}
	if err := s.Misbehave(Misbehaviour{}); err != nil {
		t.Fatal(err)
	}
	taken := len(e.taken)
	if h, err := s.Advance(context.Background(), s.Now().Add(time.Second)); err != nil || len(e.taken) != taken+h.Events {
		t.Errorf("what was dropped came after all: %d taken after %d, %v", len(e.taken), taken, err)
	}
}

func TestMisbehaviour_doubled(t *testing.T) {
	t.Parallel()
	s, e := upset(t, Misbehaviour{Seed: 1, Doubled: 0.5})
	happened := live(t, s, 5)
	twice := 0
	for _, tries := range e.tries {
		if tries == 2 {
			twice++
		}
	}
	share := float64(twice) / float64(happened.Events)
	if len(e.taken) != happened.Events || len(e.order) != happened.Events+twice || share < 0.4 || share > 0.6 {
		t.Errorf("%d events, %d taken in %d posts, %d twice", happened.Events, len(e.taken), len(e.order), twice)
	}
	for id := range e.taken {
		if made := s.world.byID[id].(*event); made.pending != 0 {
			t.Errorf("%s has %d pending webhooks", id, made.pending)
		}
	}
}

func TestMisbehaviour_twins(t *testing.T) {
	t.Parallel()
	s, e := upset(t, Misbehaviour{Seed: 1, Twins: 0.3})
	happened := live(t, s, 5)
	of := map[string]int{}
	for id := range e.taken {
		made := s.world.byID[id].(*event)
		of[made.typ+string(made.object)+itoa(made.created)]++
	}
	twins := 0
	for _, n := range of {
		if n == 2 {
			twins++
		}
	}
	if share := float64(twins) / float64(len(of)); share < 0.2 || share > 0.4 || len(e.taken) != happened.Events {
		t.Errorf("%d of %d changes were told by two events; %d of %d taken", twins, len(of), len(e.taken), happened.Events)
	}
}

func TestMisbehaviour_late(t *testing.T) {
	t.Parallel()
	s, e := upset(t, Misbehaviour{Seed: 1, Delayed: 0.4, DelayedBy: 3 * time.Hour, Shuffled: 40 * time.Minute})
	happened := live(t, s, 5)
	backwards := 0
	for n := 1; n < len(e.order); n++ {
		if e.taken[e.order[n]].Created < e.taken[e.order[n-1]].Created {
			backwards++
		}
	}
	if backwards < len(e.order)/20 || happened.Undelivered != 0 {
		t.Errorf("%d of %d came after a younger one, %d undelivered", backwards, len(e.order), happened.Undelivered)
	}
	if err := s.Misbehave(Misbehaviour{}); err != nil {
		t.Fatal(err)
	}
	after, err := s.Advance(context.Background(), s.Now())
	if err != nil || after.Held != 0 || len(e.taken) != happened.Events+after.Events {
		t.Errorf("when it was over %d of %d were taken, %d held, %v", len(e.taken), happened.Events+after.Events, after.Held, err)
	}
}

// What one seed does to the webhooks, it does again; and the life is the same as
// with webhooks that all arrive.
func TestMisbehaviour_sameSeed(t *testing.T) {
	t.Parallel()
	m := Misbehaviour{Seed: 9, Dropped: 0.2, Doubled: 0.2, Delayed: 0.2}
	var posts [2][]string
	var lines [3][]Line
	for n := range posts {
		s, e := upset(t, m)
		lines[n] = live(t, s, 3).Lines
		posts[n] = e.order
		slices.Sort(posts[n]) // several are under way at once
	}
	if diff := cmp.Diff(posts[0], posts[1]); diff != "" || len(posts[0]) == 0 {
		t.Errorf("posts (-first +second):\n%s", diff)
	}
	s, _ := upset(t, Misbehaviour{})
	lines[2] = live(t, s, 3).Lines
	if diff := cmp.Diff(lines[0], lines[2]); diff != "" {
		t.Errorf("the life depends on the webhooks:\n%s", diff)
	}
}
