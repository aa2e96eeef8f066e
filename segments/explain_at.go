package segments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// LoadAt is [Load] of a past instant: the version that was in force then, with
// the rules of then of the segments that its own names. One that was stored
// later is an error wrapping [workspace.ErrNotFound].
func LoadAt(ctx context.Context, q customers.Querier, name, currency string, at time.Time) (Segment, error) {
	rows, err := q.Query(ctx, `
		select distinct on (name) name, version, rule from dunlin.segment_versions
		where created_at <= $1 order by name, version desc`, at)
	if err != nil {
		return Segment{}, fmt.Errorf("load the segments of %s: %w", at.UTC().Format(time.RFC3339), err)
	}
	s := Segment{Name: name, Parents: Parents{}}
	var read struct {
		name, source string
		version      int
	}
	_, err = pgx.ForEachRow(rows, []any{&read.name, &read.version, &read.source}, func() error {
		r, err := rule.New(read.source, Known{}, currency)
		switch {
		case read.name == name && err != nil:
			return err
		case read.name == name:
			s.Rule, s.Version = r, read.version
		}
		s.Parents[read.name] = r // nil when it does not check
		return nil
	})
	switch {
	case err != nil:
		return s, fmt.Errorf("load segment %q of %s: %w", name, at.UTC().Format(time.RFC3339), err)
	case s.Rule == nil:
		return s, fmt.Errorf("segment %q of %s: %w", name, at.UTC().Format(time.RFC3339), workspace.ErrNotFound)
	case s.Parents.Missing(s.Rule) != "":
		return s, fmt.Errorf("segment %q of %s names segment %q, whose rule of then cannot be evaluated: %w", name, at.UTC().Format(time.RFC3339), s.Parents.Missing(s.Rule), workspace.ErrNotFound)
	}
	return s, nil
}

// ExplainAt is [Asking.Explain] of the past instant Env.Now (every-why):
// membership is what the log says, and the rule is asked about the attributes of
// then and about the elements that were made by then, as they are now. Changes
// is when time alone would have given it another answer. Of a time before the
// customer was known there is no Rule, and Unknown says so.
func (a Asking) ExplainAt(ctx context.Context, q customers.Querier, s Segment, ref customers.Ref) (Answer, error) {
	at := a.Env.Now
	out := Answer{Segment: s.Name, Version: s.Version, At: at.UTC()}
	var err error
	if out.Since, err = memberAt(ctx, q, s.Name, ref, at); err != nil {
		return Answer{}, err
	}
	out.Member = out.Since != nil
	whole, err := customers.LoadCustomer(ctx, q, ref)
	if err != nil {
		return Answer{}, err
	}
	out.Customer = whole.StripeID
	picture, err := customers.LoadAt(ctx, q, ref, at)
	if errors.Is(err, customers.ErrBefore) {
		out.Unknown = errors.Unwrap(err).Error()
		return out, nil
	}
	if err != nil {
		return Answer{}, err
	}
	who := asked{whole.At(picture, at), a.parents(), a.Env}
	out.True, out.Rule = s.Rule.Eval(who, a.Env), s.Rule.Explain(who, a.Env)
	if changes, ok := who.nextChange(s.Rule, at.Add(foresight)); ok {
		out.Changes = &changes
	}
	return out, nil
}

// memberAt is since when a customer was a member at an instant, nil when it was
// none.
func memberAt(ctx context.Context, q customers.Querier, segment string, ref customers.Ref, at time.Time) (since *time.Time, err error) {
	// Of who has no line at all the list itself says since when.
	err = q.QueryRow(ctx, `
		with moves as (
			select change, at, tick_id from dunlin.membership_log
			where account_id = $2 and customer_id = $3 and segment = $1 and change in ('join', 'leave')),
		last as (select change, at from moves where at <= $4 order by at desc, tick_id desc limit 1)
		select case when exists (select from last) then (select at from last where change = 'join')
		            when not exists (select from moves) then (select m.joined_at from dunlin.members m join dunlin.segments s using (generation)
		                  where s.name = $1 and m.account_id = $2 and m.customer_id = $3 and m.joined_at <= $4) end`,
		segment, ref.Account, ref.Customer, at).Scan(&since)
	if err != nil {
		return nil, fmt.Errorf("look for customer %d in segment %q of %s: %w", ref.Customer, segment, at.UTC().Format(time.RFC3339), err)
	}
	if since != nil {
		u := since.UTC()
		since = &u
	}
	return since, nil
}
