package jobs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/segments/rule"
)

// An importable is a customer as a round finds it.
type importable struct {
	customers.Ref
	Projected time.Time // business time, of the picture
	Written   []byte    // fingerprint of what its contact carries; nil: nothing of it
	Contact   string    // that carries it
	Ask       bool      // who it is at Intercom has not been asked for a day
	Write     bool      // what its contact carries may be old
}

// customers does one page of customers.
func (r *importRun) customers(ctx context.Context) error {
	page, err := r.customerPage(ctx)
	if err != nil {
		return err
	}
	pictures := map[customers.Ref]customers.Picture{}
	var ask []intercom.Customer
	var candidates []intercom.Ref
	for _, c := range page {
		if !c.Ask && !c.Write {
			continue
		}
		if pictures[c.Ref], err = customers.Load(ctx, r.Pool, c.Ref); err != nil {
			return err
		}
		if c.Ask {
			ask = append(ask, LinkCustomer(pictures[c.Ref], r.settings))
		}
		candidates = append(candidates, intercom.Ref(c.Ref))
	}
	if len(ask) > 0 {
		if r.calls += 1 + len(ask)/50; r.settings.CreateContacts {
			r.calls += len(ask)
		}
		links, err := r.Links.ResolveAll(ctx, r.Pool, ask, Linking(r.settings, false), importAsk)
		if err != nil && len(links) == 0 {
			return err
		} else if err != nil {
			r.Logger.Warn("contacts not read", slog.Any("error", err))
		}
	}
	persons, err := r.Links.ReadAll(ctx, r.Pool, candidates)
	if err != nil {
		return err
	}
	var write []importable
	for _, c := range page {
		p, ok := persons[intercom.Ref(c.Ref)]
		if !ok || p.State != intercom.Linked || !r.mayWrite(p.ContactID, p.Email) {
			continue
		}
		leads, err := r.leads(ctx, pictures, c.Ref, p.Others)
		if err != nil {
			return err
		}
		if leads {
			write = append(write, c)
		}
	}
	err = r.each(ctx, len(write), func(ctx context.Context, i int) error {
		ref := write[i].Ref
		return r.write(ctx, write[i], persons[intercom.Ref(ref)].Link, pictures[ref])
	})
	if err != nil {
		return err
	}
	if len(page) == importPage {
		r.round.After = intercom.Ref(page[len(page)-1].Ref)
		return nil
	}
	r.round.After, r.round.AtEvents = intercom.Ref{}, true
	return nil
}

func (r *importRun) customerPage(ctx context.Context) ([]importable, error) {
	rows, err := r.Pool.Query(ctx, `
		with page as (
			select c.account_id, c.customer_id, c.projected_at, c.email from dunlin.customers c
			where (c.account_id, c.customer_id) > (@account::int, @customer::bigint)
			and c.account_id in (select account_id from dunlin.accounts where ready_at is not null)
			order by 1, 2 limit @page
		)
		select p.account_id, p.customer_id, p.projected_at, i.fingerprint, coalesce(i.contact_id, ''),
		       l.checked_at is null or l.checked_at <= @asked or coalesce(l.email, '') <> btrim(coalesce(p.email, '')),
		       l.state is not distinct from 'linked'
		       and (l.contact_id is distinct from i.contact_id or p.projected_at is distinct from i.projected_at)
		from page p
		left join dunlin.links l using (account_id, customer_id)
		left join dunlin.imported_customers i using (account_id, customer_id)
		order by 1, 2`, pgx.StrictNamedArgs{
		"account": r.round.After.Account, "customer": r.round.After.Customer, "page": importPage, "asked": r.now.Add(-importAsk),
	})
	if err != nil {
		return nil, fmt.Errorf("look for customers to import: %w", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c importable, err error) {
		err = row.Scan(&c.Account, &c.Customer, &c.Projected, &c.Written, &c.Contact, &c.Ask, &c.Write)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for customers to import: %w", err)
	}
	return page, nil
}

// leads reports whether a customer is the one, of those that are the same
// contact, that the contact carries: the first of those that live, in live mode,
// with the best subscription, and the newest.
func (r *importRun) leads(ctx context.Context, pictures map[customers.Ref]customers.Picture, ref customers.Ref, others []intercom.Ref) (bool, error) {
	for _, other := range others {
		o := customers.Ref(other)
		if _, ok := pictures[o]; !ok {
			p, err := customers.Load(ctx, r.Pool, o)
			if err != nil {
				return false, err
			}
			pictures[o] = p
		}
		if before(pictures[o], pictures[ref]) < 0 {
			return false, nil
		}
	}
	return true, nil
}

func before(a, b customers.Picture) int {
	no := func(p customers.Picture, name string, is bool) int {
		if p.Value(name) == is {
			return 1
		}
		return 0
	}
	status := func(p customers.Picture) int {
		s, had := p.Value("subscription_status").(string)
		switch i := slices.Index([]string{"active", "trialing", "past_due", "unpaid", "paused"}, s); {
		case i >= 0:
			return i
		case had:
			return 5
		}
		return 6
	}
	created := func(p customers.Picture) time.Time {
		t, _ := p.Value("created_at").(time.Time)
		return t
	}
	return cmp.Or(
		no(a, "deleted", true)-no(b, "deleted", true),
		no(a, "livemode", false)-no(b, "livemode", false),
		status(a)-status(b),
		created(b).Compare(created(a)),
		a.Account-b.Account,
		cmp.Compare(a.Customer, b.Customer),
	)
}

// write makes the contact carry the customer, unless it does.
func (r *importRun) write(ctx context.Context, c importable, link intercom.Link, p customers.Picture) error {
	values := importValues(p, r.writable)
	raw, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("import customer %d of account %d: %w", c.Customer, c.Account, err)
	}
	sum := sha256.Sum256(raw)
	if c.Contact == link.ContactID && bytes.Equal(c.Written, sum[:]) || len(values) == 0 {
		return intercom.Imported(ctx, r.Pool, link.Ref(), link.ContactID, sum[:], c.Projected)
	}
	err = r.Intercom.SetAttributes(ctx, link.ContactID, values)
	if intercom.Gone(err) {
		return r.again(ctx, p)
	}
	refused, err := r.called(err, slog.Int("account", c.Account), slog.Int64("customer", c.Customer))
	switch {
	case err != nil:
		return err
	case refused:
		return intercom.Imported(ctx, r.Pool, link.Ref(), link.ContactID, []byte{}, c.Projected)
	}
	return intercom.Imported(ctx, r.Pool, link.Ref(), link.ContactID, sum[:], c.Projected)
}

// again asks who a customer is whose contact is gone; the next round writes.
func (r *importRun) again(ctx context.Context, p customers.Picture) error {
	_, err := r.Links.Resolve(ctx, r.Pool, LinkCustomer(p, r.settings), Linking(r.settings, false), 0)
	return err
}

// maxText is how many characters Intercom keeps of a text.
const maxText = 255

// importValues are a customer's attributes as Intercom's own import writes them;
// what is missing clears. Amounts are decimals in major units, exact, without
// their currency (honest-money): Intercom has no place for it.
func importValues(p customers.Picture, names []string) map[string]any {
	values := make(map[string]any, len(names))
	for _, name := range names {
		value := p.Value(strings.TrimPrefix(name, "stripe_"))
		if name == "stripe_id" {
			value = p.StripeID
		}
		switch v := value.(type) {
		case rule.Money:
			value = json.Number(v.Amount.String())
		case rule.Decimal:
			value = json.Number(v.String())
		case rule.Date:
			value = seconds(time.Date(v.Year, v.Month, v.Day, 0, 0, 0, 0, time.UTC))
		case time.Time:
			value = seconds(v)
		case string:
			value = clipText(v)
		}
		values[name] = value
	}
	return values
}

func clipText(s string) any {
	if s == "" {
		return nil
	}
	if utf8.RuneCountInString(s) > maxText {
		return string([]rune(s)[:maxText])
	}
	return s
}
