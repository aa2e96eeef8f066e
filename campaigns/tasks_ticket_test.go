package campaigns

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	asked := func(n int, k Ticket) Ticket { k.At, k.Asked = at(n), true; return k }
	said := func(n int, k Ticket) Ticket { k.At = at(n); return k }
	for _, tt := range []struct {
		name string
		held held
		seen Ticket
		want held // but for what is known, which is what was seen unless stale
		tell Telling
		old  bool // nothing is taken from it
		ask  bool
	}{
		{"as it was", held{Owner: 1, Known: said(1, Ticket{Owner: 1})}, said(2, Ticket{Owner: 1}), held{Owner: 1}, Telling{}, false, false},
		{"resolved there", held{Owner: 1, Known: said(1, Ticket{Owner: 1})}, said(2, Ticket{Owner: 1, Resolved: true}), held{Done: true, Owner: 1}, Telling{Done: true}, false, false},
		{"opened again there", held{Done: true, Known: said(1, Ticket{Resolved: true})}, said(2, Ticket{}), held{}, Telling{}, false, false},
		{"given to another there", held{Owner: 1, Known: said(1, Ticket{Owner: 1})}, said(2, Ticket{Owner: 2}), held{Owner: 2}, Telling{}, false, false},
		{"put back there", held{Owner: 1, Known: said(1, Ticket{Owner: 1})}, said(2, Ticket{}), held{}, Telling{}, false, false},
		{"snoozed there", held{}, said(2, Ticket{Snoozed: at(99)}), held{Snoozed: at(99)}, Telling{}, false, false},
		{"awake there", held{Snoozed: at(99), Known: Ticket{Snoozed: at(99)}}, said(2, Ticket{}), held{}, Telling{}, false, false},
		{"done here", held{Done: true, Known: said(1, Ticket{})}, asked(2, Ticket{}), held{Done: true}, Telling{State: true, Done: true}, false, false},
		{"opened again here", held{Known: said(1, Ticket{Resolved: true})}, asked(2, Ticket{Resolved: true}), held{}, Telling{State: true}, false, false},
		{"handed out here", held{Owner: 1, Known: said(1, Ticket{})}, asked(2, Ticket{}), held{Owner: 1}, Telling{Owner: 1}, false, false},
		{"snoozed here", held{Snoozed: at(99), Known: said(1, Ticket{})}, asked(2, Ticket{}), held{Snoozed: at(99)}, Telling{Snoozed: at(99)}, false, false},
		{"handed out here, given to another there", held{Owner: 1, Known: said(1, Ticket{})}, asked(2, Ticket{Owner: 2}), held{Owner: 2}, Telling{}, false, false},
		{"done here, given to another there", held{Done: true, Owner: 1, Known: said(1, Ticket{Owner: 1})}, said(2, Ticket{Owner: 2}), held{Done: true, Owner: 2}, Telling{State: true, Done: true}, false, false},
		{"done here and there", held{Done: true, Known: said(1, Ticket{})}, said(2, Ticket{Resolved: true}), held{Done: true}, Telling{Done: true}, false, false},
		{"old news", held{Done: true, Known: said(5, Ticket{Resolved: true})}, said(4, Ticket{}), held{Done: true}, Telling{Done: true}, true, false},
		{"news of the same second", held{Known: said(5, Ticket{})}, said(5, Ticket{Resolved: true}), held{}, Telling{}, true, true},
		{"the same news of the same second", held{Known: said(5, Ticket{Owner: 1}), Owner: 1}, said(5, Ticket{Owner: 1}), held{Owner: 1}, Telling{}, false, false},
		{"an answer of the same second", held{Known: said(5, Ticket{})}, asked(5, Ticket{Resolved: true}), held{Done: true}, Telling{Done: true}, false, false},
		{"an echo after it was opened again here", held{Known: said(5, Ticket{Resolved: true})}, said(6, Ticket{Resolved: true}), held{}, Telling{State: true}, false, false},
	} {
		got, ask := tt.held.follow(tt.seen)
		tt.want.Known = tt.seen
		if tt.old {
			tt.want.Known = tt.held.Known
		}
		if got != tt.want || ask != tt.ask || got.telling() != tt.tell {
			t.Errorf("%s\n got %+v, to tell %+v, ask %v\nwant %+v, to tell %+v, ask %v", tt.name, got, got.telling(), ask, tt.want, tt.tell, tt.ask)
		}
	}
}

// follow shows a ticket to the store.
func (w *world) follow(seen Ticket, told Telling, now time.Time) (tell Telling) {
	w.t.Helper()
	w.tx(func(tx pgx.Tx) (err error) {
		tell, err = w.store.FollowTicket(w.t.Context(), tx, seen, told, now)
		return err
	})
	return tell
}

func (w *world) errands(now time.Time) []Errand {
	w.t.Helper()
	out, err := w.store.TakeErrands(w.t.Context(), now, 10)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// untold counts the tasks whose tickets have to be told something.
func (w *world) untold() (n int) {
	w.t.Helper()
	w.row(&n, `select count(*) from dunlin.tasks where untold`)
	return n
}

func TestFollowTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(rota)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	id := w.owed(noon, 49)[0]
	task := w.task(id, noon)
	key := w.key(id, "c", "call")
	w.tx(func(tx pgx.Tx) error { return ticketOpened(t.Context(), tx, key, "T1", 1, noon.Add(-askEvery)) })
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

	// It was opened with its owner: there is nothing to tell, and a first look.
	first := w.errands(noon)
	want(t, "a look", first, []Errand{{Task: task, Ticket: "T1", Mark: first[0].Mark}})
	want(t, "taken once", len(w.errands(noon)), 0)
	want(t, "to tell", w.follow(Ticket{ID: "T1", Owner: 1, At: noon, Asked: true}, Telling{}, noon), Telling{})
	if err := w.store.EndErrand(t.Context(), first[0]); err != nil {
		t.Fatal(err)
	}
	want(t, "no look until a while has passed", len(w.errands(at(14))), 0)
	again := w.errands(at(15))
	want(t, "and then a look", len(again), 1)
	if err := w.store.FailErrand(t.Context(), again[0], "no answer"); err != nil {
		t.Fatal(err)
	}
	want(t, "after a failure it rests", len(w.errands(at(15))), 0)
	w.exec(`update dunlin.tasks set leased_until = null`)

	// Done here: the ticket has to be told, and says so itself afterwards.
	if err := DoneTask(t.Context(), w.pool, task, false, at(20)); err != nil {
		t.Fatal(err)
	}
	told := Telling{State: true, Done: true}
	want(t, "to tell", w.follow(Ticket{ID: "T1", Owner: 1, At: at(15), Asked: true}, Telling{}, at(20)), told)
	w.follow(Ticket{ID: "T1", Owner: 1, Resolved: true, At: at(20), Asked: true}, told, at(20))
	want(t, "told", w.stands(task), "done done of 1")
	w.follow(Ticket{ID: "T1", Owner: 1, Resolved: true, At: at(20)}, Telling{}, at(21))
	want(t, "its echo", w.stands(task), "done done of 1")
	want(t, "nothing to do", len(w.errands(at(99))), 0)
	want(t, "until somebody may have opened it again", len(w.errands(at(20).Add(askDone))), 1)
	w.exec(`update dunlin.tasks set leased_until = null`)
	want(t, "which is not looked for after two weeks", len(w.errands(at(20).Add(relapse))), 0)

	// Opened again and given to another there; an old notification comes late.
	w.follow(Ticket{ID: "T1", Owner: 2, At: at(30)}, Telling{}, at(30))
	w.follow(Ticket{ID: "T1", Owner: 1, Resolved: true, At: at(20)}, Telling{}, at(31))
	want(t, "opened there", w.stands(task), "open of 2")
	w.exec(`update dunlin.tasks set ask_at = $1`, at(500))
	w.follow(Ticket{ID: "T1", Owner: 2, Resolved: true, At: at(30)}, Telling{}, at(32))
	want(t, "of the same second", w.stands(task), "open of 2")
	want(t, "so somebody asks", len(w.errands(at(32))), 1)
	w.follow(Ticket{ID: "T1", Owner: 2, Resolved: true, At: at(30), Asked: true}, Telling{}, at(32))
	want(t, "the answer", w.stands(task), "done ticket of 2")

	// What is not ours is left alone, and a deleted ticket leaves the task to us.
	want(t, "another's ticket", w.follow(Ticket{ID: "T9", Resolved: true, At: noon}, Telling{}, noon), Telling{})
	if err := w.store.LoseTicket(t.Context(), Errand{Task: task, Ticket: "T1"}); err != nil {
		t.Fatal(err)
	}
	want(t, "lost", w.stands(task), "done ticket of 2")
	want(t, "untold", w.untold(), 0)
}

// TestErrands_notes: a note that comes while the one before is being written is
// written, too.
func TestErrands_notes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	task := w.task(w.owed(noon, 49)[0], noon)
	w.exec(`update dunlin.tasks set ticket_id = 'T1', note = 'first', notes = 1`)
	first := w.errands(noon)[0]
	w.exec(`update dunlin.tasks set note = 'second', notes = 2, leased_until = null`)
	if err := w.store.EndErrand(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := w.errands(noon)[0]
	if first.Note != "first" || second.Note != "second" || first.Mark == second.Mark || second.Task != task {
		t.Errorf("got %+v, then %+v", first, second)
	}
	if err := w.store.EndErrand(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	want(t, "untold", w.untold(), 0)
}

// TestContactNotes: only what has no ticket, and whose delivery is over.
func TestContactNotes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.campaign("c", onEntry, call, later)
	w.start("c", noon)
	ids := w.owed(noon, 1, 2, 3)
	mine := w.task(ids[0], noon)
	w.task(ids[1], noon)
	w.task(ids[2], noon)
	w.exec(`update dunlin.tasks set ticket_id = 'T1' where customer_id = $1`, ids[1])
	w.exec(`update dunlin.deliveries set state = 'claimed' where customer_id = $1 and step = 'call'`, ids[2])
	got, err := w.store.TakeContactNotes(t.Context(), 10)
	if err != nil || len(got) != 1 || got[0].Task != mine || got[0].Title != "Call" || got[0].Mark == "" {
		t.Fatalf("got %+v (%v)", got, err)
	}
	if err := w.store.Noted(t.Context(), got[0], "N1"); err != nil {
		t.Fatal(err)
	}
	got, err = w.store.TakeContactNotes(t.Context(), 10)
	if err != nil || len(got) != 0 {
		t.Errorf("noted once\n got %+v (%v)", got, err)
	}
}

// TestContactNotes_relapse: a task that is open again says so on the contact, too,
// in a note of its own, once; of the former note nothing is heard any more.
func TestContactNotes_relapse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(rota)
	w.campaign("c", onEntry+"\nreenter_after: 1 day", call, later)
	w.start("c", noon)
	id := w.owed(noon, 49)[0]
	task := w.task(id, noon)
	take := func() ContactNote {
		t.Helper()
		w.exec(`update dunlin.tasks set leased_until = null`)
		got, err := w.store.TakeContactNotes(t.Context(), 10)
		if err != nil || len(got) != 1 {
			t.Fatalf("to be noted\n got %+v (%v)\nwant one task", got, err)
		}
		return got[0]
	}
	noted := func(n ContactNote) {
		t.Helper()
		if err := w.store.Noted(t.Context(), n, "N"); err != nil {
			t.Fatal(err)
		}
	}
	once := func() {
		t.Helper()
		if got, err := w.store.TakeContactNotes(t.Context(), 10); err != nil || len(got) != 0 {
			t.Errorf("noted once\n got %+v (%v)", got, err)
		}
	}
	marks := map[string]bool{}
	first := take()
	marks[first.Mark] = true
	noted(first)
	once()
	for i := range 2 {
		back := noon.Add(time.Duration(3*(i+1)) * day)
		w.leave(id, "owing")
		w.enroll(back.Add(-day))
		w.join(id, "owing", back)
		w.enroll(back)
		if again := w.task(id, back); again != task {
			t.Fatal("another task")
		}
		again := take()
		noted(first) // its answer comes late
		want(t, "mark after a crash", take().Mark, again.Mark)
		if marks[again.Mark] || again.Title != "Open again: Call" || !again.OpenedAt.Equal(back) {
			t.Errorf("open again\n got %+v\nwant a mark besides %v", again, marks)
		}
		marks[again.Mark] = true
		noted(again)
		once()
	}
}
