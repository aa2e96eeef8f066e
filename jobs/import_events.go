package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/segments/rule"
)

// An importedEvent is a domain event whose customer is linked, and that was not
// sent.
type importedEvent struct {
	customers.Ref
	ID       string
	At       time.Time
	Second   time.Time // that Intercom is told: nearly always that of At
	Type     string
	Object   string
	Amount   *rule.Decimal
	Currency string
	Contact  string
	Role     string
	Email    string
}

// events does one page of events: those since the import was switched on, at
// most seven days old. Events come late and in any order, so each round looks at
// all of these again; which were sent is remembered for each.
func (r *importRun) events(ctx context.Context) error {
	from := r.now.Add(-importLate)
	if r.round.EventAt.IsZero() {
		if err := intercom.SweepImport(ctx, r.Pool, from.Add(-importLate)); err != nil {
			return err
		}
		r.round.EventAt = from
		if r.round.Since.After(from) {
			r.round.EventAt = r.round.Since
		}
	}
	page, err := r.eventPage(ctx)
	if err != nil {
		return err
	}
	err = r.each(ctx, len(page), func(ctx context.Context, i int) error {
		if !r.mayWrite(page[i].Contact, page[i].Email) {
			return nil
		}
		return r.send(ctx, page[i])
	})
	if err != nil {
		return err
	}
	if len(page) < importPage {
		r.done = true
		return nil
	}
	last := page[len(page)-1]
	r.round.EventAt, r.round.After, r.round.EventID = last.At, intercom.Ref(last.Ref), last.ID
	return nil
}

// eventPage reads the next events. Intercom takes two of one contact, name and
// second for one (facts/intercom.md 1.8), and says nothing: invoices of two
// subscriptions are often made in the same second. So each has a second of its
// own, the first that is free from its own on, by the order of the events; which is
// the same each time, and may be sent again.
func (r *importRun) eventPage(ctx context.Context) ([]importedEvent, error) {
	rows, err := r.Pool.Query(ctx, `
		select e.account_id, e.customer_id, e.id, e.created_at, to_timestamp(own.second), e.type, coalesce(e.object, ''), e.amount, coalesce(e.amount_currency, ''), l.contact_id, l.role, coalesce(l.email, '')
		from dunlin.events e
		join dunlin.links l using (account_id, customer_id)
		cross join lateral (
			select max(second + until - place) as second
			from (
				select second, count(*) over () as until, row_number() over (order by second, account_id, customer_id, id) as place
				from (
					select o.account_id, o.customer_id, f.id, floor(extract(epoch from f.created_at)) as second, floor(extract(epoch from e.created_at)) as this
					from dunlin.links o join dunlin.events f using (account_id, customer_id)
					where o.contact_id = l.contact_id and f.type = e.type and f.created_at >= @since
				) of_contact
				where second >= this - 60 and (second, account_id, customer_id, id) <= (this, e.account_id, e.customer_id, e.id)
			) up_to_this
		) own
		where e.created_at >= @at and e.created_at >= @since and own.second <= extract(epoch from @now::timestamptz)
		and (e.created_at, e.account_id, e.customer_id, e.id) > (@at::timestamptz, @account::int, @customer::bigint, @id::text)
		and e.type = any (@types) and l.state = 'linked'
		and e.account_id in (select account_id from dunlin.accounts where ready_at is not null)
		and not exists (select from dunlin.imported_events i where i.account_id = e.account_id and i.customer_id = e.customer_id and i.id = e.id)
		order by e.created_at, e.account_id, e.customer_id, e.id
		limit @page`, pgx.StrictNamedArgs{
		"at": r.round.EventAt, "since": r.round.Since, "now": r.now, "account": r.round.After.Account, "customer": r.round.After.Customer, "id": r.round.EventID,
		"types": intercom.ImportedEvents, "page": importPage,
	})
	if err != nil {
		return nil, fmt.Errorf("look for events to import: %w", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e importedEvent, err error) {
		err = row.Scan(&e.Account, &e.Customer, &e.ID, &e.At, &e.Second, &e.Type, &e.Object, &e.Amount, &e.Currency, &e.Contact, &e.Role, &e.Email)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for events to import: %w", err)
	}
	return page, nil
}

// send sends one event. Intercom knows a user's event by its name and second, so
// that it may be sent again until it is known to be there. It does not know a
// lead's: that is remembered before it is sent, and not sent again.
func (r *importRun) send(ctx context.Context, e importedEvent) error {
	ref := intercom.Ref(e.Ref)
	lead := e.Role != "user"
	if lead {
		if err := intercom.ImportedEvent(ctx, r.Pool, ref, e.ID, e.At, "its outcome is not known"); err != nil {
			return err
		}
	}
	err := r.Intercom.CreateEvent(ctx, intercom.Event{Contact: e.Contact, Role: e.Role, Name: e.Type, At: e.Second, Metadata: e.metadata()})
	if lead && (intercom.NotSent(err) || intercom.RateLimited(err)) {
		if err := intercom.ForgetEvent(ctx, r.Pool, ref, e.ID); err != nil {
			return err
		}
	}
	if intercom.Gone(err) {
		return r.lost(ctx, e, lead)
	}
	why := ""
	refused, fatal := r.called(err, slog.Int("account", e.Account), slog.Int64("customer", e.Customer), slog.String("event", e.ID))
	switch {
	case fatal != nil:
		return fatal
	case refused:
		why = err.Error()
	}
	return intercom.ImportedEvent(ctx, r.Pool, ref, e.ID, e.At, why)
}

// lost asks who a customer is whose contact is gone; the next round sends.
func (r *importRun) lost(ctx context.Context, e importedEvent, lead bool) error {
	if lead {
		if err := intercom.ForgetEvent(ctx, r.Pool, intercom.Ref(e.Ref), e.ID); err != nil {
			return err
		}
	}
	p, err := customers.Load(ctx, r.Pool, e.Ref)
	if err != nil {
		return err
	}
	return r.again(ctx, p)
}

// metadata are the object's id and the money in question.
func (e importedEvent) metadata() []intercom.Datum {
	values := []campaigns.Pair{{Name: "stripe_object", Value: e.Object}}
	if e.Amount != nil && e.Currency != "" {
		values = append(values, campaigns.Pair{Name: "amount", Value: strings.ToUpper(rule.Money{Amount: *e.Amount, Currency: e.Currency}.String())})
	}
	return metadata(values)
}
