package campaigns

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// why asks about a customer and campaign c; a zero at asks about now.
func (w *world) why(id int64, now, at time.Time) Answer {
	w.t.Helper()
	a, err := Explain(w.t.Context(), w.pool, Question{Ref: customers.Ref{Account: w.account, Customer: id}, Campaign: "c", Now: now, At: at})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// since makes changes of every customer known from an instant on.
func (w *world) since(at time.Time) { w.exec(`update dunlin.customers set known_since = $1`, at) }

// told is an answer in a few lines: the summary, why there is no enrollment, the
// steps with their decisions, and what would change it.
func told(a Answer) string {
	lines := []string{a.Summary}
	for _, b := range a.Because {
		lines = append(lines, "because "+b)
	}
	for _, p := range a.Enrollments {
		lines = append(lines, strings.TrimSpace(p.State+" "+p.Reason))
		for _, s := range p.Steps {
			lines = append(lines, strings.TrimRight("  "+s.Step+" "+s.State+" "+s.Reason, " "))
			for _, d := range s.Decisions {
				lines = append(lines, fmt.Sprintf("    %s %s %s: %s", d.At.Format("2 15:04"), d.Verdict, d.Reason, d.Arithmetic))
			}
		}
	}
	for _, c := range a.Change {
		lines = append(lines, "change "+c)
	}
	for _, r := range a.Remarks {
		lines = append(lines, "remark "+r)
	}
	return strings.Join(lines, "\n")
}

func wantTold(t *testing.T, a Answer, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimSpace(want), told(a)); diff != "" {
		t.Errorf("why at %s (-want +got)\n%s", a.At, diff)
	}
}

// TestExplain_story holds every-why: of each instant, why contacted, why not,
// and what would change it.
func TestExplain_story(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	evening := noon.Add(10 * time.Hour) // 22:00 in London
	id := w.customer("ann", map[string]any{"mrr": "50", "mrr_currency": "usd"})
	w.since(noon.Add(-day))
	w.campaign("c", onEntry, nudge, `{name: call, at: 0 days, if: mrr >= 200 usd or plan = 'Pro', task: {title: t, body: b, team: billing, due: 1 day}}`, `{name: later, at: 5 days, tag: x}`)
	w.exec(`update dunlin.campaign_versions set created_at = $1`, noon.Add(-time.Hour))
	w.exec(`update dunlin.segment_versions set created_at = $1`, noon.Add(-time.Hour))
	w.start("c", noon)
	w.join(id, "owing", evening)
	w.link(id, "C1", evening)
	w.enroll(evening)

	wantTold(t, w.why(id, noon, noon.Add(-time.Minute)), `
Not enrolled: the campaign was not started yet.
because the campaign was not started yet
because not a member of segment owing yet: no tick had seen that its rule is true
`)
	for _, step := range []string{"nudge", "call"} {
		w.claim(w.key(id, "c", step), evening)
	}
	waiting := `
Not contacted yet: step nudge waits (quiet hours) until 2026-03-03 08:00.
active
  nudge planned quiet_hours
    2 22:00 wait quiet_hours: 21:00-08:00 Europe/London (by the billing address)
  call skipped condition_false
    2 22:00 skip condition_false: deleted is false, delinquent is true, mrr is 50.00 usd, plan is missing
  later planned
change nudge: its quiet hours end at 2026-03-03 08:00 (08:00 Europe/London)
change call: if this had been so: mrr >= 200 usd (mrr is 50.00 usd) or plan = 'Pro' (plan is missing)
change later: its time comes at 2026-03-07 22:00
`
	wantTold(t, w.why(id, evening.Add(time.Minute), time.Time{}), waiting)

	morning := noon.Add(20 * time.Hour)
	k := w.key(id, "c", "nudge")
	w.link(id, "C1", morning)
	c, ok := w.claim(k, morning)
	if !ok {
		t.Fatal("not claimed")
	}
	underway := w.why(id, morning, time.Time{})
	w.record(c, Outcome{Result: Accepted, ExternalID: "conv_1"}, morning.Add(time.Minute))
	done := w.why(id, morning.Add(time.Hour), time.Time{})
	if underway.Contacted || !done.Contacted || done.Summary != "Contacted: step nudge at 2026-03-03 08:00." || underway.Summary != "Not contacted yet: step nudge is under way." {
		t.Errorf("after it was sent\n got %q, before %q", done.Summary, underway.Summary)
	}
	if s := done.Enrollments[0].Steps[0]; len(s.Decisions) != 2 || s.Decisions[1].Verdict != Send || s.Decisions[1].Arithmetic != "outside 21:00-08:00 Europe/London (by the billing address); 0 of 3 contacts in 7 days" {
		t.Errorf("the step that was sent\n got %+v", s)
	}

	// The past is told as it was: the enrollment has ended since, the customer has
	// paid, and the campaign has another version.
	w.exec(`update dunlin.customers set delinquent = false`)
	w.exec(`insert into dunlin.customer_history (account_id, customer_id, changed_at, was) values ($1, $2, $3, '{"delinquent": true}')`, w.account, id, noon.Add(2*day))
	w.leave(id, "owing")
	w.exec(`insert into dunlin.membership_log (account_id, customer_id, segment, tick_id, change, at) values ($1, $2, 'owing', 1, 'join', $3), ($1, $2, 'owing', 2, 'leave', $4)`,
		w.account, id, evening, noon.Add(2*day))
	w.enroll(noon.Add(2 * day))
	w.campaign("c", onEntry, mark)
	w.exec(`update dunlin.campaign_versions set created_at = $1 where version = 2`, noon.Add(2*day))
	wantTold(t, w.why(id, noon.Add(3*day), evening.Add(time.Minute)), waiting)
	if a := w.why(id, noon.Add(3*day), evening.Add(time.Minute)); a.Version != 1 || !a.Segment.Member || !a.Segment.True || !a.Segment.Since.Equal(evening) {
		t.Errorf("segment and version of then\n got %+v, version %d", a.Segment, a.Version)
	}
	wantTold(t, w.why(id, noon.Add(3*day), time.Time{}), `
Contacted: step nudge at 2026-03-03 08:00.
exited left_segment
  nudge sent
    2 22:00 wait quiet_hours: 21:00-08:00 Europe/London (by the billing address)
    3 08:00 send : outside 21:00-08:00 Europe/London (by the billing address); 0 of 3 contacts in 7 days
  call skipped condition_false
    2 22:00 skip condition_false: deleted is false, delinquent is true, mrr is 50.00 usd, plan is missing
  later skipped left_segment
change if this were so: delinquent (delinquent is false)
change call: if this had been so: mrr >= 200 usd (mrr is 50.00 usd) or plan = 'Pro' (plan is missing)
`)
	raw, err := json.Marshal(w.why(id, noon.Add(3*day), time.Time{}))
	if err != nil || strings.Contains(string(raw), "@") || strings.Contains(string(raw), `"ann"`) {
		t.Errorf("as JSON\n got %s (%v)\nwant no name and no address", raw, err)
	}
}

// TestExplain_moved holds every-why for an enrollment that was moved to other
// versions since: of each instant, the version it had then and its steps.
func TestExplain_moved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.customer("ann", nil)
	w.since(noon.Add(-day))
	w.link(id, "C1", noon)
	w.join(id, "owing", noon)
	w.campaign("c", onEntry, mark, `{name: gone, at: 9 days, tag: x}`, `{name: last, at: 10 days, tag: x}`)
	w.start("c", noon)
	w.work(noon)
	w.campaign("c", onEntry, mark, `{name: second, at: 5 days, tag: y}`, `{name: last, at: 10 days, tag: x}`)
	w.move("c", nil, noon.Add(day))
	w.campaign("c", onEntry, `{name: third, at: 6 days, tag: y}`, `{name: last, at: 10 days, tag: x}`)
	w.move("c", nil, noon.Add(2*day))
	w.campaign("c", onEntry, `{name: third, at: 7 days, tag: y}`, `{name: last, at: 10 days, tag: x}`)
	w.move("c", nil, noon.Add(2*day))

	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{noon.Add(day - 1), "v1: mark sent, gone planned, last planned"},
		{noon.Add(day), "v2: mark sent, second planned, gone skipped, last planned"},
		{noon.Add(2*day - 1), "v2: mark sent, second planned, gone skipped, last planned"},
		{noon.Add(2 * day), "v4: mark sent, second skipped, third planned, gone skipped, last planned"},
		{time.Time{}, "v4: mark sent, second skipped, third planned, gone skipped, last planned"},
	} {
		p := w.why(id, noon.Add(3*day), tt.at).Enrollments[0]
		var steps []string
		for _, s := range p.Steps {
			steps = append(steps, s.Step+" "+s.State)
		}
		if got := fmt.Sprintf("v%d: %s", p.Version, strings.Join(steps, ", ")); got != tt.want {
			t.Errorf("as of %s\n got %s\nwant %s", tt.at, got, tt.want)
		}
	}
}

// TestExplain_never holds every-why for customers who were never enrolled.
func TestExplain_never(t *testing.T) {
	t.Parallel()
	t.Run("a draft", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", map[string]any{"delinquent": false})
		w.since(noon.Add(-day))
		w.campaign("c", onEntry, mark)
		wantTold(t, w.why(id, noon, time.Time{}), `
Not enrolled: the campaign is a draft: nobody has started it.
because the campaign is a draft: nobody has started it
because not a member of segment owing
change dunlin campaigns start c
change if this were so: delinquent (delinquent is false)
`)
		wantTold(t, w.why(id, noon, noon.Add(-time.Hour)), "Not enrolled: the campaign was not stored yet.\nbecause the campaign was not stored yet")
		if _, err := Explain(t.Context(), w.pool, Question{Ref: customers.Ref{Account: w.account, Customer: id}, Campaign: "none", Now: noon}); !errors.Is(err, workspace.ErrNotFound) {
			t.Errorf("an unknown campaign\n got %v\nwant ErrNotFound", err)
		}
		if _, err := Explain(t.Context(), w.pool, Question{Ref: customers.Ref{Account: w.account, Customer: 999}, Campaign: "c", Now: noon}); !errors.Is(err, customers.ErrNotFound) {
			t.Errorf("an unknown customer\n got %v\nwant ErrNotFound", err)
		}
	})
	t.Run("paused, stopped, and not of an account that is ready", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", nil)
		w.since(noon.Add(-day))
		w.campaign("c", onEntry, mark)
		w.start("c", noon)
		w.tx(func(tx pgx.Tx) error { return Pause(t.Context(), tx, "c", noon.Add(30*time.Minute)) })
		w.exec(`update dunlin.accounts set ready_at = null`)
		w.exec(`insert into dunlin.stops (stopped_at) values ($1)`, noon)
		a := w.why(id, noon.Add(time.Hour), time.Time{})
		wantTold(t, a, `
Not enrolled: the campaign is paused, and enrolls nobody.
because the campaign is paused, and enrolls nobody
because the customers of account main are not all here: nobody of it joins a segment before it is synced; see dunlin doctor
change dunlin campaigns resume c
`)
		if a.StoppedAt == nil || a.State != Halted {
			t.Errorf("stop and state\n got %v, %s", a.StoppedAt, a.State)
		}
		if a := w.why(id, noon.Add(time.Hour), noon.Add(time.Minute)); a.State != Running || a.StartedAt == nil {
			t.Errorf("state of then\n got %q, started %v\nwant running", a.State, a.StartedAt)
		}
		w.exec(`update dunlin.campaign_states set since = $1`, noon.Add(time.Hour)) // as if it had not been kept until then
		if a := w.why(id, noon.Add(time.Hour), noon.Add(time.Minute)); a.State != "" {
			t.Errorf("state of then\n got %q\nwant none: it is not known", a.State)
		}
	})
	t.Run("a segment that changed unusually", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", nil)
		w.campaign("c", onEntry, mark)
		w.start("c", noon)
		w.join(id, "owing", noon)
		w.exec(`update dunlin.segments set waits = '1 became 1000'`)
		wantTold(t, w.why(id, noon.Add(time.Hour), time.Time{}), `
Not enrolled: segment owing has changed unusually, and enrolls nobody until somebody accepts that.
because segment owing has changed unusually, and enrolls nobody until somebody accepts that
change dunlin segments accept owing
`)
	})
	t.Run("before it was known", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", nil)
		w.since(noon.Add(day))
		w.campaign("c", onEntry, mark)
		w.start("c", noon)
		wantTold(t, w.why(id, noon.Add(2*day), noon.Add(time.Hour)), `
Not enrolled: not a member of segment owing.
because not a member of segment owing
remark what its attributes were is not known: the customer was not known then: it is known since 2026-03-03T12:00:00Z
`)
	})
	t.Run("time alone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.segment("carded", "card_expires_at within next 30 days and (delinquent or mrr > 10 usd) and not deleted")
		id := w.customer("ann", map[string]any{"card_expires_at": date26(time.May, 31), "delinquent": false, "deleted": true})
		w.campaign("c", onCard, mark)
		w.start("c", noon)
		wantTold(t, w.why(id, noon.Add(time.Hour), time.Time{}), `
Not enrolled: not a member of segment carded.
because not a member of segment carded
change if this were so: card_expires_at within next 30 days (card_expires_at is 2026-05-31; today() + 30 days is 2026-04-01)
change if this were so: delinquent (delinquent is false) or mrr > 10 usd (mrr is missing)
change if this were so: not deleted (deleted is true)
`)
	})
	t.Run("a member without a card, and one from before", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", nil)
		w.campaign("c", onCard, mark)
		w.segment("carded", "delinquent")
		w.start("c", noon)
		w.join(id, "carded", noon.Add(-time.Hour))
		wantTold(t, w.why(id, noon.Add(time.Hour), time.Time{}), `
Not enrolled: there is no card with an expiry, and each card is an episode.
because there is no card with an expiry, and each card is an episode
change a card
`)
		w.campaign("c", strings.ReplaceAll(onCard, "enroll", "ignore"), mark)
		wantTold(t, w.why(id, noon.Add(time.Hour), time.Time{}), `
Not enrolled: was a member before the campaign was started, and it passes those over (existing: ignore).
because was a member before the campaign was started, and it passes those over (existing: ignore)
change another join of segment carded
`)
	})
	t.Run("an event that did not happen", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", nil)
		w.campaign("c", "trigger: charge_failed", mark)
		w.exec(`update dunlin.campaigns set state = 'running', started_at = $1`, noon)
		wantTold(t, w.why(id, noon.Add(time.Hour), time.Time{}), "Not enrolled: no event charge_failed has happened.\nbecause no event charge_failed has happened")
		w.exec(`insert into dunlin.events (account_id, customer_id, id, created_at, type) values ($1, $2, 'e', $3, 'charge_failed')`, w.account, id, noon.Add(-time.Hour))
		a := w.why(id, noon.Add(time.Hour), time.Time{})
		if want := "the last event charge_failed was at 2026-03-02 11:00, before the campaign was started"; len(a.Because) != 1 || a.Because[0] != want {
			t.Errorf("an event from before\n got %q\nwant %q", a.Because, want)
		}
	})
	t.Run("an event that is too old", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", nil)
		w.campaign("c", "trigger: charge_failed", mark)
		w.start("c", noon)
		event := func(name string, at time.Time) {
			w.exec(`insert into dunlin.events (account_id, customer_id, id, created_at, type) values ($1, $2, $3, $4, 'charge_failed')`, w.account, id, name, at)
		}
		event("old", noon.Add(time.Hour))
		wantTold(t, w.why(id, noon.Add(9*day), time.Time{}), `
Not enrolled: the last event charge_failed was at 2026-03-02 13:00: too long ago, it enrolls within 7 days.
because the last event charge_failed was at 2026-03-02 13:00: too long ago, it enrolls within 7 days
change another event charge_failed`)
		w.enroll(noon.Add(9 * day))
		a := w.why(id, noon.Add(9*day), time.Time{})
		want(t, "passed over", a.Summary, "Not contacted: the enrollment ended at 2026-03-11 12:00 (the event was more than 7 days old when it could be followed).")
		want(t, "what would change it", a.Change, []string{"another event charge_failed"})

		event("another", noon.Add(9*day))
		w.enroll(noon.Add(9*day + time.Hour))
		event("older", noon.Add(2*time.Hour)) // of which we hear last
		w.enroll(noon.Add(10 * day))
		a = w.why(id, noon.Add(10*day), time.Time{})
		want(t, "the newest event decides", a.Summary, "Not contacted yet: step mark is due since 2026-03-11 13:00.")
	})
}

// TestExplain_takenUp holds every-why for members who came back with what their
// campaign has taken up before, and takes up once.
func TestExplain_takenUp(t *testing.T) {
	t.Parallel()
	t.Run("a card", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 20)})
		w.since(noon.Add(-day))
		w.campaign("c", onCard, `{name: early, at: -20 days, tag: a}`, `{name: last, at: 1 day, tag: b}`)
		w.start("c", noon)
		w.join(id, "carded", noon)
		w.enroll(noon)
		w.leave(id, "carded")
		w.enroll(noon.Add(time.Hour))
		w.join(id, "carded", noon.Add(2*time.Hour))
		w.enroll(noon.Add(2 * time.Hour))
		wantTold(t, w.why(id, noon.Add(3*time.Hour), time.Time{}), `
Not contacted: the enrollment ended at 2026-03-02 13:00 (left the segment). A member with the same card, and each card is taken up once.
exited left_segment
  early skipped left_segment
  last skipped left_segment
change another card, while a member: each is taken up once
`)
		w.leave(id, "carded")
		w.exec(`update dunlin.customers set card_id = null, card_expires_at = null`)
		wantTold(t, w.why(id, noon.Add(4*time.Hour), time.Time{}), `
Not contacted: the enrollment ended at 2026-03-02 13:00 (left the segment).
exited left_segment
  early skipped left_segment
  last skipped left_segment
change if this were so: card_expires_at is set (card_expires_at is missing)
change another card, while a member: each is taken up once
`)
	})
	t.Run("a card that the start passed over", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", map[string]any{"card_id": "pm_1", "card_expires_at": date26(time.March, 20)})
		w.join(id, "carded", noon)
		w.campaign("c", strings.ReplaceAll(onCard, "enroll", "ignore"), `{name: last, at: 1 day, tag: b}`)
		w.start("c", noon)
		wantTold(t, w.why(id, noon.Add(time.Hour), time.Time{}), `
Not contacted: the enrollment ended at 2026-03-02 12:00 (was a member when the campaign was started or edited, or under way in it by then). A member with the same card, and each card is taken up once.
exited already_member
change another card, while a member: each is taken up once
`)
	})
	t.Run("an invoice", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.customer("ann", nil)
		w.exec(`insert into dunlin.invoices (account_id, customer_id, id, created_at, status, amount_remaining, amount_remaining_currency, due_at, attempt_count)
			values ($1, $2, 'in_1', $3, 'open', 10, 'usd', $3, 1)`, w.account, id, noon.Add(-day))
		w.campaign("c", "segment: owing\nepisode: invoice\nexisting: enroll", `{name: last, at: 1 day, tag: b}`)
		w.start("c", noon)
		w.join(id, "owing", noon)
		w.enroll(noon)
		if a := w.why(id, noon, time.Time{}); strings.Contains(a.Summary, "once") {
			t.Errorf("under way\n got %s", a.Summary)
		}
		w.leave(id, "owing")
		w.enroll(noon.Add(time.Hour))
		w.join(id, "owing", noon.Add(2*time.Hour))
		w.enroll(noon.Add(2 * time.Hour))
		wantTold(t, w.why(id, noon.Add(3*time.Hour), time.Time{}), `
Not contacted: the enrollment ended at 2026-03-02 13:00 (left the segment). A member with the same invoice, and each invoice is taken up once.
exited left_segment
  last skipped left_segment
change another invoice, while a member: each is taken up once
`)
	})
}

// TestExplain_waiting holds that whatever makes a step wait has words, and that
// something can be said of its end (every-why).
func TestExplain_waiting(t *testing.T) {
	t.Parallel()
	until := noon.Add(time.Hour)
	a := Answer{At: noon, Campaign: "c", settings: workspace.Defaults()}
	for _, r := range []Reason{
		NotYet, ReentryWait, AnchorMissing, QuietNow, BudgetSpent, TooClose, Outranked, OnHold, Promised, Disputed, Stopped, Paused, SegmentWaits,
		Unapplied, DataOld, TestOnly, ZoneUnknown, NoContact, AmbiguousContact, ContactStale, Unreadable, Undecided, IntercomAway, WebhookFails,
	} {
		if r.Words() == string(r) {
			t.Errorf("%s has no words", r)
		}
		if got := a.toChange(&Taken{State: "planned", Reason: string(r), DueAt: &until}); got == "" {
			t.Errorf("what ends a wait for %s\n got nothing", r)
		}
		got := a.toChange(&Taken{State: "planned", Reason: string(r), DueAt: &noon})
		if over := !slices.Contains(notLeaving, r); over != strings.HasPrefix(got, "a worker takes it") {
			t.Errorf("what is due, and waited for %s\n got %s\nwant that a worker takes it: %v", r, got, over)
		}
	}
}

// TestVerdicted_arithmetic holds what the reasons were reckoned from, in words.
func TestVerdicted_arithmetic(t *testing.T) {
	t.Parallel()
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	d := aDecided(t)
	none := d
	none.Mentions = nil
	none.Situation = &Situation{Now: noon, Step: Step{Action: Message, Contact: true}, Settings: workspace.Defaults()}
	unlimited := *d.Situation
	unlimited.Settings.Budget = workspace.Budget{}
	free := d
	free.Situation = &unlimited
	days := *d.Situation
	days.Settings.QuietDays = workspace.QuietDays{
		Weekdays: [7]bool{time.Saturday: true, time.Sunday: true},
		Dates:    []rule.Date{{Month: time.March, Day: 6}, {Year: 2026, Month: time.March, Day: 10}},
	}
	weekend := d
	weekend.Situation = &days
	endless := *d.Situation
	endless.Settings.QuietDays = workspace.QuietDays{Weekdays: [7]bool{true, true, true, true, true, true, true}}
	never := d
	never.Situation = &endless
	nobody := d
	nobody.Situation = &Situation{Contact: Contact{State: "none", OptOut: "it cannot be looked for at Intercom: 400"}}
	for _, tt := range []struct {
		of     Decided
		reason Reason
		want   string
	}{
		{d, QuietNow, "21:00-08:00 Europe/Vienna (by the billing address)"},
		{weekend, QuietNow, "21:00-08:00 Europe/Vienna and 2026-03-06 and Saturday 2026-03-07 and Sunday 2026-03-08 (by the billing address)"},
		{never, QuietNow, "21:00-08:00 Europe/Vienna and Thursday 2026-03-05 (by the billing address)"},
		{none, QuietNow, "21:00-08:00 UTC and 16:00-11:00 UTC (nothing tells the zone)"},
		{d, BudgetSpent, "3 of 3 contacts in 7 days: 2026-03-01 22:30, 2026-03-02 22:30, 2026-03-05 12:30; there is room from 2026-03-08 22:30"},
		{d, TooClose, "contacts are 20 hours apart, and the last was at 2026-03-05 12:30; there is room from 2026-03-08 22:30"},
		{d, DataOld, "it is 90 seconds old, and may be 15 minutes"},
		{d, NotYet, "its time is 2026-03-05 21:30"},
		{d, Expired, "its time was 2026-03-05 21:30, and it was of use until 2026-03-08 22:30"},
		{d, Promised, "until 2026-03-04 22:30"},
		{d, Disputed, "until somebody lifts it, or it ends by itself"},
		{d, HeldOut, "as are 10% of the persons"},
		{d, ContactStale, "asked last at 2026-03-05 22:29"},
		{none, ContactStale, "never asked yet"},
		{nobody, NoContact, "it cannot be looked for at Intercom: 400"},
		{d, ConditionFalse, "account_balance is missing, card_expires_at is 2026-03-31, delinquent is true, lifetime_spend is missing, metadata['gone'] is missing, metadata['tier'] is 'gold', mrr is 49.50 usd, next_charge_at is 2026-03-05T21:30:00Z, plan is 'Pro', plans is ['Pro', 'Team']"},
		{none, ConditionFalse, ""},
		{free, "", "outside 21:00-08:00 Europe/Vienna (by the billing address); no contact budget"},
		{d, Paused, ""},
	} {
		raw, err := json.Marshal(tt.of.inputs())
		if err != nil {
			t.Fatal(err)
		}
		v := Verdicted{At: tt.of.Situation.Now, Reason: tt.reason}
		if err := json.Unmarshal(raw, &v.inputs); err != nil {
			t.Fatal(err)
		}
		if got := v.arithmetic(vienna); got != tt.want {
			t.Errorf("arithmetic of %q\n got %s\nwant %s", tt.reason, got, tt.want)
		}
	}
}
