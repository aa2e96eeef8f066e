package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/workspace"
)

// morningStart is an instant at which it is night in all of morningZones, the most
// populous first: of so many people the second zone has half as many as the first,
// the third a third, and so on.
var (
	morningStart = time.Date(2026, time.March, 2, 2, 0, 0, 0, time.UTC)
	morningEnd   = morningStart.Add(12 * time.Hour)
	morningZones = []string{
		"Europe/Berlin", "America/New_York", "Europe/London", "Europe/Paris", "America/Sao_Paulo", "Europe/Madrid", "Europe/Amsterdam", "America/Toronto",
		"Europe/Stockholm", "Europe/Istanbul", "Africa/Lagos", "Asia/Dubai", "Europe/Rome", "America/Bogota", "Europe/Warsaw", "Africa/Johannesburg",
		"America/Argentina/Buenos_Aires", "Asia/Karachi", "Europe/Athens", "Africa/Cairo", "America/Lima", "Europe/Dublin", "America/Santiago",
		"Europe/Lisbon", "Europe/Helsinki", "Europe/Moscow", "America/Caracas", "America/Halifax", "America/St_Johns", "Atlantic/Azores",
	}
)

const (
	morningLimit   = 1667 // calls in a window of ten seconds: Intercom's 10,000 a minute
	morningReserve = 33   // of them, for what has just become due: one in fifty
	morningWorkers = 4

	morningSettings = "kind: workspace\nname: bench\nzone: UTC\ncurrency: usd\nquiet_hours: {from: \"21:00\", to: \"08:00\"}\n" +
		"contact_budget: {contacts: 3, within: 7 days, apart: 20 hours}\nintercom: {sender: admin:1}\n---\nkind: segment\nname: everybody\nrule: stripe_id is set\n"
	morningCampaign = "---\nkind: campaign\nname: %s\nsegment: everybody\nepisode: entry\nexisting: ignore\npriority: %d\ndata_no_older_than: 2 days\n" +
		"steps:\n  - {name: word, at: 0 days, message: {channel: inapp, body: 'Hi {{ customer.first_name }}'}}\n"
)

// morningSQL makes $2 people of account $1 who wait for the morning after $3: all have
// a message of the campaign middle, every fifth also one of low, and every
// twentieth one of high. One in fifty more, in Dubai, has a message whose time
// comes while the largest wave goes out.
var morningSQL = []string{`
insert into dunlin.customers (account_id, customer_id, stripe_id, first_name, projected_at) overriding system value
select $1, n, 'cus_' || n, 'Ada', $3 from generate_series(1, $2::bigint + $2::bigint / 50) n`, `
insert into dunlin.links (account_id, customer_id, state, contact_id, role, email, timezone, checked_at)
select account_id, customer_id, 'linked', 'contact_' || customer_id, 'user', 'x@example.com',
       case when customer_id > $2::bigint then 'Asia/Dubai' else z.zone end, $3::timestamptz
from dunlin.customers
cross join lateral (
	select zone from (select zone, sum(1.0 / place) over (order by place) / sum(1.0 / place) over () as upto, place
	                  from unnest($4::text[]) with ordinality as z (zone, place)) z
	where upto >= (customer_id * 7919 % 10007) / 10007.0 order by place limit 1) z
where account_id = $1`, `
insert into dunlin.enrollments (account_id, customer_id, campaign, episode, version, state, enrolled_at, starts_at)
select c.account_id, c.customer_id, k.campaign, 'entry', 1, 'active', $3::timestamptz,
       case k.campaign when 'now' then $3::timestamptz + interval '5 hours' + (c.customer_id * 7919 % 120) * interval '1 second' else $3 end
from dunlin.customers c
join unnest(array['low', 'middle', 'high', 'now'], array[5, 1, 20, 0]) as k (campaign, every)
  on case when c.customer_id > $2::bigint then k.every = 0 else k.every > 0 and c.customer_id % nullif(k.every, 0) = 0 end
where c.account_id = $1`, `
insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, contacts, priority, state, scheduled_at, due_at, expires_at)
select e.account_id, e.customer_id, e.campaign, e.episode, 'word', 'message', true,
       case e.campaign when 'low' then 20 when 'middle' then 50 when 'high' then 80 else 90 end,
       'planned', e.starts_at, e.starts_at, e.starts_at + interval '3 days'
from dunlin.enrollments e where e.account_id = $1`}

// TestMorning holds that when the night ends nobody hears anything before it does,
// nobody hears twice, the most important message wins, and what becomes due
// meanwhile does not wait for the wave.
func TestMorning(t *testing.T) {
	t.Parallel()
	m := newMorning(t, pgtest.New(t), 1000)
	m.limit, m.reserve = 34, 1 // the wave of a fiftieth of the people, at a fiftieth of the pace
	m.pass()
	m.hold()
}

// onMorning prints the wave.
func (f *figures) onMorning() {
	w := f.newWorld("morning", f.sizes.Morning)
	defer w.drop()
	began := time.Now()
	m := newMorning(w, w.db.Pool, w.size)
	m.pass()
	m.hold()
	p99 := quantile(m.waits, 0.99)
	f.figure(fmt.Sprintf("%s people wait for the end of the night in %d zones: p99 of the wait of what becomes due meanwhile", thousands(w.size), len(morningZones)),
		p99.String(), "at most 10 s", p99 <= 10*time.Second)
	f.note("%s", m.histogram())
	f.progress("morning: %s people in %s", thousands(w.size), time.Since(began).Round(time.Second))
}

// A morning is a store with people who wait for it, in virtual time. Of the way of a
// job, what River and Intercom do is reckoned: a window of ten seconds has so many
// calls, jobs whose time has come go before those of the wave, and contacts are
// found as they were.
type morning struct {
	testing.TB
	*product
	at             time.Time
	size           int
	limit, reserve int
	left           int // permits in this window

	queued [2][]campaigns.Key // urgent, released: to be decided
	ready  [2][]campaigns.Key // to be claimed

	waits []time.Duration // of what was not released with others, in order
}

func newMorning(tb testing.TB, pool *pgxpool.Pool, size int) *morning {
	tb.Helper()
	m := &morning{TB: tb, at: morningStart, size: size, limit: morningLimit, reserve: morningReserve}
	var err error
	m.product, err = wire(tb.Context(), wiring{Pool: pool, Now: func() time.Time { return m.at }, Logger: slog.New(slog.DiscardHandler)})
	m.check(err)
	source := morningSettings
	for name, priority := range map[string]int{"low": 20, "middle": 50, "high": 80, "now": 90} {
		source += fmt.Sprintf(morningCampaign, name, priority)
	}
	docs, faults := workspace.Parse("morning.yaml", []byte(source))
	if len(faults) > 0 {
		tb.Fatal(faults.Explain())
	}
	set, err := checkDefinitions(tb.Context(), pool, docs)
	m.check(err)
	_, err = set.apply(tb.Context(), pool, m.at)
	m.check(err)
	var account int
	m.check(pool.QueryRow(tb.Context(), `
		insert into dunlin.accounts (name, created_at, mirrored_at, ready_at, feed_until) values ('main', $1, $1, $1, $1) returning account_id`, m.at).Scan(&account))
	m.exec(`update dunlin.campaigns set state = 'running', started_at = $1`, m.at)
	for i, sql := range morningSQL {
		m.exec(sql, []any{account, size, m.at, morningZones}[:[]int{3, 4, 3, 1}[i]]...)
	}
	m.exec(`analyze dunlin.customers, dunlin.links, dunlin.enrollments, dunlin.deliveries`)
	return m
}

func (m *morning) check(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *morning) exec(sql string, args ...any) {
	m.Helper()
	_, err := m.Pool.Exec(m.Context(), sql, args...)
	m.check(err)
}

// pass lets the night and the morning pass, second by second where something is due.
func (m *morning) pass() {
	m.Helper()
	for m.left = m.limit; m.at.Before(morningEnd); {
		m.poke()
		for i := range m.queued {
			m.settle(i)
		}
		m.claim(0, 0)
		m.claim(1, m.reserve)
		window := m.at.Unix() / 10
		if m.at = m.at.Add(time.Second); len(m.ready[0])+len(m.ready[1])+len(m.queued[0])+len(m.queued[1]) == 0 {
			m.rest()
		}
		if m.at.Unix()/10 != window {
			m.left = m.limit
		}
	}
}

// rest goes on to the next second in which something is due.
func (m *morning) rest() {
	m.Helper()
	var next *time.Time
	m.check(m.Pool.QueryRow(m.Context(), `select min(due_at) from dunlin.deliveries where state = 'planned'`).Scan(&next))
	switch {
	case next == nil:
		m.at = morningEnd
	case next.After(m.at):
		m.at = next.Add(time.Second - 1).Truncate(time.Second)
	}
}

func (m *morning) poke() {
	m.Helper()
	for more := true; more; {
		m.check(pgx.BeginFunc(m.Context(), m.Pool, func(tx pgx.Tx) error {
			due, err := campaigns.Poke(m.Context(), tx, m.at, 2000)
			m.queued[0], m.queued[1] = append(m.queued[0], due.Urgent...), append(m.queued[1], due.Released...)
			more = len(due.Urgent)+len(due.Released) > 0
			return err
		}))
	}
}

// settle decides what is queued. Intercom is asked about contacts first.
func (m *morning) settle(i int) {
	m.Helper()
	keys := m.queued[i]
	m.queued[i] = nil
	m.side(slices.Collect(slices.Chunk(keys, 50)), func(ctx context.Context, some []campaigns.Key) (ready, again []campaigns.Key, err error) {
		s, err := m.campaigns.Claim(ctx, some, m.at, 0, false)
		return s.Ready, append(s.Busy, m.asked(ctx, s.Stale)...), err
	}, &m.ready[i], &m.queued[i])
}

// asked notes that Intercom was asked about the contacts just now.
func (m *morning) asked(ctx context.Context, stale []campaigns.Key) []campaigns.Key {
	ids := make([]int64, len(stale))
	for i, k := range stale {
		ids[i] = k.Customer
	}
	if _, err := m.Pool.Exec(ctx, `update dunlin.links set checked_at = $1 where customer_id = any ($2)`, m.at, ids); err != nil {
		m.Error(err)
	}
	return stale
}

// claim claims what is ready, while more permits are left than are kept back.
func (m *morning) claim(i, kept int) {
	m.Helper()
	n := min(len(m.ready[i]), max(0, m.left-kept))
	keys := m.ready[i][:n]
	m.ready[i] = m.ready[i][n:]
	var claimed []campaigns.Key
	m.side(slices.Collect(slices.Chunk(keys, 50)), func(ctx context.Context, some []campaigns.Key) (ready, again []campaigns.Key, err error) {
		b, err := m.campaigns.Claim(ctx, some, m.at, len(some), true)
		for _, c := range b.Claims {
			ready = append(ready, c.Key)
			_, fault := m.campaigns.Record(ctx, c, campaigns.Outcome{Result: campaigns.Accepted, ExternalID: "message"}, m.at)
			err = errors.Join(err, fault)
		}
		return ready, b.Busy, err
	}, &claimed, &m.ready[i])
	m.left -= len(claimed)
}

// side does the work on batches, a few side by side.
func (m *morning) side(batches [][]campaigns.Key, work func(context.Context, []campaigns.Key) (done, again []campaigns.Key, err error), done, again *[]campaigns.Key) {
	m.Helper()
	var lock sync.Mutex
	var failed error
	next := make(chan []campaigns.Key)
	var workers sync.WaitGroup
	for range morningWorkers {
		workers.Go(func() {
			for batch := range next {
				d, a, err := work(m.Context(), batch)
				lock.Lock()
				*done, *again, failed = append(*done, d...), append(*again, a...), errors.Join(failed, err)
				lock.Unlock()
			}
		})
	}
	for _, batch := range batches {
		next <- batch
	}
	close(next)
	workers.Wait()
	m.check(failed)
}

// hold fails when somebody heard too early or too late in the day (decent-hours),
// twice (one-budget), or not the most important of several.
func (m *morning) hold() {
	m.Helper()
	rows, err := m.Pool.Query(m.Context(), `
		select d.customer_id, d.campaign, l.timezone, d.claimed_at, d.scheduled_at from dunlin.deliveries d join dunlin.links l using (account_id, customer_id)
		where d.contacted_at is not null order by 1, 4`)
	m.check(err)
	var id, before int64
	var campaign, zone string
	var claimed, scheduled time.Time
	people, twice, early, lesser := 0, 0, 0, 0
	_, err = pgx.ForEachRow(rows, []any{&id, &campaign, &zone, &claimed, &scheduled}, func() error {
		local, err := time.LoadLocation(zone)
		if hour := claimed.In(local).Hour(); hour < 8 || hour >= 21 {
			early++
		}
		want := "middle"
		switch {
		case id > int64(m.size):
			want = "now"
			m.waits = append(m.waits, claimed.Sub(scheduled))
		case id%20 == 0:
			want = "high"
		}
		switch {
		case id == before:
			twice++
		case campaign != want:
			lesser++
		}
		if id != before {
			people++
		}
		before = id
		return err
	})
	m.check(err)
	slices.Sort(m.waits)
	if all := m.size + m.size/50; people != all || twice+early+lesser > 0 {
		m.Errorf("the morning\n got %d people who heard, %d twice, %d messages in quiet hours, %d less important ones\nwant %d people, and none of those", people, twice, early, lesser, all)
	}
	if p99 := quantile(m.waits, 0.99); p99 > 10*time.Second {
		m.Errorf("what became due during the wave waited\n got %s (p99)\nwant at most the 10 seconds of a window", p99)
	}
}

// histogram is what was sent in each minute, for people.
func (m *morning) histogram() string {
	m.Helper()
	rows, err := m.Pool.Query(m.Context(), `
		select date_trunc('minute', d.claimed_at), count(*) filter (where d.campaign <> 'now'), count(*) filter (where d.campaign = 'now'),
		       string_agg(distinct l.timezone, ', ') filter (where d.campaign <> 'now')
		from dunlin.deliveries d join dunlin.links l using (account_id, customer_id) where d.contacted_at is not null
		group by 1 having count(*) filter (where d.campaign <> 'now') > 0 order by 1`)
	m.check(err)
	var s strings.Builder
	fmt.Fprintf(&s, "## The end of the night\n\n%s people in %d zones wait for 08:00; one in five has two messages, one in twenty a more important one. Virtual time, the store and its decisions are real; Intercom's windows, %s calls in 10 s, are reckoned. Nobody heard before 08:00, nobody twice. Of %s messages that became due from 07:00 to 07:02, while the wave of 07:00 went out, p50 waited %s, p99 %s, at most %s.\n\n| minute (UTC) | of the wave | meanwhile due | whose morning |\n|---|---|---|---|\n",
		thousands(m.size), len(morningZones), thousands(m.limit), thousands(len(m.waits)), quantile(m.waits, 0.5), quantile(m.waits, 0.99), m.waits[len(m.waits)-1])
	var minute time.Time
	var wave, now int
	var zones string
	_, err = pgx.ForEachRow(rows, []any{&minute, &wave, &now, &zones}, func() error {
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", minute.UTC().Format("15:04"), thousands(wave), thousands(now), zones)
		return nil
	})
	m.check(err)
	return strings.TrimSpace(s.String())
}
