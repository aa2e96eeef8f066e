// Package migrations holds Dunlin's tables, as SQL files in the order of their
// numbers, and brings a database up to them.
//
// Two lines of migrations share a database: River's own, which makes the job
// queue in the schema river, and ours, in the schema dunlin. [Up] runs both;
// [Check] says, without changing anything, whether they have been run.
//
//   - Any number of processes may call Up at once: one migrates, the others wait
//     for it and then find nothing to do.
//   - Each file is one transaction. A failed one leaves the database at the
//     version before it, and the next Up tries it again.
//   - Migrations go forward only. A file that has been released never changes.
//   - A database that a newer Dunlin has migrated is refused, not touched.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Files are the migrations of schema dunlin. Schema river's are in River.
//
//go:embed *.sql
var Files embed.FS

const (
	// RiverSchema is where River keeps its tables.
	RiverSchema = "river"

	versionTable = "dunlin.schema_migrations" // goose's
	lockName     = "dunlin:migrate"
)

// ErrNewer is returned, wrapped, when the database has migrations that this
// binary does not know: an older Dunlin must not work on a newer one's tables.
var ErrNewer = errors.New("the database was migrated by a newer dunlin")

// Up applies the migrations that the database lacks, to both schemas, creating
// the schemas if need be. It uses a connection of its own for the lock, beside
// the pool, and waits as long as ctx allows while another process migrates. A
// nil logger means silence.
func Up(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) (err error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	unlock, err := lock(ctx, pool, logger)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer unlock()

	if state, err := Check(ctx, pool); err != nil {
		return fmt.Errorf("migrate: %w", err)
	} else if err := state.newer(); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, schema := range []string{"dunlin", RiverSchema} {
		// Not "if not exists" alone: that wants the right to create schemas even
		// where an administrator has made them for us.
		var there bool
		if err := pool.QueryRow(ctx, `select exists (select from pg_namespace where nspname = $1)`, schema).Scan(&there); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		if there {
			continue
		}
		if _, err := pool.Exec(ctx, `create schema if not exists `+pgx.Identifier{schema}.Sanitize()); err != nil {
			return fmt.Errorf("migrate: create schema %s: %w", schema, err)
		}
	}
	if err := upRiver(ctx, pool, logger); err != nil {
		return fmt.Errorf("migrate schema river: %w", err)
	}
	if err := upDunlin(ctx, pool, logger); err != nil {
		return fmt.Errorf("migrate schema dunlin: %w", err)
	}
	return nil
}

// lock takes the session lock that serializes migrations: rivermigrate is not
// safe to run twice at once, and not possible to run in one transaction. The
// connection is not the pool's, so a pool of one is enough to migrate with.
func lock(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) (unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	unlock = func() {
		// Ending the session gives the lock back whatever state it is in, but a
		// moment later; unlocking does it at once.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = conn.Exec(ctx, `select pg_advisory_unlock_all()`)
		_ = conn.Close(ctx)
	}
	// Waiting for a long migration is no fault: a role's timeouts do not count.
	if _, err := conn.Exec(ctx, `set statement_timeout = 0; set lock_timeout = 0; set idle_session_timeout = 0`); err != nil {
		unlock()
		return nil, err
	}
	var ok bool
	err = conn.QueryRow(ctx, `select pg_try_advisory_lock(hashtextextended($1, 0))`, lockName).Scan(&ok)
	if err == nil && !ok {
		logger.Info("waiting for another process to migrate the database")
		_, err = conn.Exec(ctx, `select pg_advisory_lock(hashtextextended($1, 0))`, lockName)
	}
	if err != nil {
		unlock()
		return nil, fmt.Errorf("take the migration lock: %w", err)
	}
	return unlock, nil
}

func upRiver(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: RiverSchema,
		Logger: slog.New(slog.DiscardHandler), // we log the outcome
	})
	if err != nil {
		return err
	}
	result, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return err
	}
	for _, v := range result.Versions {
		logger.Info("migrated", "schema", RiverSchema, "version", v.Version, "name", v.Name, "took", v.Duration.Round(time.Millisecond))
	}
	return nil
}

func upDunlin(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }() // closes nothing of ours: the pool stays open
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Files,
		goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)), // we log the outcome
	)
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		logger.Info("migrated", "schema", "dunlin", "version", r.Source.Version, "name", r.Source.Path, "took", r.Duration.Round(time.Millisecond))
	}
	return err
}
