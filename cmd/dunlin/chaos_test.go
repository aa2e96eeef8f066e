package main

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/examples"
	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/workspace"
)

var (
	chaosSeeds     = flag.Int("chaos-seeds", 0, "of TestChaos_large: how many lives; 0 skips it")
	chaosKills     = flag.Int("chaos-kills", 1000, "of TestChaos_large: kills in each life")
	chaosCustomers = flag.Int("chaos-customers", 5000, "of TestChaos_large: customers at the start")
	chaosDays      = flag.Int("chaos-days", 60, "of TestChaos_large: simulated days")
)

// TestChaos: three workers are killed with -9 twenty times and Postgres once,
// Intercom loses one answer in four, webhooks come twice and in no order, and
// nobody is written to twice (one-contact), at night (decent-hours), after they
// paid (no-stale-contact), or too often (one-budget); nothing is forgotten
// (nothing-lost), and the tables know what Intercom has.
func TestChaos(t *testing.T) {
	t.Parallel()
	r := chaos(t, chaosConfig{Seed: 3, Customers: 140, Days: 3, Kills: 20, Crash: true})
	t.Log(r)
	if len(r.tripped()) > 0 {
		t.Errorf("verdicts\n got %v\nwant none\n%s", r.tripped(), strings.Join(append(r.Details, r.unnamed...), "\n"))
	}
	// A kill loses up to fifty calls at once: how many arrive is chance.
	if r.kills < 20 || r.messages+r.unknown < 20 || r.messages == 0 || r.unknown == 0 {
		t.Errorf("kills, messages and unknown\n got %d, %d and %d\nwant 20, and 20 of both together, at least: the test shows too little", r.kills, r.messages, r.unknown)
	}
}

// TestChaos_large is make chaos.
func TestChaos_large(t *testing.T) {
	if *chaosSeeds == 0 {
		return // nobody asked for it
	}
	fmt.Println(chaosHeader)
	for i := range *chaosSeeds {
		seed := int64(i + 1)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel() // a life waits more than it computes
			r := chaos(t, chaosConfig{Seed: seed, Customers: *chaosCustomers, Days: *chaosDays, Kills: *chaosKills, Crash: true})
			fmt.Println(r)
			if len(r.tripped()) > 0 {
				t.Errorf("seed %d\n got %v\nwant no verdicts\n%s", seed, r.tripped(), strings.Join(append(r.Details, r.unnamed...), "\n"))
			}
		})
	}
}

// TestChaos_broken: whatever is broken is found out. Two of them take long, or need
// a life in which enough goes wrong: make chaos runs those.
func TestChaos_broken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		broken, verdict string
		config          chaosConfig
		beside          string // a verdict that may be tripped as well
		long            bool
	}{
		{sendsTwice, "duplicates", chaosConfig{Calm: true}, "", false},
		{resendsBlur, "duplicates", chaosConfig{Customers: 150, Days: 3}, "", true},
		{sendsLate, "after recovery", chaosConfig{Calm: true, Customers: 150, Days: 4}, "over budget", true}, // with the offer of that day
		{dropsSome, "disagreements", chaosConfig{Calm: true}, "forgotten", false},                            // three days later somebody misses it
		{noQuietHours, "at night", chaosConfig{Calm: true, Customers: 150, Days: 2}, "", false},
		{losesSome, "forgotten", chaosConfig{Calm: true, Days: 2}, "", false}, // as soon as it is too late
	}
	for _, tt := range tests {
		if tt.long && *chaosSeeds == 0 {
			continue
		}
		t.Run(tt.broken, func(t *testing.T) {
			t.Parallel()
			c := tt.config
			c.Seed, c.Broken = 3, tt.broken
			c.Customers, c.Days = max(c.Customers, 60), max(c.Days, 1)
			r := chaos(t, c)
			t.Log(r)
			found := map[string]bool{}
			for _, v := range r.tripped() {
				found[v] = true
			}
			delete(found, tt.beside)
			if len(found) != 1 || !found[tt.verdict] {
				t.Errorf("verdicts of workers with: %s\n got %v\nwant %s\n%s", tt.broken, r.tripped(), tt.verdict, strings.Join(append(r.Details, r.unnamed...), "\n"))
			}
		})
	}
}

// What is broken outside the workers: in the workspace, where the judge still
// believes in quiet hours, and in the tables.
const (
	noQuietHours = "no quiet hours"
	losesSome    = "enrollments of one campaign" // vanish, as if they had never been
)

// chaos lives one life and has it judged.
func chaos(t *testing.T, c chaosConfig) chaosResult {
	t.Helper()
	began := time.Now()
	m := newMayhem(t, c)
	switch c.Broken {
	case noQuietHours:
		m.forgetQuietHours()
	case losesSome:
		m.loseEnrollments()
	}
	m.live()
	r := m.judged()
	r.took = time.Since(began)
	return r
}

// forgetQuietHours applies the workspace of the examples with days that have no
// night.
func (m *mayhem) forgetQuietHours() {
	m.t.Helper()
	data, err := examples.Files.ReadFile("workspace.yaml")
	if err != nil {
		m.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), `"21:00"`, `"08:00"`)
	docs, faults := workspace.Parse("workspace.yaml", []byte(text))
	if len(faults) > 0 {
		m.t.Fatal(faults)
	}
	set, err := checkDefinitions(m.t.Context(), m.db.Pool, docs)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := set.apply(m.t.Context(), m.db.Pool, m.world.Now()); err != nil {
		m.t.Fatal(err)
	}
}

// loseEnrollments lets those of one campaign vanish, now and whenever one is written.
func (m *mayhem) loseEnrollments() {
	m.t.Helper()
	for _, sql := range []string{
		`create function dunlin.lose() returns trigger language plpgsql as 'begin return null; end'`,
		`create trigger lose before insert on dunlin.enrollments for each row when (new.campaign = 'payment-failed') execute function dunlin.lose()`,
		`delete from dunlin.deliveries where campaign = 'payment-failed'`,
		`delete from dunlin.enrollments where campaign = 'payment-failed'`,
	} {
		execSQL(m.t, m.db.Pool, sql)
	}
}

// chaosResult is one life's end.
type chaosResult struct {
	sandbox.Verdict
	seed                     int64
	kills, messages, unknown int
	unnamed                  []string // deliveries and enrollments that wait, or ended, for no reason
	took                     time.Duration
}

const chaosHeader = "seed  kills  messages  unknown | duplicates  at night  after recovery  over budget  forgotten  disagreements  unnamed | seconds"

// String is a row below chaosHeader.
func (r chaosResult) String() string {
	return fmt.Sprintf("%4d  %5d  %8d  %7d | %10d  %8d  %14d  %11d  %9d  %13d  %7d | %7.0f", r.seed, r.kills, r.messages, r.unknown,
		r.Duplicates, r.QuietHourViolations, r.ContactedAfterRecovery, r.BudgetBreaches, r.Forgotten, r.Disagreements, len(r.unnamed), r.took.Seconds())
}

// tripped names the verdicts that found something.
func (r chaosResult) tripped() (names []string) {
	for _, v := range []struct {
		name string
		n    int
	}{
		{"duplicates", r.Duplicates}, {"at night", r.QuietHourViolations}, {"after recovery", r.ContactedAfterRecovery},
		{"over budget", r.BudgetBreaches}, {"forgotten", r.Forgotten}, {"disagreements", r.Disagreements}, {"unnamed", len(r.unnamed)},
	} {
		if v.n > 0 {
			names = append(names, v.name)
		}
	}
	return names
}

// judged compares what the sandbox saw with what the tables say.
func (m *mayhem) judged() chaosResult {
	m.t.Helper()
	reasons, err := m.reasons(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	c := m.world.Case(m.from, m.world.Now(), reasons)
	c.Budget = sandbox.Budget{Contacts: 3, Within: 7 * 24 * time.Hour, Apart: 20 * time.Hour} // of examples/workspace.yaml
	c.Records = m.records()
	r := chaosResult{
		Verdict: sandbox.Judge(c), seed: m.Seed, kills: m.kills, unnamed: m.unnamed(),
		unknown: count(m.t, m.db.Pool, `select count(*) from dunlin.deliveries where state = 'unknown'`),
	}
	for _, x := range c.Accepted {
		if x.Kind == "message" {
			r.messages++
		}
	}
	return r
}

// records is what our tables say of each delivery.
func (m *mayhem) records() []sandbox.Record {
	m.t.Helper()
	rows, err := m.db.Query(m.t.Context(), `
		select c.stripe_id, d.campaign, d.step, case d.action when 'task' then 'ticket' else d.action end,
		       coalesce(d.contact_id, ''), coalesce(d.external_id, ''), d.state
		from dunlin.deliveries d join dunlin.customers c using (account_id, customer_id)`)
	if err != nil {
		m.t.Fatal(err)
	}
	out := []sandbox.Record{}
	var r sandbox.Record
	if _, err := pgx.ForEachRow(rows, []any{&r.Customer, &r.Campaign, &r.Step, &r.Kind, &r.Contact, &r.ID, &r.State}, func() error {
		out = append(out, r)
		return nil
	}); err != nil {
		m.t.Fatal(err)
	}
	return out
}

// unnamed are the due steps without an end or a reason to wait, and what is under
// way with nothing left to do (nothing-lost).
func (m *mayhem) unnamed() []string {
	m.t.Helper()
	rows, err := m.db.Query(m.t.Context(), `
		select concat_ws(' ', 'unnamed:', d.state, d.reason, d.action, d.customer_id, d.campaign, d.episode, d.step, d.due_at) from dunlin.deliveries d
		where d.state = 'claimed'
		   or d.state = 'planned' and (d.due_at is null or d.due_at <= $1) and d.reason is null
		   or d.state in ('skipped', 'failed', 'unknown') and (d.reason is null or d.ended_at is null)
		   or d.state = 'sent' and d.ended_at is null
		union all
		select concat_ws(' ', 'nothing left to do:', e.customer_id, e.campaign, e.episode) from dunlin.enrollments e
		where e.state = 'active'
		  and not exists (select from dunlin.deliveries d where d.account_id = e.account_id and d.customer_id = e.customer_id
		                  and d.campaign = e.campaign and d.episode = e.episode and d.state in ('planned', 'claimed'))
		  and not exists (select from dunlin.tasks k where k.account_id = e.account_id and k.customer_id = e.customer_id
		                  and k.campaign = e.campaign and k.episode = e.episode and k.state = 'open')
		order by 1`, m.world.Now())
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}
