package segments_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Masterminds/squirrel"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

// TestHistory_exactMembership holds exact-membership over random histories:
// customers and their elements change, time stands still, creeps over
// boundaries or leaps, segments are edited while their lists are being built.
// After every tick each list in force is what its rule says of every customer,
// and the log adds up to it. With -soak it goes on with other histories for as
// long.
func TestHistory_exactMembership(t *testing.T) {
	t.Parallel()
	triples := make(chan int, 100)
	t.Cleanup(func() {
		close(triples)
		sum := 0
		for n := range triples {
			sum += n
		}
		t.Logf("compared %d triples of rule, customer and instant", sum)
		if sum < 20_000 && !t.Failed() {
			t.Errorf("compared only %d triples", sum)
		}
	})
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, seed)
			h.run(10)
			triples <- h.triples
		})
	}
}

// TestHistory_accountsAway is the same with accounts that are not ready for
// some ticks, as while they are projected again.
func TestHistory_accountsAway(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 100+seed)
			h.away = true
			h.run(6)
		})
	}
}

func TestHistory_soak(t *testing.T) {
	t.Parallel()
	f := flag.Lookup("soak")
	if f == nil {
		return
	}
	length, _ := f.Value.(flag.Getter).Get().(time.Duration)
	end := time.Now().Add(length)
	for seed := uint64(1000); time.Now().Before(end); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHistory(t, seed)
			h.away = seed%2 == 0
			h.run(60)
		})
	}
}

// TestHistory_concurrentWriters holds that nobody is lost who changes while a
// tick is under way.
func TestHistory_concurrentWriters(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 7)
	h.start(20)
	ctx := context.WithoutCancel(t.Context())
	var writers sync.WaitGroup
	stop := make(chan struct{})
	written := make([]int, 4)
	halt := sync.OnceFunc(func() { close(stop); writers.Wait() })
	defer halt()
	for n := range written {
		w := &writer{rand: rand.New(rand.NewPCG(uint64(n), 99)), at: h.now, zone: h.zone}
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sql, args := w.change(h.refs[w.rand.IntN(len(h.refs))])
				if _, err := h.pool.Exec(ctx, sql, args...); err != nil {
					t.Error(err)
					return
				}
				written[n]++
			}
		})
	}
	h.chunk = 5
	for n := range 10 {
		if n%5 == 2 {
			h.edit()
		}
		h.now = h.now.Add(time.Second)
		h.fixture.tick() // of a snapshot that is gone by the time one could look
	}
	halt()
	h.settle()
	h.audit()
	t.Logf("beside 10 ticks the writers wrote %v times", written)
}

// TestTick_blocksNoWriter holds a tick open while customers whom it looks at
// change: they need not wait for it, and the next tick sees them.
func TestTick_blocksNoWriter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.customer(f.account, "a", map[string]any{"delinquent": true})
	b := f.customer(f.account, "b", nil)
	f.save(f.parse("owing", "delinquent or exists (invoices)"))
	f.tick()
	f.set(a, "delinquent", false)

	inside, leave := make(chan struct{}), make(chan struct{})
	ticker := f.ticker()
	ticker.After = func(context.Context, pgx.Tx, segments.Tick) error {
		close(inside)
		<-leave
		return nil
	}
	done := make(chan error)
	go func() { _, err := ticker.Tick(context.WithoutCancel(t.Context())); done <- err }()
	<-inside
	err := pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`set local lock_timeout = '5s'`, // instead of waiting for ever
			fmt.Sprintf(`update dunlin.customers set delinquent = true, plan = 'x' where customer_id = %d`, a),
			fmt.Sprintf(`insert into dunlin.invoices (account_id, customer_id, id, created_at) values (%d, %d, 'in_1', '2026-01-01Z')`, f.account, b),
			fmt.Sprintf(`insert into dunlin.changed_customers (account_id, customer_id, attributes) values (%[1]d, %[2]d, '{delinquent,plan}'), (%[1]d, %[3]d, '{invoices}')`, f.account, a, b),
			fmt.Sprintf(`insert into dunlin.customers (account_id, stripe_id, projected_at, delinquent) values (%d, 'cus_c', '2026-01-01Z', true)`, f.account),
			`insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{*}' from dunlin.customers where stripe_id = 'cus_c'`,
		} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	close(leave)
	if tickErr := <-done; err != nil || tickErr != nil {
		t.Fatalf("writing beside a tick\n got %v, and the tick %v", err, tickErr)
	}
	same(t, "the tick's own snapshot", f.log("owing"), "+a -a")
	f.now = f.now.Add(time.Second)
	f.tick()
	same(t, "the next tick", f.members("owing"), "a b c")
}

// Rules of segments that name no others, of those that name them, and of those
// that name these.
var historyRules = [][]string{{
	`delinquent and not deleted`,
	`plan in ('Pro', 'Team') or plan like 'pro%' or metadata['tier'] = 'gold'`,
	`plan != 'Pro' and email is not null`,
	`card_expires_at between today() - 3 days and today() + 30 days`,
	`card_expires_at within next 1 month and not (card_brand = 'Visa')`,
	`card_expires_at not within last 2 days`,
	`next_charge_at within next 3 hours`,
	`next_charge_at between today() and today() + 1 day`,
	`last_charge_at before now() - 1 day or last_charge_at is null`,
	`mrr >= 50 usd or lifetime_spend > 100 eur`,
	`mrr > 50 and mrr < 5000`,
	`open_invoice_count > 1 and subscription_status in ('active', 'past_due')`,
	`exists (invoices where status = 'open' and due_at < now())`,
	`not exists (invoices where status = 'open' and due_at < today())`,
	`count(charges where status = 'failed' and created_at within last 30 days) >= 2`,
	`count(charges where created_at within last 1 day) = 1`,
	`latest(invoices.status) = 'open'`,
	`latest(charges.status where created_at before now() - 1 day) != 'failed'`,
	`min(invoices.due_at where status = 'open') before today()`,
	`max(charges.created_at) within last 1 day`,
	`last_charge_at = today() or next_charge_at after today() + 1 day`,
	`latest(invoices.next_payment_attempt_at) within next 3 hours`,
	`earliest(subscriptions.trial_ends_at) within next 2 days`,
	`sum(charges.amount where status = 'succeeded' and currency = 'usd') > 50 usd`,
	`sum(invoices.amount_remaining) >= 20 eur or sum(invoices.amount_remaining where due_at < now()) = 0`,
	`avg(charges.amount) > 40 usd`,
	`not exists (invoices where amount_remaining > customer.mrr)`,
	`exists (subscriptions where cancels_at < customer.next_charge_at and customer.next_charge_at < now() + 1 day)`,
	`exists (subscriptions where period_end_at between today() and today() + 7 days and metadata['tier'] = 'gold')`,
	`max(invoices.due_at) between now() - 1 month and now() + 2 days`,
}, {
	`in segment '%s' and not in segment '%s'`,
	`in segment '%s' or delinquent or in segment '%s'`,
	`not in segment '%s' and next_charge_at before now() and not in segment '%s'`,
	`exists (invoices where due_at < now()) and (in segment '%s' or in segment '%s')`,
}, {
	`in segment '%s' and not in segment '%s'`,
	`not (in segment '%s' and deleted) and in segment '%s'`,
	`in segment '%s' or last_charge_at within last 1 day and in segment '%s'`,
}}

// historySegments are names by level. Names sort against the order in which
// segments depend on each other.
var historySegments = [][]string{{"x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "b9"}, {"k1", "k2", "k3", "z4"}, {"a1", "a2"}}

// historyStarts are some hours before something happens on the calendar.
var historyStarts = []string{
	"2026-03-28T20:00:00Z", // the clocks of Berlin go forward
	"2026-10-24T20:00:00Z", // and back
	"2026-01-30T22:00:00Z", // a short month comes
	"2028-02-28T12:30:00Z", // of a leap year
	"2026-12-31T21:00:00Z",
	"2026-06-15T09:00:00Z",
}

// A history is a fixture to which things happen.
type history struct {
	*fixture
	*writer
	away     bool // accounts may be unready for a while
	accounts []int
	refs     []customers.Ref
	currency string
	saved    map[string]bool
	parsed   map[string]*rule.Rule
	version  int          // of the settings
	seen     map[int]bool // generations that were in force
	ticked   time.Time    // the last tick's instant
	triples  int
	turn     int // of the rules, for new segments
}

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	h := &history{fixture: newFixture(t), currency: "usd", saved: map[string]bool{}, parsed: map[string]*rule.Rule{}, seen: map[int]bool{}, turn: int(seed) * 8}
	h.now = mustTime(t, historyStarts[seed%uint64(len(historyStarts))])
	h.writer = &writer{rand: rand.New(rand.NewPCG(seed, 1)), at: h.now, zone: mustZone(t, "Europe/Berlin")}
	h.accounts = []int{h.account, h.newAccount("other", true)}
	h.names = slices.Concat(historySegments...)
	h.settings()
	return h
}

// settings writes the zone and the currency.
func (h *history) settings() {
	h.t.Helper()
	h.version++
	h.exec(`insert into dunlin.workspace values ($1, $2, $3)`, h.version,
		fmt.Sprintf("kind: workspace\nzone: %s\ncurrency: %s\n", h.zone, h.currency), h.now)
}

// start makes customers and all segments but one, whose lists are built at once.
func (h *history) start(customers int) {
	h.t.Helper()
	for range customers {
		h.arrive()
	}
	for level := range historySegments {
		for _, name := range historySegments[level] {
			if name != "x8" {
				h.define(level, name)
			}
		}
	}
	h.settle()
}

func (h *history) run(steps int) {
	h.t.Helper()
	h.start(16 + h.rand.IntN(8))
	for range steps {
		h.mutate(h.rand.IntN(30))
		if h.away && h.rand.IntN(3) == 0 {
			h.leave()
		}
		switch h.rand.IntN(12) {
		case 0:
			h.arrive()
		case 1, 2, 6:
			h.edit()
		case 3:
			h.define(0, "x8")
		case 4:
			h.setting()
		case 5:
			h.leave()
		}
		h.later()
		h.chunk = 3 + h.rand.IntN(8)
		if h.rand.IntN(3) == 0 {
			h.tick() // things go on while lists are being built
			continue
		}
		h.settle()
	}
	h.settle()
	h.audit()
}

// arrive makes a customer with elements.
func (h *history) arrive() {
	h.t.Helper()
	account := h.accounts[h.rand.IntN(len(h.accounts))]
	ref := customers.Ref{Account: account}
	h.row(&ref.Customer, `
		with new as (insert into dunlin.customers (account_id, stripe_id, projected_at) values ($1, $2, $3) returning account_id, customer_id),
		     told as (insert into dunlin.changed_customers (account_id, customer_id, attributes) select account_id, customer_id, '{*}' from new)
		select customer_id from new`, account, fmt.Sprint("cus_", len(h.refs)), h.now)
	h.refs = append(h.refs, ref)
	// What is set here is not told: the customer is news as a whole.
	batch := &pgx.Batch{}
	for range 24 {
		sql, args, _ := h.write(ref)
		batch.Queue(sql, args...)
	}
	h.send(batch)
}

// mutate changes something of so many customers, and tells of it.
func (h *history) mutate(n int) {
	h.t.Helper()
	batch := &pgx.Batch{}
	for range n {
		sql, args := h.change(h.refs[h.rand.IntN(len(h.refs))])
		batch.Queue(sql, args...)
	}
	h.send(batch)
}

func (h *history) send(batch *pgx.Batch) {
	h.t.Helper()
	if err := h.pool.SendBatch(h.t.Context(), batch).Close(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) define(level int, name string) {
	h.t.Helper()
	source := historyRules[level][h.rand.IntN(len(historyRules[level]))]
	if level == 0 && !h.saved[name] { // at first each has its turn
		source = historyRules[0][h.turn%len(historyRules[0])]
		h.turn++
	}
	if level > 0 {
		source = fmt.Sprintf(source, h.some(historySegments[level-1]), h.some(historySegments[0]))
	}
	h.save(segments.Segment{Name: name, Rule: h.rule(source)})
	h.saved[name] = true
}

// some draws a name of those that are there.
func (h *history) some(names []string) string {
	for {
		if n := names[h.rand.IntN(len(names))]; h.saved[n] {
			return n
		}
	}
}

// edit gives some segment another rule.
func (h *history) edit() {
	h.t.Helper()
	level := h.rand.IntN(len(historySegments))
	h.define(level, historySegments[level][h.rand.IntN(len(historySegments[level]))])
}

// setting changes the zone or the currency, which rarely happens.
func (h *history) setting() {
	h.t.Helper()
	switch h.rand.IntN(2) {
	case 0:
		h.zone = mustZone(h.t, []string{"Europe/Berlin", "America/New_York", "UTC"}[h.rand.IntN(3)])
	case 1:
		h.currency = []string{"usd", "eur"}[h.rand.IntN(2)]
	}
	h.settings()
}

// leave makes an account unready for some ticks, or another one ready.
func (h *history) leave() {
	h.t.Helper()
	if len(h.accounts) < 3 {
		h.accounts = append(h.accounts, h.newAccount("late", false))
		h.arrive()
		return
	}
	h.exec(`update dunlin.accounts set ready_at = $2 where account_id = $1`, h.accounts[2], h.now)
	if !h.away {
		return
	}
	h.exec(`update dunlin.accounts set ready_at = null where account_id = $1`, h.accounts[1])
	for range 3 {
		h.later()
		h.mutate(3)
		h.tick()
	}
	h.exec(`update dunlin.accounts set ready_at = $2 where account_id = $1`, h.accounts[1], h.now)
}

// later moves the clock.
func (h *history) later() {
	h.t.Helper()
	now := h.now
	to := now
	switch h.rand.IntN(8) {
	case 0: // stands still
	case 1:
		to = now.Add(time.Duration(1+h.rand.IntN(59)) * time.Second)
	case 2:
		to = now.Add(time.Duration(1+h.rand.IntN(47)) * time.Hour)
	case 3: // the next midnight in the workspace
		y, m, d := now.In(h.zone).Date()
		to = time.Date(y, m, d+1, 0, 0, 0, 0, h.zone)
	default: // to where a bound passes a value
		var values []time.Time
		rows, err := h.pool.Query(h.t.Context(), `
			select at from (
				select next_charge_at from dunlin.customers union select last_charge_at from dunlin.customers
				union select due_at from dunlin.invoices union select next_payment_attempt_at from dunlin.invoices
				union select created_at from dunlin.charges union select trial_ends_at from dunlin.subscriptions
				union select card_expires_at::timestamp at time zone $1 from dunlin.customers) v (at)
			where at is not null order by at`, h.zone.String())
		if err == nil {
			values, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
		}
		if err != nil {
			h.t.Fatal(err)
		}
		steps := []time.Duration{0, -time.Hour * 3, time.Hour * 24, -time.Hour * 24, -time.Hour * 48, time.Hour * 24 * 30}
		var near []time.Time
		for _, v := range values {
			if x := v.Add(steps[h.rand.IntN(len(steps))]); x.After(now) && x.Before(now.Add(72*time.Hour)) {
				near = append(near, x)
			}
		}
		if len(near) > 0 {
			to = near[h.rand.IntN(len(near))]
		}
	}
	to = to.Add(time.Duration(h.rand.IntN(3)-1) * time.Microsecond)
	if to.After(now) {
		h.now = to.UTC()
	}
	h.at = h.now
}

func (h *history) tick() segments.Tick {
	h.t.Helper()
	t := h.fixture.tick()
	h.ticked = t.At
	h.exact()
	return t
}

// settle ticks until nothing is being built or told of, while things go on.
func (h *history) settle() {
	h.t.Helper()
	for n := 0; h.tick().More; n++ {
		if n > 2000 {
			h.t.Fatal("it never settles")
		}
		if n%2 == 1 {
			h.now = h.now.Add(time.Second)
		}
		if n < 40 {
			h.mutate(h.rand.IntN(6))
		}
	}
	h.tidy()
	same(h.t, "segments without a list", h.count(`select count(*) from dunlin.segments where generation is null`), 0)
	same(h.t, "lists that are not as of now", h.count(`
		select count(*) from dunlin.generations where missed is not null or zone <> $1 or currency <> $2`, h.zone.String(), h.currency), 0)
	if h.t.Failed() {
		h.t.FailNow()
	}
}

// audit ends a history.
func (h *history) audit() {
	h.t.Helper()
	audits, err := h.ticker().Audit(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	same(h.t, "audited", len(audits), len(h.saved))
	for _, a := range audits {
		same(h.t, "drift of "+a.Segment, a.Missing+a.Surplus, int64(0))
	}
}

// A list is what is in force of one segment.
type list struct {
	Name, Source string
	Generation   int
	Counted      int64
	Accounts     []int
	Stale        bool // noted as such, or of other settings than those of now
}

// exact compares the members in force with the rules of the versions that made
// the lists, over all customers, while later versions may be being built.
func (h *history) exact() {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), `
		select g.segment, v.rule, g.generation, g.members, g.accounts, g.missed is not null or g.zone <> $1 or g.currency <> $2
		from dunlin.generations g join dunlin.segment_versions v on v.name = g.segment and v.version = g.version
		where g.state = 'live' order by g.segment`, h.zone.String(), h.currency)
	if err != nil {
		h.t.Fatal(err)
	}
	lists, err := pgx.CollectRows(rows, pgx.RowToStructByPos[list])
	if err != nil {
		h.t.Fatal(err)
	}
	parents, stale := segments.Parents{}, map[string]bool{}
	for _, l := range lists {
		parents[l.Name], stale[l.Name] = h.rule(l.Source), l.Stale
		if l.Stale && !h.seen[l.Generation] {
			h.t.Errorf("the list of %s is put in force although changes have passed it by", l.Name)
		}
		h.seen[l.Generation] = true
	}
	var unknown func(string) bool
	unknown = func(name string) bool {
		return stale[name] || slices.ContainsFunc(parents[name].Segments(), unknown)
	}
	batch := &pgx.Batch{}
	for _, l := range lists {
		if unknown(l.Name) {
			continue
		}
		h.triples += len(h.refs)
		want := h.compiled(l, parents)
		sql, args, err := squirrel.Select().Column("array(select m.customer_id from dunlin.members m where m.generation = ? order by 1)", l.Generation).
			Column(squirrel.Expr("array(?)", want)).PlaceholderFormat(squirrel.Dollar).ToSql()
		if err != nil {
			h.t.Fatal(err)
		}
		batch.Queue(sql, args...).QueryRow(func(row pgx.Row) error {
			var got, want []int64
			if err := row.Scan(&got, &want); err != nil {
				return err
			}
			if diff := cmp.Diff(want, got); diff != "" {
				h.t.Errorf("members of %s by %s at %s (-want +got)\n%s", l.Name, l.Source, h.ticked.In(h.zone), diff)
			}
			if l.Counted != int64(len(got)) {
				h.t.Errorf("%s counts %d members and has %d", l.Name, l.Counted, len(got))
			}
			return nil
		})
	}
	if err := h.pool.SendBatch(h.t.Context(), batch).Close(); err != nil {
		h.t.Fatal(err)
	}
	if h.t.Failed() {
		h.t.FailNow()
	}
}

// compiled selects the customers for whom a rule is true, whatever the
// membership tables say.
func (h *history) compiled(l list, parents segments.Parents) squirrel.Sqlizer {
	h.t.Helper()
	cond, err := segments.Compile(parents[l.Name], rule.Env{Now: h.ticked, Zone: h.zone, Currency: h.currency}, parents)
	if err != nil {
		h.t.Fatal(err)
	}
	return squirrel.Select("c.customer_id").From("dunlin.customers c").Where(squirrel.Expr("c.account_id = any(?)", l.Accounts)).Where(cond).OrderBy("1")
}

func (h *history) rule(source string) *rule.Rule {
	h.t.Helper()
	if r := h.parsed[source]; r != nil {
		return r
	}
	r, err := rule.New(source, segments.Known{Names: h.names}, "usd")
	if err != nil {
		h.t.Fatal(source, err)
	}
	h.parsed[source] = r
	return r
}

// A writer changes customers as a projection would: what it writes it tells,
// in the same statement, by the names of what is not as it was.
type writer struct {
	rand *rand.Rand
	at   time.Time
	zone *time.Location
}

// Columns by kind; amounts have their currency beside them.
var (
	customerColumns = map[string][]string{
		"bool": {"delinquent", "deleted"}, "text": {"plan", "card_brand", "email", "subscription_status"}, "date": {"card_expires_at"}, "int": {"open_invoice_count"},
		"timestamptz": {"next_charge_at", "last_charge_at", "next_charge_at"}, "money": {"mrr", "lifetime_spend"}, "jsonb": {"metadata"},
	}
	elementColumns = map[string]map[string][]string{
		"invoices": {
			"text": {"status", "status"}, "timestamptz": {"due_at", "due_at", "next_payment_attempt_at", "created_at"}, "money": {"amount_remaining"},
		},
		"charges":       {"text": {"status", "currency"}, "timestamptz": {"created_at"}, "money": {"amount"}},
		"subscriptions": {"text": {"status"}, "timestamptz": {"trial_ends_at", "cancels_at", "period_end_at"}, "jsonb": {"metadata"}},
	}
	historyTexts = map[string][]string{
		"plan": {"Pro", "Team", "pro-1"}, "card_brand": {"Visa", "MasterCard"}, "email": {"x@example.com"}, "subscription_status": {"active", "past_due", "canceled"},
		"invoices.status": {"open", "paid", "draft"}, "charges.status": {"failed", "succeeded"}, "subscriptions.status": {"active", "trialing"}, "charges.currency": {"usd", "eur"},
	}
	required = []string{"delinquent", "deleted", "open_invoice_count", "metadata", "created_at"}
)

// change is a statement that writes something of a customer and tells of it, if
// it was different.
func (w *writer) change(ref customers.Ref) (string, []any) {
	sql, args, name := w.write(ref)
	args = append(args, []string{name})
	return fmt.Sprintf(`
		with w as (%s)
		insert into dunlin.changed_customers (account_id, customer_id, attributes) select $1, $2, $%d::text[] from w`, sql, len(args)), args
}

// write is a statement that writes something of a customer, and the catalog's
// name of that.
func (w *writer) write(ref customers.Ref) (sql string, args []any, name string) {
	table, columns, key := "customers", customerColumns, ""
	args = []any{ref.Account, ref.Customer}
	if w.rand.IntN(2) == 0 {
		table = []string{"invoices", "charges", "subscriptions"}[w.rand.IntN(3)]
		columns = elementColumns[table]
		args = append(args, fmt.Sprint("e", w.rand.IntN(3)))
		key = " and id = $3"
		switch w.rand.IntN(4) {
		case 0:
			return w.put(table, args)
		case 1:
			return `delete from dunlin.` + table + ` where account_id = $1 and customer_id = $2` + key + ` returning 1`, args, table
		}
	}
	kinds := slices.Sorted(func(yield func(string) bool) {
		for k := range columns {
			if !yield(k) {
				return
			}
		}
	})
	kind := kinds[w.rand.IntN(len(kinds))]
	column := columns[kind][w.rand.IntN(len(columns[kind]))]
	set, args := w.set(table, kind, column, args)
	name = column
	if table != "customers" {
		name = table + "." + column
	}
	list, values, _ := strings.Cut(set, "=")
	return `update dunlin.` + table + ` set ` + list + ` = ` + values + ` where account_id = $1 and customer_id = $2` + key +
		` and ` + list + ` is distinct from ` + values + ` returning 1`, args, name
}

// put adds an element, unless there is one of that id.
func (w *writer) put(table string, args []any) (string, []any, string) {
	at, _ := w.value(table, "timestamptz", "created_at")
	extra := map[string]string{"invoices": "due_at", "charges": "amount", "subscriptions": "trial_ends_at"}[table]
	status, _ := w.value(table, "text", "status")
	args = append(args, at, status)
	columns, values := "created_at, status", "$4::text::timestamptz, $5::text"
	if extra == "amount" {
		amount, currency := w.value(table, "money", extra)
		args = append(args, amount, currency)
		columns, values = columns+", amount, amount_currency, currency", values+", $6::text::numeric, $7::text, $7::text"
	} else {
		v, _ := w.value(table, "timestamptz", extra)
		args = append(args, v)
		columns, values = columns+", "+extra, values+", $6::text::timestamptz"
	}
	return `insert into dunlin.` + table + ` (account_id, customer_id, id, ` + columns + `) values ($1, $2, $3, ` + values + `)
		on conflict do nothing returning 1`, args, table
}

// set is "(columns)=(values)".
func (w *writer) set(table, kind, column string, args []any) (string, []any) {
	v, currency := w.value(table, kind, column)
	args = append(args, v)
	if kind == "money" {
		args = append(args, currency)
		return fmt.Sprintf("(%[1]s, %[1]s_currency)=($%[2]d::text::numeric, $%[3]d::text)", column, len(args)-1, len(args)), args
	}
	return fmt.Sprintf("%s=$%d::text::%s", column, len(args), kind), args
}

// value draws a value as Postgres reads it; nil is missing.
func (w *writer) value(table, kind, column string) (value, currency *string) {
	if w.rand.IntN(5) == 0 && !slices.Contains(required, column) {
		return nil, nil
	}
	some := func(list ...string) *string { return &list[w.rand.IntN(len(list))] }
	switch kind {
	case "bool":
		return some("true", "false"), nil
	case "int":
		return some("0", "1", "2", "3"), nil
	case "money":
		return some("10", "49.99", "50", "50.01", "500"), some("usd", "usd", "eur")
	case "jsonb":
		return some(`{}`, `{"tier": "gold"}`, `{"tier": "tin"}`), nil
	case "text":
		if table != "customers" {
			column = table + "." + column
		}
		return some(historyTexts[column]...), nil
	case "date":
		return some(w.at.In(w.zone).AddDate(0, 0, w.rand.IntN(46)-8).Format(time.DateOnly)), nil
	}
	at := w.at.Truncate(time.Hour).Add(time.Duration(w.rand.IntN(150)-75) * time.Hour)
	switch w.rand.IntN(5) {
	case 0:
		at = at.AddDate(0, 1-2*w.rand.IntN(2), 0)
	case 1:
		y, m, d := at.In(w.zone).Date()
		at = time.Date(y, m, d, 0, 0, 0, 0, w.zone)
	}
	return some(at.UTC().Format(time.RFC3339Nano)), nil
}
