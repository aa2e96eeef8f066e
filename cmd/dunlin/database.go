package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgdev"
	"github.com/dunlin/dunlin/migrations"
)

// database is an open database and how to leave it.
type database struct {
	*pgxpool.Pool
	private *pgdev.Cluster // nil with DATABASE_URL
}

// openDatabase connects to DATABASE_URL, or to the private Postgres, and brings
// the tables up to date.
func (a *app) openDatabase(ctx context.Context) (*database, error) {
	url := a.env.DatabaseURL
	d := &database{}
	if url == "" {
		cluster, err := pgdev.Start(ctx, pgdev.Config{Logger: a.logger})
		if err != nil {
			return nil, err
		}
		d.private = cluster
		url = cluster.URL("dunlin")
		dir, _ := pgdev.DefaultDir()
		a.logger.Info("DATABASE_URL is not set: using a private Postgres", slog.String("dir", dir))
	}
	if err := d.connect(ctx, url, a.logger); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// connect opens the pool, says so plainly when nobody answers, and migrates.
func (d *database) connect(ctx context.Context, url string, logger *slog.Logger) error {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return errors.New("DATABASE_URL is not a Postgres address; use postgres://user:password@host:5432/database")
	}
	cfg.MaxConns = max(cfg.MaxConns, 16)
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	cfg.ConnConfig.RuntimeParams["application_name"] = "dunlin"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	cfg.ConnConfig.RuntimeParams["jit"] = "off" // compiling costs more than any of our statements
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	d.Pool = pool
	if err := pool.Ping(ctx); err != nil {
		return fmt.Errorf("no answer from Postgres at %s:%d: %w; check DATABASE_URL and that the server runs", cfg.ConnConfig.Host, cfg.ConnConfig.Port, err)
	}
	if err := migrations.Up(ctx, pool, logger); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Close leaves the database, and stops the private server when nobody else uses
// it.
func (d *database) Close() error {
	if d.Pool != nil {
		d.Pool.Close()
	}
	if d.private == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return d.private.Stop(ctx)
}

// withDatabase runs a command that needs nothing but the database.
func (a *app) withDatabase(ctx context.Context, f func(*database) error) error {
	db, err := a.openDatabase(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(db), db.Close())
}
