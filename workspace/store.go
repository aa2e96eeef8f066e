package workspace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Load returns the settings in force: the newest applied, else the defaults.
func Load(ctx context.Context, q Querier) (Settings, error) {
	version, source, err := newest(ctx, q)
	if err != nil || version == 0 {
		return Defaults(), err
	}
	docs, faults := Parse(fmt.Sprintf("workspace version %d", version), []byte(source))
	if len(faults) > 0 || len(docs) != 1 {
		return Settings{}, fmt.Errorf("stored workspace version %d does not parse: %w", version, faults)
	}
	s, faults := ParseSettings(docs[0])
	if len(faults) > 0 {
		return Settings{}, fmt.Errorf("stored workspace version %d: %w", version, faults)
	}
	s.Version = version
	return s, nil
}

// Source is the applied definition as it was written; empty when there is none.
func Source(ctx context.Context, q Querier) (string, error) {
	_, source, err := newest(ctx, q)
	return source, err
}

func newest(ctx context.Context, q Querier) (version int, source string, err error) {
	err = q.QueryRow(ctx, `select version, source from dunlin.workspace order by version desc limit 1`).Scan(&version, &source)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("load workspace: %w", err)
	}
	return version, source, nil
}

// Save stores a workspace document as the next version, unless it is the one in
// force to the letter. It reports whether it did.
func Save(ctx context.Context, tx pgx.Tx, d Document, now time.Time) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into dunlin.workspace (version, source, created_at)
		select coalesce(max(version), 0) + 1, $1, $2 from dunlin.workspace
		having coalesce((select source from dunlin.workspace order by version desc limit 1), '') <> $1`, d.Source, now)
	if err != nil {
		return false, fmt.Errorf("save workspace: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// Stop makes every claim wait until [Resume]: nothing leaves. Stopping twice is
// stopping once. A call that is already on its way to Intercom is not recalled.
func Stop(ctx context.Context, q Querier, now time.Time) error {
	_, err := q.Exec(ctx, `insert into dunlin.stops (stopped_at) values ($1) on conflict do nothing`, now)
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// Resume lifts the stop. It reports whether there was one.
func Resume(ctx context.Context, q Querier, now time.Time) (bool, error) {
	tag, err := q.Exec(ctx, `update dunlin.stops set lifted_at = $1 where lifted_at is null`, now)
	if err != nil {
		return false, fmt.Errorf("resume: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// Stopped reports whether a stop is in force.
func Stopped(ctx context.Context, q Querier) (bool, error) {
	var stopped bool
	err := q.QueryRow(ctx, `select exists (select from dunlin.stops where lifted_at is null)`).Scan(&stopped)
	if err != nil {
		return false, fmt.Errorf("read stop: %w", err)
	}
	return stopped, nil
}
