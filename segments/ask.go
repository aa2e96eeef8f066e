package segments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// Asking evaluates rules that may be nobody's segment yet. It changes nothing:
// each question is a read-only transaction with a timeout, and what Postgres
// expects to cost too much is refused before it runs (closed-language).
type Asking struct {
	DB interface {
		BeginTx(context.Context, pgx.TxOptions) (pgx.Tx, error)
	}
	Env     rule.Env
	Parents Parents // rules of the segments that the rule names

	Timeout time.Duration // Zero means 20 seconds.
	MaxCost float64       // by Postgres' reckoning. Zero means 50 million, minutes of work; -1: any.
}

// A TooDear error says that a rule would read too much.
type TooDear struct{ Cost, Max float64 }

func (e *TooDear) Error() string {
	return fmt.Sprintf("the rule would take too long to answer and was not run (Postgres reckons %.0f million, and %.0f is the limit); narrow it, for instance by a condition on an attribute beside the collections", e.Cost/1e6, e.Max/1e6)
}

// match selects, without columns, the customers for whom a rule is true.
func (a Asking) match(r *rule.Rule) (sq.SelectBuilder, error) {
	cond, err := Compile(r, a.Env, a.parents())
	if err != nil {
		return sq.SelectBuilder{}, err
	}
	return sq.Select().From("dunlin.customers c").
		Where("c.account_id = any(array(select account_id from dunlin.accounts where ready_at is not null))").
		Where(cond), nil
}

// parents is never nil: a question is about this moment, and not about the
// members of the last tick.
func (a Asking) parents() Parents {
	if a.Parents == nil {
		return Parents{}
	}
	return a.Parents
}

// Count returns for how many customers a rule is true now, over every account
// that is ready, whoever the members of any segment are.
func (a Asking) Count(ctx context.Context, r *rule.Rule) (n int64, err error) {
	matching, err := a.match(r)
	if err != nil {
		return 0, err
	}
	err = a.ask(ctx, matching.Columns("count(*)"), &n)
	if err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	return n, nil
}

// Sample lists some customers for whom a rule is true now, by account and Stripe
// id.
func (a Asking) Sample(ctx context.Context, r *rule.Rule, limit int) (ids []string, err error) {
	matching, err := a.match(r)
	if err != nil {
		return nil, err
	}
	some := matching.Columns("c.stripe_id").OrderBy("c.account_id", "c.stripe_id").Limit(uint64(limit))
	if err := a.ask(ctx, sq.Expr("select coalesce(array_agg(stripe_id), '{}') from (?) x", some), &ids); err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	return ids, nil
}

// A Change is what a definition would do to a segment's members, if it were
// evaluated now.
type Change struct {
	Enter, Leave             int64
	EnterSample, LeaveSample []string // Stripe ids, five at most
	Members                  int64    // before
	Built                    bool     // it has a list of members; else it is new
}

// Preview compares a rule with the present members of the segment of that name.
func (a Asking) Preview(ctx context.Context, s Segment) (c Change, err error) {
	matching, err := a.match(s.Rule)
	if err != nil {
		return c, err
	}
	err = a.ask(ctx, sq.Expr(`
		with now_in as (?),
		     was as (select m.account_id, m.customer_id, c.stripe_id from dunlin.members m
		             join dunlin.customers c using (account_id, customer_id)
		             where m.generation = (select generation from dunlin.segments where name = ?)),
		     enter as (select stripe_id from now_in n where not exists (select from was w where w.account_id = n.account_id and w.customer_id = n.customer_id)),
		     leave as (select stripe_id from was w where not exists (select from now_in n where w.account_id = n.account_id and w.customer_id = n.customer_id))
		select (select count(*) from enter), (select count(*) from leave),
		       array(select stripe_id from enter order by stripe_id limit 5),
		       array(select stripe_id from leave order by stripe_id limit 5),
		       (select count(*) from was), exists (select from dunlin.segments where name = ? and generation is not null)`, matching.Columns("c.account_id", "c.customer_id", "c.stripe_id"), s.Name, s.Name),
		&c.Enter, &c.Leave, &c.EnterSample, &c.LeaveSample, &c.Members, &c.Built)
	if err != nil {
		return c, fmt.Errorf("preview segment %q: %w", s.Name, err)
	}
	return c, nil
}

// ask runs a query of one row within the bounds.
func (a Asking) ask(ctx context.Context, query sq.Sqlizer, into ...any) error {
	sql, args, err := query.ToSql()
	if err != nil {
		return fmt.Errorf("compile rule: %w", err)
	}
	if sql, err = sq.Dollar.ReplacePlaceholders(sql); err != nil {
		return fmt.Errorf("compile rule: %w", err)
	}
	timeout, most := a.Timeout, a.MaxCost
	if timeout == 0 {
		timeout = 20 * time.Second
	}
	if most == 0 {
		most = 50e6
	}
	err = pgx.BeginTxFunc(ctx, a.DB, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`set local statement_timeout = %d`, max(timeout.Milliseconds(), 1))); err != nil {
			return err
		}
		again, err := ProjectedAgain(ctx, tx)
		if err != nil {
			return err
		}
		if len(again) > 0 {
			return fmt.Errorf("the customers of account %q are being projected again, as after an upgrade, and half of them would seem to be gone; ask again when dunlin doctor says that it is done", again[0])
		}
		if most > 0 {
			if err := affordable(ctx, tx, sql, args, most); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...).Scan(into...)
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == queryCanceled && ctx.Err() == nil {
		return fmt.Errorf("the rule took longer than %s and was given up; narrow it, for instance by a condition on an attribute beside the collections", timeout)
	}
	return err
}

func affordable(ctx context.Context, tx pgx.Tx, sql string, args []any, most float64) error {
	var plan []struct {
		Plan struct {
			Cost float64 `json:"Total Cost"`
		}
	}
	var text []byte
	if err := tx.QueryRow(ctx, `explain (format json) `+sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...).Scan(&text); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &plan); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if len(plan) > 0 && plan[0].Plan.Cost > most {
		return &TooDear{plan[0].Plan.Cost, most}
	}
	return nil
}

// HoldsFor says of which customers a rule is true at env.Now, each found by key.
// What it asks of other segments is their rules, in parents, and not who is a
// member. A rule that checks and that Postgres cannot evaluate is [ErrRule].
func HoldsFor(ctx context.Context, q customers.Querier, r *rule.Rule, parents Parents, env rule.Env, refs []customers.Ref) (map[customers.Ref]bool, error) {
	if parents == nil {
		parents = Parents{}
	}
	cond, err := (&compiler{rule: r, env: env, parents: parents, probe: true}).compile()
	if err != nil {
		return nil, err
	}
	accounts, ids := Columns(refs)
	sql, args, err := sq.Expr(`
		select w.account_id, w.customer_id from unnest(?::int[], ?::bigint[]) as w (account_id, customer_id)
		where (select ? from (
			select * from dunlin.customers c
			where c.account_id = w.account_id and c.customer_id = w.customer_id
			offset 0) c)`, accounts, ids, cond).ToSql()
	if err == nil {
		sql, err = sq.Dollar.ReplacePlaceholders(sql)
	}
	if err != nil {
		return nil, fmt.Errorf("compile rule: %w", err)
	}
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("evaluate rule: %w", err)
	}
	holds := map[customers.Ref]bool{}
	var ref customers.Ref
	_, err = pgx.ForEachRow(rows, []any{&ref.Account, &ref.Customer}, func() error { holds[ref] = true; return nil })
	if err != nil {
		return nil, fmt.Errorf("evaluate rule: %w", err)
	}
	return holds, nil
}
