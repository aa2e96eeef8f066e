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

// foresight is how far ahead an Answer looks for a change that time alone brings.
const foresight = 2 * 366 * 24 * time.Hour

// An Answer says why a customer is in a segment, or is not (every-why).
type Answer struct {
	Segment  string          `json:"segment"`
	Version  int             `json:"version,omitempty"` // of the rule
	Customer string          `json:"customer"`          // id at Stripe
	At       time.Time       `json:"at"`
	True     bool            `json:"true"`   // of the rule, at that instant
	Member   bool            `json:"member"` // of the segment, as the last tick left it
	Since    *time.Time      `json:"since"`  // null for no member
	Changes  *time.Time      `json:"changes"`
	Rule     *rule.Explained `json:"rule"`
	Until    string          `json:"until,omitempty"`   // what has to happen before Member follows True, when they differ
	Unknown  string          `json:"unknown,omitempty"` // why nothing is known of the rule at that instant; Rule is null then
}

// Explain asks the reference evaluator about one customer at this moment. Changes
// is when time alone, with the customer as it is, first gives the rule another
// answer, or a segment that it names; nil when it does not within two years.
func (a Asking) Explain(ctx context.Context, q customers.Querier, s Segment, ref customers.Ref) (Answer, error) {
	if name := a.parents().Missing(s.Rule); name != "" {
		return Answer{}, fmt.Errorf("the rule names segment %q, whose own rule cannot be evaluated: %w", name, workspace.ErrNotFound)
	}
	whole, err := customers.LoadCustomer(ctx, q, ref)
	if err != nil {
		return Answer{}, err
	}
	who := asked{whole, a.parents(), a.Env}
	out := Answer{Segment: s.Name, Customer: whole.StripeID, At: a.Env.Now.UTC(), True: s.Rule.Eval(who, a.Env), Rule: s.Rule.Explain(who, a.Env)}
	if at, ok := who.nextChange(s.Rule, a.Env.Now.Add(foresight)); ok {
		out.Changes = &at
	}
	var since time.Time
	err = q.QueryRow(ctx, `
		select m.joined_at from dunlin.members m join dunlin.segments s using (generation)
		where s.name = $1 and m.account_id = $2 and m.customer_id = $3`, s.Name, ref.Account, ref.Customer).Scan(&since)
	switch {
	case err == nil:
		since = since.UTC()
		out.Member, out.Since = true, &since
	case !errors.Is(err, pgx.ErrNoRows):
		return Answer{}, fmt.Errorf("look for customer %d in segment %q: %w", ref.Customer, s.Name, err)
	}
	if out.True == out.Member {
		return out, nil
	}
	out.Until, err = until(ctx, q, s.Name, ref.Account)
	return out, err
}

// until says what a member who should not be one, or the other way round, waits
// for.
func until(ctx context.Context, q customers.Querier, segment string, account int) (what string, err error) {
	err = q.QueryRow(ctx, `
		select case
			when a.ready_at is null and exists (select from dunlin.generations g where a.account_id = any(g.accounts))
				then 'until the customers of account ' || a.name || ' have been projected again, nobody joins or leaves'
			when a.ready_at is null then 'nobody of account ' || a.name || ' is in a segment before its first sync has finished; see dunlin doctor'
			when s.fault is not null then 'the segment is not evaluated: ' || s.fault
			when b.generation is not null then 'its list is being built (' || b.why || ')'
			when v.evaluate <> '' then 'it is evaluated ' || v.evaluate
			when g.missed is not null then 'its list will be built anew (' || g.missed || ')'
			else 'the next tick sees to it' end
		from dunlin.accounts a, dunlin.segments s
		join dunlin.segment_versions v using (name, version)
		left join dunlin.generations g on g.generation = s.generation
		left join dunlin.generations b on b.segment = s.name and b.state = 'building'
		where a.account_id = $2 and s.name = $1`, segment, account).Scan(&what)
	if errors.Is(err, pgx.ErrNoRows) {
		return "it is not stored", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at segment %q: %w", segment, err)
	}
	return what, nil
}

// asked is a customer for the reference evaluator: of another segment it is what
// that segment's rule says.
type asked struct {
	customers.Whole
	parents Parents
	env     rule.Env
}

// InSegment evaluates the rule of another segment.
func (a asked) InSegment(name string) bool {
	return a.parents[name].Eval(a, a.env)
}

// nextChange goes from one instant at which the rule, or that of a segment it
// names, has another answer to the next, until the rule itself has.
func (a asked) nextChange(r *rule.Rule, until time.Time) (at time.Time, ok bool) {
	answer := r.Eval(a, a.env)
	for range maxSteps {
		if at, ok = a.nextStep(r, until); !ok {
			return at, false
		}
		if a.env.Now = at; r.Eval(a, a.env) != answer {
			return at, true
		}
	}
	return time.Time{}, false
}

// maxSteps bounds how many changes of other segments are looked at.
const maxSteps = 10_000

func (a asked) nextStep(r *rule.Rule, until time.Time) (at time.Time, ok bool) {
	if at, ok = r.NextChange(a, a.env, until); ok {
		until = at
	}
	for _, p := range r.Segments() {
		if sooner, found := a.nextStep(a.parents[p], until); found {
			at, until, ok = sooner, sooner, true
		}
	}
	return at, ok
}
