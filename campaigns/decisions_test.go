package campaigns

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

func mustRule(t testing.TB, source string) *rule.Rule {
	t.Helper()
	r, err := rule.New(source, segments.Known{}, "usd")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func dollars(t testing.TB, amount string) rule.Money {
	t.Helper()
	d, err := rule.ParseDecimal(amount)
	if err != nil {
		t.Fatal(err)
	}
	return rule.Money{Amount: d, Currency: "usd"}
}

// aDecided is a message for somebody in Austria that waits for the morning.
func aDecided(t testing.TB) Decided {
	t.Helper()
	now := time.Date(2026, time.March, 5, 21, 30, 0, 0, time.UTC)
	scheduled, expires := now.Add(-time.Hour), now.Add(3*day)
	settings := workspace.Defaults()
	s := &Situation{
		Now: now, Settings: settings, Enrolled: true, Member: true, SameEpisode: true, Condition: true,
		DataAge: 90 * time.Second, NoOlderThan: 15 * time.Minute,
		Holds:     []Hold{{Reason: Promised, Until: now.Add(-day)}},
		Step:      Step{Name: "nudge", Action: Message, Contact: true},
		Scheduled: &scheduled, Expires: &expires, Waited: NotYet,
		Contact: Contact{
			State: "linked", ID: "C1", Role: "user", Email: "ann@example.com", Checked: now.Add(-time.Minute),
			Place: Place{Country: "AT"},
		},
		Contacts: []time.Time{now.Add(-4 * day), now.Add(-3 * day), now.Add(-10 * time.Hour)},
	}
	picture := customers.NewPicture(customers.Ref{Account: 1, Customer: 2}, "pm_1", "", map[string]any{
		"email": "ann@example.com", "name": "Ann", "first_name": "Ann", "plan": "Pro", "mrr": dollars(t, "49.50"), "delinquent": true,
		"card_expires_at": rule.Date{Year: 2026, Month: 3, Day: 31}, "next_charge_at": now, "metadata": map[string]string{"tier": "gold", "boss": "eve@example.com", "more": "x"},
		"plans": []string{"Pro", "Team"},
	})
	list := mentionedBy(segments.Parents{"vip": mustRule(t, "mrr > 10 usd")},
		mustRule(t, "delinquent and email is set and name != 'Bob' and in segment 'vip' and exists (invoices where amount_due > customer.account_balance)"),
		mustRule(t, "plan = 'Pro' and metadata['tier'] = 'gold' and metadata['boss'] is set and metadata['gone'] is null and plans contains 'Pro'"),
		nil,
		mustRule(t, "delinquent or card_expires_at within next 30 days and next_charge_at > now() and lifetime_spend is null"))
	d := Decided{
		Key:     Key{Account: 1, Customer: 2, Campaign: "c", Episode: "e", Step: "nudge"},
		Version: 3, Decision: Decide(*s), Situation: s, Holdout: 10, Variant: "short", Mentions: list, Picture: picture,
	}
	return d
}

// TestInputs holds what the log tells of a decision (every-why), and that it
// tells neither names nor addresses.
func TestInputs(t *testing.T) {
	t.Parallel()
	d := aDecided(t)
	raw, err := json.MarshalIndent(d.inputs(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "action": "message",
  "scheduled_at": "2026-03-05T20:30:00Z",
  "expires_at": "2026-03-08T21:30:00Z",
  "waited": "not_yet",
  "enrolled": true,
  "member": true,
  "same_episode": true,
  "goal": false,
  "condition": true,
  "data_age": 90,
  "data_no_older_than": 900,
  "holds": [
    {
      "reason": "promise_to_pay",
      "until": "2026-03-04T21:30:00Z"
    }
  ],
  "contact": {
    "state": "linked",
    "id": "C1",
    "role": "user",
    "checked_at": "2026-03-05T21:29:00Z"
  },
  "quiet_hours": {
    "spans": [
      "21:00-08:00 Europe/Vienna"
    ],
    "zone_from": "billing address",
    "until": "2026-03-06T07:00:00Z"
  },
  "contact_budget": {
    "contacts": 3,
    "within": 604800,
    "apart": 72000,
    "counted": [
      "2026-03-01T21:30:00Z",
      "2026-03-02T21:30:00Z",
      "2026-03-05T11:30:00Z"
    ],
    "free_at": "2026-03-08T21:30:00Z"
  },
  "holdout": {
    "percent": 10,
    "held_out": false
  },
  "variant": "short",
  "values": {
    "delinquent": true,
    "mrr": {
      "amount": "49.50",
      "currency": "usd"
    },
    "account_balance": null,
    "plan": "Pro",
    "metadata['tier']": "gold",
    "metadata['gone']": null,
    "plans": [
      "Pro",
      "Team"
    ],
    "card_expires_at": "2026-03-31",
    "next_charge_at": "2026-03-05T21:30:00Z",
    "lifetime_spend": null
  }
}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("inputs (-want +got)\n%s", diff)
	}
	if strings.Contains(string(raw), "@") || strings.Contains(string(raw), "Ann") {
		t.Error("the inputs hold a name or an address")
	}

	d.Situation.Step = Step{Name: "call", Action: Task}
	if in := d.inputs(); in.Quiet != nil || in.Budget != nil {
		t.Errorf("inputs of a task\n got %+v\nwant neither quiet hours nor budget", in)
	}
	d.Picture = customers.NewPicture(d.Picture.Ref, "", "", map[string]any{"plan": strings.Repeat("ü", 100)})
	if got := string(d.inputs().Values); !strings.Contains(got, strings.Repeat("ü", 60)+`…"`) {
		t.Errorf("a long text\n got %s\nwant it cut", got)
	}
}

// TestLog_personal holds that a rule about somebody's address or name leaves
// neither in the decision log nor in the process's, and that why tells whoever
// asks what the rule says and what the customer has.
func TestLog_personal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log bytes.Buffer
	w.store.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.segment("owing", "delinquent and email = 'ana@example.com' and metadata['eve@example.com'] is null and plan != 'x'")
	id := w.customer("ana", map[string]any{"plan": "for bob@example.com"})
	w.since(noon.Add(-day))
	w.campaign("c", onEntry+"\ngoal: name = 'Bob' or metadata['bob@example.com'] = 'x'",
		`{name: mark, at: 0 days, if: "first_name = 'Ana' and email ends with '@example.com' and not exists (invoices where customer.email = 'ana@example.com')", tag: x}`,
		`{name: later, at: 1 day, tag: x}`)
	w.exec(`update dunlin.campaign_versions set created_at = $1`, noon.Add(-time.Hour))
	w.start("c", noon)
	w.join(id, "owing", noon)
	w.link(id, "C1", noon)
	w.tick(noon)
	w.enroll(noon)
	w.claim(w.key(id, "c", "mark"), noon)
	w.wantDelivery(w.key(id, "c", "mark"), "skipped condition_false")

	var inputs string
	w.row(&inputs, `select string_agg(d::text, E'\n') from dunlin.decisions d`)
	for what, said := range map[string]string{"decision log": inputs, "process's log": log.String()} {
		if low := strings.ToLower(said); strings.Contains(low, "@") || strings.Contains(low, "ana") || strings.Contains(low, "bob") {
			t.Errorf("the %s tells who it is\n%s", what, said)
		}
	}
	a := w.why(id, noon.Add(time.Minute), time.Time{})
	condition := a.Enrollments[0].Steps[0].If.String()
	for _, want := range []string{"first_name = 'Ana'", "first_name is 'ana'", "email is 'ana@example.com'"} {
		if !strings.Contains(condition, want) {
			t.Errorf("the condition in why\n got %s\nwant %s in it", condition, want)
		}
	}
	if !strings.Contains(a.Segment.Rule.String(), "email = 'ana@example.com'") {
		t.Errorf("the rule in why\n got %s\nwant what it says", a.Segment.Rule)
	}
}

func TestPlace_toldBy(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]Place{
		"contact":         {Zone: "Europe/Berlin", Country: "FR", LocationCountry: "GB"},
		"billing address": {Zone: "nowhere", Country: "FR", LocationCountry: "GB"},
		"location":        {Country: "XX", LocationCountry: "GB"},
		"unknown":         {LocationCountry: "XX"},
	} {
		if got := p.toldBy(); got != want {
			t.Errorf("toldBy of %+v\n got %s\nwant %s", p, got, want)
		}
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		before Reason
		d      Decision
		want   bool
	}{
		{QuietNow, Decision{Verdict: Wait, Reason: QuietNow}, true},
		{QuietNow, Decision{Verdict: Wait, Reason: BudgetSpent}, false},
		{"", Decision{Verdict: Send}, false},
		{QuietNow, Decision{Verdict: Skip, Reason: QuietNow}, false},
	} {
		if got := repeats(tt.before, tt.d); got != tt.want {
			t.Errorf("repeats(%q, %+v)\n got %t\nwant %t", tt.before, tt.d, got, tt.want)
		}
	}
}

// logged are the lines of the log, oldest first.
func (w *world) logged() []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `
		select campaign || '/' || step || ' ' || verdict || ' ' || coalesce(reason, '-') || ' ' || to_char(decided_at, 'YYYY-MM-DD') || ' v' || version
		from dunlin.decisions order by decided_at, decision_id`)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

func (w *world) log(list ...Decided) {
	w.t.Helper()
	w.tx(func(tx pgx.Tx) error { return w.store.logDecisions(w.t.Context(), tx, list) })
}

func (w *world) keep(now time.Time) (made, dropped int) {
	w.t.Helper()
	made, dropped, err := w.store.KeepDecisions(w.t.Context(), now)
	if err != nil {
		w.t.Fatal(err)
	}
	return made, dropped
}

// parts are the partitions of the log, by name, with their rows.
func (w *world) parts() []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `
		select c.relname || ' ' || coalesce(d.n, 0) from pg_inherits i join pg_class c on c.oid = i.inhrelid
		left join (select tableoid, count(*) as n from dunlin.decisions group by 1) d on d.tableoid = c.oid
		where i.inhparent = 'dunlin.decisions'::regclass order by 1`)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

func TestLogDecisions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := aDecided(t)
	sent := d
	sent.Decision = Decision{Verdict: Send}
	w.log(d, sent)
	w.log()
	want := []string{"c/nudge wait quiet_hours 2026-03-05 v3", "c/nudge send - 2026-03-05 v3"}
	if diff := cmp.Diff(want, w.logged()); diff != "" {
		t.Errorf("log (-want +got)\n%s", diff)
	}
	var until *time.Time
	var plan string
	w.row(&until, `select until from dunlin.decisions where verdict = 'wait'`)
	if until == nil || !until.Equal(time.Date(2026, time.March, 6, 7, 0, 0, 0, time.UTC)) {
		t.Errorf("until\n got %v\nwant 07:00 UTC", until)
	}
	w.row(&until, `select until from dunlin.decisions where verdict = 'send'`)
	w.row(&plan, `select distinct inputs->'values'->>'plan' from dunlin.decisions`)
	if until != nil || plan != "Pro" {
		t.Errorf("a verdict without an end, and a value\n got %v, %q\nwant nil, Pro", until, plan)
	}
}

// TestDecisions_appendOnly holds that nobody rewrites the log (every-why).
func TestDecisions_appendOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.log(aDecided(t))
	for _, sql := range []string{`update dunlin.decisions set reason = 'x'`, `delete from dunlin.decisions`, `truncate dunlin.decisions`} {
		if _, err := w.pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s\n got %v\nwant a refusal", sql, err)
		}
	}
	// A role that may only insert and select logs and keeps.
	role := fmt.Sprintf("worker_of_%s", strings.ReplaceAll(w.pool.Config().ConnConfig.Database, "-", "_"))
	role = pgx.Identifier{role}.Sanitize()
	w.exec(`create role ` + role)
	t.Cleanup(func() {
		if _, err := w.pool.Exec(context.WithoutCancel(t.Context()), `drop owned by `+role+`; drop role `+role); err != nil {
			t.Error(err)
		}
	})
	w.exec(`grant usage on schema dunlin to ` + role)
	w.exec(`grant insert, select on dunlin.decisions to ` + role)
	w.exec(`grant usage on sequence dunlin.decisions_id to ` + role)
	w.exec(`grant execute on function dunlin.keep_decisions to ` + role)
	w.tx(func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `set local role `+role); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `select dunlin.keep_decisions($1, 24)`, aDecided(t).Situation.Now); err != nil {
			return err
		}
		return w.store.logDecisions(t.Context(), tx, []Decided{aDecided(t)})
	})
	if got := len(w.logged()); got != 2 {
		t.Errorf("lines\n got %d\nwant 2", got)
	}
}

// TestKeepDecisions_months holds that months have partitions of their own at
// their ends, too, whatever the pace of a virtual clock.
func TestKeepDecisions_months(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := func(now time.Time) {
		d := aDecided(t)
		d.Situation.Now = now
		w.log(d)
	}
	lastInstant := time.Date(2026, time.February, 28, 23, 59, 59, 999999000, time.UTC)
	at(lastInstant) // before anybody made partitions
	at(lastInstant.Add(time.Microsecond))
	if made, dropped := w.keep(lastInstant.In(time.FixedZone("east", 14*3600))); made != 3 || dropped != 0 {
		t.Errorf("at the end of February\n got %d made, %d dropped\nwant 3, 0", made, dropped)
	}
	if made, dropped := w.keep(lastInstant); made != 0 || dropped != 0 {
		t.Errorf("again\n got %d made, %d dropped\nwant none", made, dropped)
	}
	want := []string{"decisions_2026_02 1", "decisions_2026_03 1", "decisions_2026_04 0", "decisions_rest 0"}
	if diff := cmp.Diff(want, w.parts()); diff != "" {
		t.Errorf("partitions (-want +got)\n%s", diff)
	}
	at(lastInstant)
	at(lastInstant.Add(70 * day)) // a clock that runs ahead of the sweep
	if made, _ := w.keep(lastInstant.Add(70 * day)); made != 3 {
		t.Errorf("after the clock ran ahead\n got %d made\nwant 3: May, June and July", made)
	}
	want = []string{"decisions_2026_02 2", "decisions_2026_03 1", "decisions_2026_04 0", "decisions_2026_05 1", "decisions_2026_06 0", "decisions_2026_07 0", "decisions_rest 0"}
	if diff := cmp.Diff(want, w.parts()); diff != "" {
		t.Errorf("partitions (-want +got)\n%s", diff)
	}
}

func TestKeepDecisions_retention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings(settingsUTC + "retention: {decisions: 2 months}\n")
	january := time.Date(2026, time.January, 31, 12, 0, 0, 0, time.UTC)
	ancient := aDecided(t)
	ancient.Situation.Now = january.AddDate(-3, 0, 0)
	w.keep(january)
	w.log(ancient)
	for _, now := range []time.Time{january, january.AddDate(0, 0, 1)} {
		d := aDecided(t)
		d.Situation.Now = now
		w.log(d)
	}
	if _, dropped := w.keep(time.Date(2026, time.March, 31, 23, 59, 0, 0, time.UTC)); dropped != 0 {
		t.Errorf("two months after January's end, but a minute\n got %d dropped\nwant none", dropped)
	}
	if got := w.logged(); len(got) != 2 {
		t.Errorf("the log\n got %v\nwant that of three years ago gone", got)
	}
	if _, dropped := w.keep(time.Date(2026, time.April, 1, 0, 0, 0, 0, time.UTC)); dropped != 1 {
		t.Errorf("two months after January's end\n got %d dropped\nwant January", dropped)
	}
	if got := w.logged(); !slices.Equal(got, []string{"c/nudge wait quiet_hours 2026-02-01 v3"}) {
		t.Errorf("the log\n got %v\nwant that of February", got)
	}
}

// TestKeepDecisions_busy holds that nobody waits long for a log that is in use.
func TestKeepDecisions_busy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tx(func(tx pgx.Tx) error {
		if err := w.store.logDecisions(t.Context(), tx, []Decided{aDecided(t)}); err != nil { // into the rest
			return err
		}
		made, _ := w.keep(noon)
		if made != 0 {
			t.Errorf("beside a claim\n got %d made\nwant none yet", made)
		}
		return nil
	})
	if made, _ := w.keep(noon); made != 3 {
		t.Errorf("after it\n got %d made\nwant 3", made)
	}
}

func BenchmarkInputs(b *testing.B) {
	d := aDecided(b)
	list := slices.Repeat([]Decided{d}, 1000)
	for b.Loop() {
		if _, _, err := decisionsSQL(list); err != nil {
			b.Fatal(err)
		}
	}
}
