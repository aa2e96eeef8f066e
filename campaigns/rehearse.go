package campaigns

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// A Rehearsal is what starting a campaign would do: who would be enrolled, and
// what they would hear, and when.
type Rehearsal struct {
	Start
	TestContacts int              `json:"test_contacts"`   // while there are any, only they receive
	Steps        []RehearsedStep  `json:"steps"`           // in the order of the definition
	Decided      int64            `json:"decided"`         // of the deliveries due now
	Unread       int64            `json:"contacts_unread"` // of them: Intercom was not asked about the contact lately, and it was taken as known
	Sample       []SampledPreview `json:"sample"`          // of who would be enrolled, the first to hear first; else of the members

	Definition Definition         `json:"-"`
	Settings   workspace.Settings `json:"-"`
}

// A RehearsedStep counts the deliveries of one step by when they would be due,
// each once, and what would be decided of those due now.
type RehearsedStep struct {
	Step    string    `json:"step"`
	Action  Action    `json:"action"`
	Now     int64     `json:"now"`
	Day     int64     `json:"within_1_day"`
	Week    int64     `json:"within_7_days"`
	Month   int64     `json:"within_30_days"`
	Later   int64     `json:"later"`
	Undated int64     `json:"undated"` // the date it counts from is missing
	Passed  int64     `json:"passed"`  // its time has passed, and catch_up does not keep it
	Due     []Outlook `json:"decisions"`
}

// An Outlook counts the deliveries of which the same would be decided now.
type Outlook struct {
	Verdict Verdict `json:"verdict"`
	Reason  Reason  `json:"reason,omitempty"`
	Count   int64   `json:"count"`
}

// A SampledPreview is what one customer would hear.
type SampledPreview struct {
	Account string `json:"account"`
	Preview
}

const (
	rehearseMost = 5000 // deliveries due now that are decided
	rehearseOnce = 500  // of them, together
)

// Rehearse starts a campaign and decides what is due by then, by the code that
// does it in earnest, as if Intercom and Stripe had just been asked for news, and
// as if DRY_RUN were not set. It is for a transaction that is rolled back.
func (s *Store) Rehearse(ctx context.Context, tx pgx.Tx, name string, sample int, now time.Time) (Rehearsal, error) {
	started, err := s.Start(ctx, tx, name, now)
	if err != nil {
		return Rehearsal{}, err
	}
	out := Rehearsal{Start: started, Sample: []SampledPreview{}}
	if out.Settings, err = workspace.Load(ctx, tx); err != nil {
		return Rehearsal{}, err
	}
	if out.Definition, err = s.InForce(ctx, tx, out.Settings, name); err != nil {
		return Rehearsal{}, err
	}
	out.TestContacts = len(out.Settings.TestContacts)
	if err := out.count(ctx, tx, now); err != nil {
		return Rehearsal{}, err
	}
	if err := s.foretell(ctx, tx, &out, now); err != nil {
		return Rehearsal{}, err
	}
	if err := s.sample(ctx, tx, &out, sample, now); err != nil {
		return Rehearsal{}, err
	}
	return out, nil
}

// count counts each step's deliveries by when they are due.
func (r *Rehearsal) count(ctx context.Context, tx pgx.Tx, now time.Time) error {
	places := map[string]int{}
	for i, step := range r.Definition.Steps {
		places[step.Name] = i
		r.Steps = append(r.Steps, RehearsedStep{Step: step.Name, Action: step.Action, Due: []Outlook{}})
	}
	rows, err := tx.Query(ctx, `
		select step,
		       count(*) filter (where planned and at <= @now),
		       count(*) filter (where planned and at > @now and at <= @now::timestamptz + interval '24 hours'),
		       count(*) filter (where planned and at > @now::timestamptz + interval '24 hours' and at <= @now::timestamptz + 7 * interval '24 hours'),
		       count(*) filter (where planned and at > @now::timestamptz + 7 * interval '24 hours' and at <= @now::timestamptz + 30 * interval '24 hours'),
		       count(*) filter (where planned and at > @now::timestamptz + 30 * interval '24 hours'),
		       count(*) filter (where planned and at is null),
		       count(*) filter (where not planned)
		from (select step, state = 'planned' as planned, scheduled_at as at from dunlin.deliveries where campaign = @campaign) d
		group by step`, pgx.StrictNamedArgs{"campaign": r.Campaign, "now": now})
	if err != nil {
		return fmt.Errorf("count what would be due: %w", err)
	}
	var x RehearsedStep
	_, err = pgx.ForEachRow(rows, []any{&x.Step, &x.Now, &x.Day, &x.Week, &x.Month, &x.Later, &x.Undated, &x.Passed}, func() error {
		at := &r.Steps[places[x.Step]]
		x.Action, x.Due = at.Action, at.Due
		*at = x
		return nil
	})
	if err != nil {
		return fmt.Errorf("count what would be due: %w", err)
	}
	return nil
}

// foretell decides what is due now.
func (s *Store) foretell(ctx context.Context, tx pgx.Tx, r *Rehearsal, now time.Time) error {
	rows, err := tx.Query(ctx, `
		select account_id, customer_id, campaign, episode, step from dunlin.deliveries
		where campaign = $1 and state = 'planned' and scheduled_at <= $2
		order by account_id, customer_id, episode, step limit $3`, r.Campaign, now, rehearseMost)
	if err != nil {
		return fmt.Errorf("read what would be due: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Key])
	if err != nil {
		return fmt.Errorf("read what would be due: %w", err)
	}
	counts := map[string]map[Outlook]int64{}
	for some := range slices.Chunk(keys, rehearseOnce) {
		list, _, err := s.situations(ctx, tx, some, now, false)
		if err != nil {
			return err
		}
		for _, x := range list {
			r.Decided++
			x.DryRun, x.NoIntercom, x.NoOlderThan = false, false, 0
			if x.stale() && (x.needsContact() || r.TestContacts > 0) {
				r.Unread++
				email, _ := x.picture.Value("email").(string)
				x.Contact.State, x.Contact.Email, x.Contact.Checked = cmp.Or(x.Contact.State, "linked"), cmp.Or(x.Contact.Email, email), now
			}
			d := s.decide(x)
			if counts[x.key.Step] == nil {
				counts[x.key.Step] = map[Outlook]int64{}
			}
			counts[x.key.Step][Outlook{Verdict: d.Verdict, Reason: d.Reason}]++
		}
	}
	for i := range r.Steps {
		step := &r.Steps[i]
		for o, n := range counts[step.Step] {
			o.Count = n
			step.Due = append(step.Due, o)
		}
		slices.SortFunc(step.Due, func(a, b Outlook) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Reason, b.Reason))
		})
	}
	return nil
}

// sample previews a few of who would be enrolled, or of the members when nobody
// would be.
func (s *Store) sample(ctx context.Context, tx pgx.Tx, r *Rehearsal, most int, now time.Time) error {
	rows, err := tx.Query(ctx, `
		with enrolled as (
			select account_id, customer_id, row_number() over (order by min(due_at), account_id, customer_id) as place from dunlin.deliveries
			where campaign = $1 and state = 'planned' group by 1, 2 order by 3 limit $3),
		members as (
			select account_id, customer_id, row_number() over (order by m.joined_at desc, account_id, customer_id) as place
			from dunlin.segments s join dunlin.members m using (generation)
			where s.name = $2 and not exists (select from enrolled) order by 3 limit $3)
		select x.account_id, x.customer_id, a.name from (select * from enrolled union all select * from members) x
		join dunlin.accounts a using (account_id)
		order by x.place`, r.Campaign, r.Definition.Segment, most)
	if err != nil {
		return fmt.Errorf("choose a sample: %w", err)
	}
	type sampled struct {
		Account  int
		Customer int64
		Name     string
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sampled])
	if err != nil {
		return fmt.Errorf("choose a sample: %w", err)
	}
	what := Previewing{Definition: r.Definition, Settings: r.Settings}
	if _, what.Parents, err = segments.LoadKnown(ctx, tx, r.Settings.Currency); err != nil {
		return err
	}
	for _, x := range list {
		p, err := s.Preview(ctx, tx, what, customers.Ref{Account: x.Account, Customer: x.Customer}, now)
		if err != nil {
			return err
		}
		p.Enrolled = nil // no further than here
		r.Sample = append(r.Sample, SampledPreview{Account: x.Name, Preview: p})
	}
	return nil
}
