package campaigns

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// noon is a Monday, in nobody's quiet hours.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// A world is a store on a database of its own, with one account that is ready
// and two segments: owing (delinquent) and carded (with a card).
type world struct {
	t       testing.TB
	pool    *pgxpool.Pool
	store   *Store
	account int
}

const settingsUTC = "kind: workspace\nzone: UTC\ncurrency: usd\nquiet_hours: {from: \"21:00\", to: \"08:00\"}\nintercom: {sender: admin:7}\nteams: {billing: \"8202\"}\n"

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, pool: pgtest.New(t)}
	w.store = w.newStore(false)
	w.row(&w.account, `insert into dunlin.accounts (name, created_at, mirrored_at, ready_at) values ('main', $1, $1, $1) returning account_id`, noon.Add(-day))
	w.settings(settingsUTC)
	w.segment("owing", "delinquent and not deleted")
	w.segment("carded", "card_expires_at is set")
	w.exec(`
		insert into dunlin.generations (segment, version, zone, currency, accounts, why, opened_at, state)
		select name, version, 'UTC', 'usd', array[$1::int], 'new', $2, 'live' from dunlin.segments`, w.account, noon)
	w.exec(`update dunlin.segments s set evaluated_at = $1, audited_at = $1, generation = g.generation from dunlin.generations g where g.segment = s.name`, noon)
	w.exec(`insert into dunlin.ticks (at, finished_at) values ($1, $1)`, noon)
	return w
}

func (w *world) newStore(dryRun bool) *Store {
	w.t.Helper()
	s, err := NewStore(Config{Pool: w.pool, DryRun: dryRun, Contacts: readContacts, Unapplied: readUnapplied, AsOf: readAsOf})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// readContacts reads the links of customers, and under lock locks those of each
// person, or leaves the customer out.
func readContacts(ctx context.Context, tx pgx.Tx, refs []customers.Ref, lock bool) (map[customers.Ref]Contact, error) {
	out := map[customers.Ref]Contact{}
	for _, ref := range refs {
		const person = `
			from dunlin.links l
			where (account_id = $1 and customer_id = $2)
			   or contact_id = (select contact_id from dunlin.links where account_id = $1 and customer_id = $2)`
		var all int
		if err := tx.QueryRow(ctx, `select count(*)`+person, ref.Account, ref.Customer).Scan(&all); err != nil {
			return nil, err
		}
		sql := `
			select customer_id, state, coalesce(contact_id, ''), coalesce(role, ''), coalesce(email, ''), coalesce(opted_out, ''),
			       coalesce(timezone, ''), coalesce(country, ''), checked_at` + person + ` order by account_id, customer_id`
		if lock {
			sql += ` for update skip locked`
		}
		rows, err := tx.Query(ctx, sql, ref.Account, ref.Customer)
		if err != nil {
			return nil, err
		}
		var id int64
		var x, c Contact
		read := 0
		_, err = pgx.ForEachRow(rows, []any{&id, &x.State, &x.ID, &x.Role, &x.Email, &x.OptOut, &x.Place.Zone, &x.Place.LocationCountry, &x.Checked}, func() error {
			read++
			others := c.Others
			if id == ref.Customer {
				c = x
				c.Others = others
			} else {
				c.Others = append(others, customers.Ref{Account: ref.Account, Customer: id})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if read == all {
			out[ref] = c
		}
	}
	return out, nil
}

func readUnapplied(ctx context.Context, tx pgx.Tx, account int, stripeIDs []string) (map[string]time.Time, error) {
	rows, err := tx.Query(ctx, `
		select customer, min(received_at) from dunlin.stripe_events where account_id = $1 and customer = any($2) and state = 'stored' group by 1`, account, stripeIDs)
	if err != nil {
		return nil, err
	}
	waits := map[string]time.Time{}
	var id string
	var since time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &since}, func() error { waits[id] = since; return nil })
	return waits, err
}

func readAsOf(ctx context.Context, tx pgx.Tx) (map[int]time.Time, error) {
	rows, err := tx.Query(ctx, `select account_id, coalesce(feed_until, 'infinity') from dunlin.accounts`)
	if err != nil {
		return nil, err
	}
	asOf := map[int]time.Time{}
	var account int
	var until pgtype.Timestamptz
	_, err = pgx.ForEachRow(rows, []any{&account, &until}, func() error {
		asOf[account] = until.Time
		if until.InfinityModifier == pgtype.Infinity {
			asOf[account] = noon.AddDate(10, 0, 0)
		}
		return nil
	})
	return asOf, err
}

// claimOne claims one delivery, as soon as nobody else is at it.
func claimOne(ctx context.Context, s *Store, k Key, now time.Time) (Claim, bool, error) {
	for {
		b, err := s.Claim(ctx, []Key{k}, now, 1, true)
		switch {
		case err != nil:
			return Claim{}, false, err
		case len(b.Claims) == 1:
			return b.Claims[0], true, nil
		case len(b.Busy) == 0:
			return Claim{}, false, nil
		}
	}
}

// consider decides a delivery and records nothing; ok is false when there is
// nothing to decide.
func (w *world) consider(k Key, at time.Time) (d Decision, ok bool) {
	w.t.Helper()
	w.tx(func(tx pgx.Tx) error {
		list, _, err := w.store.situations(w.t.Context(), tx, []Key{k}, at, false)
		if len(list) == 1 {
			d, ok = w.store.decide(list[0]), true
		}
		return err
	})
	return d, ok
}

func (w *world) exec(sql string, args ...any) int64 {
	w.t.Helper()
	tag, err := w.pool.Exec(w.t.Context(), sql, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return tag.RowsAffected()
}

func (w *world) row(into any, sql string, args ...any) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), sql, args...).Scan(into); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tx(f func(pgx.Tx) error) {
	w.t.Helper()
	if err := pgx.BeginFunc(w.t.Context(), w.pool, f); err != nil {
		w.t.Fatal(err)
	}
}

func document(t testing.TB, source string) workspace.Document {
	t.Helper()
	docs, faults := workspace.Parse("test", []byte(source))
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents\n%s", len(docs), faults.Explain())
	}
	return docs[0]
}

func (w *world) settings(source string) {
	w.t.Helper()
	w.tx(func(tx pgx.Tx) error {
		_, err := workspace.Save(w.t.Context(), tx, document(w.t, source), noon)
		return err
	})
}

func (w *world) segment(name, rule string) {
	w.t.Helper()
	s, faults := segments.Parse(document(w.t, fmt.Sprintf("kind: segment\nname: %s\nrule: %s\n", name, rule)), segments.Known{}, "usd")
	if len(faults) > 0 {
		w.t.Fatal(faults.Explain())
	}
	w.tx(func(tx pgx.Tx) error {
		_, err := segments.Save(w.t.Context(), tx, s, noon)
		return err
	})
}

// campaign stores a definition: head are its keys but for the name, steps one
// line each, in flow style.
func (w *world) campaign(name, head string, steps ...string) bool {
	w.t.Helper()
	var stored bool
	w.tx(func(tx pgx.Tx) (err error) {
		edit, err := w.saveCampaign(tx, name, head, noon, steps...)
		stored = edit.Stored
		return err
	})
	return stored
}

func (w *world) saveCampaign(tx pgx.Tx, name, head string, at time.Time, steps ...string) (Edit, error) {
	w.t.Helper()
	doc := document(w.t, "kind: campaign\nname: "+name+"\n"+head+"\nsteps:\n  - "+strings.Join(steps, "\n  - ")+"\n")
	settings, err := workspace.Load(w.t.Context(), tx)
	if err != nil {
		return Edit{}, err
	}
	if _, faults := Parse(doc, Known{Segments: []string{"owing", "carded", "all"}, Settings: settings}); len(faults) > 0 {
		w.t.Fatal(faults.Explain())
	}
	return Save(w.t.Context(), tx, doc, at)
}

const (
	onEntry = "segment: owing\nepisode: entry\nexisting: enroll"
	onCard  = "segment: carded\nepisode: card\nexisting: enroll\nanchor: card_expires_at"
	nudge   = `{name: nudge, at: 0 days, message: {channel: inapp, body: 'Hi {{ customer.name }}'}}`
	call    = `{name: call, at: 0 days, task: {title: 'Call {{ customer.name }}', body: b, team: billing, due: 1 day}}`
	mark    = `{name: mark, at: 0 days, tag: marked}`
)

func (w *world) start(name string, at time.Time) Start {
	w.t.Helper()
	var out Start
	w.tx(func(tx pgx.Tx) (err error) {
		out, err = w.store.Start(w.t.Context(), tx, name, at)
		return err
	})
	return out
}

func (w *world) enroll(at time.Time) int64 {
	w.t.Helper()
	var n int64
	w.tx(func(tx pgx.Tx) (err error) {
		n, err = w.store.Enroll(w.t.Context(), tx, at)
		return err
	})
	return n
}

// customer inserts somebody who owes us, with columns set besides.
func (w *world) customer(name string, columns map[string]any) int64 {
	w.t.Helper()
	all := map[string]any{
		"account_id": w.account, "stripe_id": "cus_" + name, "name": name, "first_name": name, "email": name + "@example.com", "country": "GB",
		"delinquent": true, "subscription_status": "active", "projected_at": noon,
	}
	maps.Copy(all, columns)
	var names, marks []string
	var args []any
	for i, c := range slices.Sorted(maps.Keys(all)) {
		names, marks, args = append(names, c), append(marks, fmt.Sprintf("$%d", i+1)), append(args, all[c])
	}
	var id int64
	w.row(&id, `insert into dunlin.customers (`+strings.Join(names, ", ")+`) values (`+strings.Join(marks, ", ")+`) returning customer_id`, args...)
	return id
}

// date makes a date column's value.
func date26(month time.Month, d int) time.Time {
	return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC)
}

func (w *world) join(id int64, segment string, at time.Time) {
	w.t.Helper()
	w.exec(`insert into dunlin.members (account_id, customer_id, generation, joined_at) select $1, $2, generation, $4 from dunlin.segments where name = $3`, w.account, id, segment, at)
}

func (w *world) leave(id int64, segment string) {
	w.t.Helper()
	w.exec(`delete from dunlin.members where customer_id = $1 and generation = (select generation from dunlin.segments where name = $2)`, id, segment)
}

// link makes the customer a contact of Intercom, asked just now.
func (w *world) link(id int64, contact string, at time.Time) {
	w.t.Helper()
	w.exec(`
		insert into dunlin.links (account_id, customer_id, state, contact_id, role, email, checked_at) values ($1, $2, 'linked', $3, 'user', 'x@example.com', $4)
		on conflict (account_id, customer_id) do update set state = 'linked', contact_id = excluded.contact_id, checked_at = excluded.checked_at`, w.account, id, contact, at)
}

// rows are the deliveries of a customer, one line each: step, state, reason and
// when it is due, from noon.
func (w *world) rows(id int64) []string {
	w.t.Helper()
	found, err := w.pool.Query(w.t.Context(), `
		select e.campaign || '/' || d.step, d.state, coalesce(d.reason, '-'), d.due_at from dunlin.deliveries d
		join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
		where d.customer_id = $1 order by e.enrolled_at, e.episode, e.campaign, d.due_at, d.step`, id)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(found, func(r pgx.CollectableRow) (string, error) {
		var step, state, reason string
		var due time.Time
		err := r.Scan(&step, &state, &reason, &due)
		return fmt.Sprintf("%s %s %s %s", step, state, reason, due.Sub(noon)), err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

// enrollments are those of a customer: episode, version, state and reason.
func (w *world) enrollments(id int64) []string {
	w.t.Helper()
	found, err := w.pool.Query(w.t.Context(), `
		select campaign || ' [' || episode || '] v' || version || ' ' || state || ' ' || coalesce(reason, '-')
		from dunlin.enrollments where customer_id = $1 order by enrolled_at, campaign, episode`, id)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

// dump is everything in the tables of this room.
func (w *world) dump() string {
	w.t.Helper()
	var s string
	w.row(&s, `
		select coalesce((select string_agg(e::text, E'\n' order by e::text) from dunlin.enrollments e), '') || E'\n' ||
		       coalesce((select string_agg(d::text, E'\n' order by d::text) from dunlin.deliveries d), '') || E'\n' ||
		       coalesce((select string_agg(t::text, E'\n' order by t::text) from dunlin.tasks t), '')`)
	return s
}

// key is the delivery of a step of a customer's newest enrollment.
func (w *world) key(id int64, campaign, step string) Key {
	w.t.Helper()
	k := Key{Account: w.account, Customer: id, Campaign: campaign, Step: step}
	w.row(&k.Episode, `select episode from dunlin.enrollments where customer_id = $1 and campaign = $2 order by enrolled_at desc, episode desc limit 1`, id, campaign)
	return k
}

// delivery is a row as the list shows it.
func (w *world) delivery(k Key) Delivery {
	w.t.Helper()
	all, err := Deliveries(w.t.Context(), w.pool, DeliveryFilter{Campaign: k.Campaign, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var stripe string
	w.row(&stripe, `select stripe_id from dunlin.customers where customer_id = $1`, k.Customer)
	for _, d := range all {
		if d.StripeID == stripe && d.Episode == k.Episode && d.Step == k.Step {
			return d
		}
	}
	w.t.Fatalf("no delivery %+v", k)
	return Delivery{}
}

// wantDelivery compares state and reason, "-" for none.
func (w *world) wantDelivery(k Key, want string) {
	w.t.Helper()
	d := w.delivery(k)
	got := d.State + " -"
	if d.Reason != nil {
		got = d.State + " " + *d.Reason
	}
	if got != want {
		w.t.Errorf("%s of %s\n got %s\nwant %s", k.Step, k.Campaign, got, want)
	}
}

func (w *world) claim(k Key, at time.Time) (Claim, bool) {
	w.t.Helper()
	c, ok, err := claimOne(w.t.Context(), w.store, k, at)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, ok
}

func (w *world) record(c Claim, o Outcome, at time.Time) bool {
	w.t.Helper()
	written, err := w.store.Record(w.t.Context(), c, o, at)
	if err != nil {
		w.t.Fatal(err)
	}
	return written
}
