package campaigns

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// TestLifecycles holds what the examples do to a customer, hour by hour: every
// step, when it happened or why it did not, and why the campaign stopped. The
// golden files are the stories, in the workspace's zone.
func TestLifecycles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		customer   map[string]any // beside what Ada always is
		days       int
		story      []happening
	}{
		{"invoice_never_paid", "more/unpaid-invoice", nil, 10, []happening{
			{2 * time.Hour, "Stripe cannot charge Ada's card: 49 dollars are open", openInvoice("in_1")},
		}},
		{"invoice_paid", "more/unpaid-invoice", nil, 10, []happening{
			{2 * time.Hour, "Stripe cannot charge Ada's card: 49 dollars are open", openInvoice("in_1")},
			{5 * day, "Ada pays", payInvoice("in_1")},
		}},
		{"invoice_paid_after_the_call_was_asked_for", "more/unpaid-invoice", nil, 10, []happening{
			{2 * time.Hour, "Stripe cannot charge Ada's card: 49 dollars are open", openInvoice("in_1")},
			{8 * day, "Ada pays", payInvoice("in_1")},
		}},
		{"invoice_paid_and_another_fails", "more/unpaid-invoice", nil, 14, []happening{
			{2 * time.Hour, "Stripe cannot charge Ada's card: 49 dollars are open", openInvoice("in_1")},
			{4 * day, "Ada pays", payInvoice("in_1")},
			{6 * day, "the next invoice cannot be charged either", openInvoice("in_2")},
		}},
		{"card_expires", "cards-expiring", aCard, 34, nil},
		{"card_is_updated_by_its_bank", "cards-expiring", aCard, 34, []happening{
			{13 * day, "the bank gives the card another year, and Ada does nothing", func(l *life) {
				l.change(`card_expires_at = '2027-03-31', card_updated_at = $2`, l.now)
			}},
		}},
		{"card_is_replaced_by_one_that_expires_too", "cards-expiring", aCard, 34, []happening{
			{10 * day, "Ada gives another card, which expires in April", func(l *life) {
				l.change(`card_id = 'pm_2', card_last4 = '1881', card_expires_at = '2026-04-05'`)
			}},
		}},
		{"cancelled_and_back", "more/cancelled", longTime, 12, []happening{
			{day, "Ada's subscription ends", func(l *life) {
				l.change(`subscription_count = 0, subscription_status = 'canceled', canceled_at = $2, cancellation_reason = 'too_expensive'`, l.now)
				l.event("deleted_subscription", "sub_1")
			}},
			{9 * day, "Ada subscribes again", func(l *life) {
				l.change(`subscription_count = 1, subscription_status = 'active', canceled_at = null, cancellation_reason = null`)
				l.event("created_subscription", "sub_2")
			}},
		}},
		{"cancelled_and_back_within_the_day", "more/cancelled", longTime, 4, []happening{
			{day, "Ada's subscription ends", func(l *life) {
				l.change(`subscription_count = 0, subscription_status = 'canceled'`)
				l.event("deleted_subscription", "sub_1")
			}},
			{day + 5*time.Hour, "Ada subscribes again", func(l *life) {
				l.change(`subscription_count = 1, subscription_status = 'active'`)
				l.event("created_subscription", "sub_2")
			}},
		}},
		{"first_payment", "more/first-payment", pro, 6, []happening{
			{9 * time.Hour, "Ada pays for the first time, late in the evening", payFirst},
		}},
		{"first_payment_and_gone", "more/first-payment", pro, 6, []happening{
			{9 * time.Hour, "Ada pays for the first time, late in the evening", payFirst},
			{2 * day, "Ada's subscription ends", func(l *life) { l.change(`subscription_status = 'canceled'`) }},
		}},
		{"upgrade_taken", "more/upgrade", smallPlan, 6, []happening{
			{3 * day, "Ada follows the link, and moves to the next size", func(l *life) {
				l.change(`plan = 'Pro', plan_price = 99, coupon = 'BIGGER20'`)
			}},
		}},
		{"upgrade_passed_over", "more/upgrade", smallPlan, 6, nil},
		{"upgrade_taken_before_the_offer", "more/upgrade", smallPlan, 6, []happening{
			{10 * time.Hour, "Ada moves to the next size by herself", func(l *life) { l.change(`plan = 'Pro', plan_price = 99`) }},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, tt.file, tt.customer)
			l.live(tt.days, tt.story)
			golden(t, "lifecycle_"+tt.name, []byte(strings.Join(l.told, "\n")+"\n"))
		})
	}
}

var (
	aCard     = map[string]any{"card_id": "pm_1", "card_brand": "Visa", "card_last4": "4242", "card_expires_at": date26(time.March, 31)}
	pro       = map[string]any{"plan": "Pro", "plan_interval": "month"}
	longTime  = map[string]any{"subscription_count": 1, "payment_count": 30, "lifetime_spend": 1470, "lifetime_spend_currency": "usd"}
	smallPlan = map[string]any{"plan": "Starter", "plan_price": 29, "plan_price_currency": "usd", "plan_interval": "month", "payment_count": 7}
)

// A happening is what the customer, or a bank, does so long after the beginning.
type happening struct {
	after time.Duration
	words string
	do    func(*life)
}

func openInvoice(id string) func(*life) {
	return func(l *life) {
		l.exec(`
			insert into dunlin.invoices (account_id, customer_id, id, created_at, status, currency, amount_remaining, amount_remaining_currency, attempt_count, metadata)
			values ($1, $2, $3, $4, 'open', 'usd', 49, 'usd', 1, '{}')`, l.account, l.id, id, l.now)
		l.change(`delinquent = true, open_invoice_count = 1, open_invoice_amount = 49, open_invoice_amount_currency = 'usd'`)
	}
}

func payFirst(l *life) {
	l.change(`payment_count = 1, last_payment_at = $2, last_payment_amount = 49, last_payment_amount_currency = 'usd'`, l.now)
	l.event("first_payment", "ch_1")
}

func payInvoice(id string) func(*life) {
	return func(l *life) {
		l.exec(`update dunlin.invoices set status = 'paid', amount_remaining = 0, paid_at = $2 where id = $1`, id, l.now)
		l.change(`delinquent = false, open_invoice_count = 0, open_invoice_amount = null, open_invoice_amount_currency = null`)
	}
}

// A life is one customer, Ada of London, with the examples' settings and the
// campaigns of one file, all of them started.
type life struct {
	*world
	id     int64
	now    time.Time
	ticker *segments.Ticker
	zone   *time.Location
	told   []string
	known  map[string]string // what was told last of each delivery, enrollment and task
}

func newLife(t *testing.T, file string, columns map[string]any) *life {
	t.Helper()
	l := &life{world: &world{t: t, pool: pgtest.New(t)}, now: noon, known: map[string]string{}}
	l.store = l.newStore(false)
	l.row(&l.account, `insert into dunlin.accounts (name, created_at, mirrored_at, ready_at) values ('main', $1, $1, $1) returning account_id`, noon)
	l.ticker = &segments.Ticker{Pool: l.pool, Now: func() time.Time { return l.now }, Logger: slog.New(slog.DiscardHandler)}
	l.ticker.After = func(ctx context.Context, tx pgx.Tx, tick segments.Tick) error {
		_, err := l.store.Follow(ctx, tx, tick)
		return err
	}
	l.id = l.customer("Ada", map[string]any{"delinquent": false, "subscription_count": 1, "mrr": 249, "mrr_currency": "usd"})
	for name, value := range columns {
		l.exec(`update dunlin.customers set `+name+` = $2 where customer_id = $1`, l.id, value)
	}
	l.link(l.id, "contact_ada", noon)
	l.begin(file)
	return l
}

// begin stores the definitions, makes their lists and starts the campaigns.
func (l *life) begin(file string) {
	l.t.Helper()
	docs, err := workspace.ReadFiles([]string{"../examples/workspace.yaml", "../examples/" + file + ".yaml"}, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	var starts []string
	l.tx(func(tx pgx.Tx) error {
		for _, doc := range docs {
			var err error
			switch doc.Kind {
			case "workspace":
				_, err = workspace.Save(l.t.Context(), tx, doc, noon)
			case "segment":
				s, faults := segments.Parse(doc, segments.Known{}, "usd")
				if len(faults) > 0 {
					return faults
				}
				_, err = segments.Save(l.t.Context(), tx, s, noon)
			case "campaign":
				starts = append(starts, doc.Name)
				_, err = Save(l.t.Context(), tx, doc, noon)
			}
			if err != nil {
				return err
			}
		}
		settings, err := workspace.Load(l.t.Context(), tx)
		l.zone = settings.Zone
		return err
	})
	l.tick()
	for _, name := range starts {
		l.start(name, noon)
	}
}

// live lets the days pass, hour by hour.
func (l *life) live(days int, story []happening) {
	l.t.Helper()
	for end := noon.Add(time.Duration(days) * day); !l.now.After(end); l.now = l.now.Add(time.Hour) {
		for len(story) > 0 && !noon.Add(story[0].after).After(l.now) {
			l.tell("* %s", story[0].words)
			story[0].do(l)
			story = story[1:]
		}
		l.tick()
		l.look()
		l.work()
		l.look()
	}
}

func (l *life) tick() {
	l.t.Helper()
	for {
		tick, err := l.ticker.Tick(l.t.Context())
		if err != nil {
			l.t.Fatal(err)
		}
		if !tick.More {
			return
		}
	}
}

// work does what a deliver job does with everything that is due. Intercom is
// asked about the contact first, and accepts everything.
func (l *life) work() {
	l.t.Helper()
	var due Due
	l.tx(func(tx pgx.Tx) (err error) {
		due, err = Poke(l.t.Context(), tx, l.now, 100)
		return err
	})
	keys := slices.Concat(due.Urgent, due.Released)
	if len(keys) == 0 {
		return
	}
	l.link(l.id, "contact_ada", l.now)
	settled, err := l.store.Claim(l.t.Context(), keys, l.now, 0, true)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, k := range settled.Ready {
		c, ok := l.claim(k, l.now)
		if !ok {
			continue // outranked by the one before, or just contacted
		}
		l.tell("  %s/%s: %s", k.Campaign, k.Step, inOneLine(c))
		l.known["delivery "+k.Campaign+"/"+k.Episode+"/"+k.Step] = "sent -"
		l.record(c, Outcome{Result: Accepted, ExternalID: "at Intercom"}, l.now)
	}
}

// inOneLine is what a claim does, in one line.
func inOneLine(c Claim) string {
	switch text := regexp.MustCompile(`<a href="([^"]*)">([^<]*)</a>`).ReplaceAllString(c.Body, "$2 ($1)"); c.Action {
	case Message:
		text = strings.TrimSpace(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(text, ""))
		if c.Subject != "" {
			text = c.Subject + " | " + text
		}
		return fmt.Sprintf("%s message: %s", c.Channel, text)
	case Task:
		return "task for a colleague: " + c.Title + " | " + strings.TrimSpace(text)
	case Tag, Untag:
		return string(c.Action) + " " + c.Tag
	case Event:
		return fmt.Sprintf("event %s %v", c.Event, c.Values)
	}
	return fmt.Sprintf("%s %v", c.Action, c.Values)
}

// look tells what has changed without a word to Ada: what waits and why, what
// will not happen and why, what has ended.
func (l *life) look() {
	l.t.Helper()
	rows, err := l.pool.Query(l.t.Context(), `
		select * from (
			select 1, 'delivery ' || campaign || '/' || episode || '/' || step, campaign || '/' || step, state, coalesce(reason, '-') from dunlin.deliveries
			where (state <> 'planned' or decided_at is not null) and (reason is null or state <> 'skipped' or ended_at is not null)
			union all
			select 0, 'enrollment ' || campaign || '/' || episode, campaign, state, coalesce(reason, '-') || case when goal_at is not null then ', goal reached' else '' end from dunlin.enrollments
			union all
			select 2, 'task ' || task_id, 'task of ' || campaign || '/' || step, state, coalesce(done_because, '-') from dunlin.tasks) x (place, id, name, state, reason)
		order by id, place`)
	if err != nil {
		l.t.Fatal(err)
	}
	var place int
	var id, name, state, reason string
	_, err = pgx.ForEachRow(rows, []any{&place, &id, &name, &state, &reason}, func() error {
		if now := state + " " + reason; l.known[id] != now && (l.known[id] != "" || now != "open -") {
			l.known[id] = now
			l.tell("  %s: %s", name, outcome(state, reason))
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

func outcome(state, reason string) string {
	words := map[string]string{"active": "enrolled", "planned": "waits", "done": "closed", "finished": "ended, nothing is left to do", "exited": "stopped"}[state]
	if words == "" {
		words = state
	}
	if reason != "-" {
		reason, goal := strings.CutSuffix(reason, ", goal reached")
		reason = strings.TrimPrefix(reason, "-")
		if reason != "" {
			words += ": " + Reason(reason).Words()
		}
		if goal {
			words += "; the goal was reached"
		}
	}
	return words
}

func (l *life) tell(format string, args ...any) {
	l.told = append(l.told, l.now.In(l.zone).Format("Mon _2 Jan 15:04")+fmt.Sprintf(format, args...))
}

// change is what a projection does that has changed Ada's attributes: $1 is her.
func (l *life) change(set string, args ...any) {
	l.t.Helper()
	l.exec(`update dunlin.customers set `+set+` where customer_id = $1`, append([]any{l.id}, args...)...)
	l.exec(`insert into dunlin.changed_customers (account_id, customer_id, attributes) values ($1, $2, '{*}')`, l.account, l.id)
}

// event is a domain event about one of Stripe's objects.
func (l *life) event(kind, object string) {
	l.t.Helper()
	l.exec(`insert into dunlin.events (account_id, customer_id, id, created_at, type, object) values ($1, $2, $3 || ':' || $4, $5, $3, $4)`,
		l.account, l.id, kind, object, l.now)
}
