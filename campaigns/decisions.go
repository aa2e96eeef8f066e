package campaigns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// A Decided is one decision and everything it was made of, for the log
// (every-why).
type Decided struct {
	Key      Key
	Version  int // of the campaign
	Decision Decision

	Situation *Situation
	Holdout   int       // of the campaign, in percent
	Variant   string    // of the message; empty: it has one wording
	Mentions  []mention // of the segment's rule, the step's if and the goal
	Picture   customers.Picture
}

// repeats reports whether a decision says again what is the reason of the
// delivery already: it is not worth a line in the log.
func repeats(before Reason, d Decision) bool { return d.Verdict == Wait && d.Reason == before }

// logDecisions appends to the decision log, in the transaction that makes the
// decisions true.
func (s *Store) logDecisions(ctx context.Context, tx pgx.Tx, list []Decided) error {
	if len(list) == 0 {
		return nil
	}
	sql, args, err := decisionsSQL(list)
	if err == nil {
		_, err = tx.Exec(ctx, sql, args...)
	}
	if err != nil {
		return fmt.Errorf("log %d decisions: %w", len(list), err)
	}
	return nil
}

// decisionsSQL is the one statement that logs decisions, so that a batch can
// carry it.
func decisionsSQL(list []Decided) (sql string, args []any, err error) {
	n := len(list)
	accounts, customerIDs, versions := make([]int, n), make([]int64, n), make([]int, n)
	names, episodes, steps := make([]string, n), make([]string, n), make([]string, n)
	verdicts, reasons, documents := make([]string, n), make([]string, n), make([]string, n)
	at, until := make([]time.Time, n), make([]*time.Time, n)
	for i := range list {
		d := &list[i]
		accounts[i], customerIDs[i], versions[i] = d.Key.Account, d.Key.Customer, d.Version
		names[i], episodes[i], steps[i] = d.Key.Campaign, d.Key.Episode, d.Key.Step
		verdicts[i], reasons[i] = string(d.Decision.Verdict), string(d.Decision.Reason)
		at[i] = d.Situation.Now
		if d.Decision.Verdict == Wait {
			until[i] = &d.Decision.Until
		}
		document, err := json.Marshal(d.inputs())
		if err != nil {
			return "", nil, fmt.Errorf("inputs of the decision about customer %d: %w", d.Key.Customer, err)
		}
		documents[i] = string(document)
	}
	return `
		insert into dunlin.decisions (account_id, customer_id, campaign, episode, step, decided_at, verdict, reason, until, version, inputs)
		select account_id, customer_id, campaign, episode, step, decided_at, verdict, nullif(reason, ''), until, version, inputs::jsonb
		from unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::timestamptz[], $10::int[], $11::text[])
		  as d (account_id, customer_id, campaign, episode, step, decided_at, verdict, reason, until, version, inputs)`,
		[]any{accounts, customerIDs, names, episodes, steps, at, verdicts, reasons, until, versions, documents}, nil
}

// KeepDecisions makes the log's partitions for the months to come, and drops
// those that are older than the workspace keeps them. It does nothing when it
// cannot have the tables at once: whoever sweeps asks again.
func (s *Store) KeepDecisions(ctx context.Context, now time.Time) (made, dropped int, err error) {
	settings, err := workspace.Load(ctx, s.Pool)
	if err != nil {
		return 0, 0, err
	}
	err = s.Pool.QueryRow(ctx, `select made, dropped from dunlin.keep_decisions($1, $2)`, now, settings.KeepDecisions).Scan(&made, &dropped)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == lockNotAvailable {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("keep the decision log: %w", err)
	}
	return made, dropped, nil
}

// lockNotAvailable is Postgres' code for a lock_timeout.
const lockNotAvailable = "55P03"
