package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgdev"
	"github.com/dunlin/dunlin/migrations"
)

const (
	testPrefix     = "dunlin_test_"     // then the run in 8 hex digits, _, a number
	templatePrefix = "dunlin_template_" // then the fingerprint of the migrations

	// Advisory locks live in the maintenance database. A run holds its own for
	// as long as it lives: class runLock, object the run's number.
	runLock      = 0x64756e6c // "dunl"
	templateLock = "dunlin:template"
)

// A server is where the tests' databases are made.
type server struct {
	run     uint32
	url     string         // of the maintenance database
	cluster *pgdev.Cluster // nil with DATABASE_URL
	alive   *pgx.Conn      // holds the run's lock
	pool    *pgxpool.Pool  // on the maintenance database, for create and drop
	tmpl    string         // name of the template
}

// join finds or starts the server, removes what dead runs left there, and makes
// the template unless it is there.
func join(ctx context.Context, run uint32) (_ *server, err error) {
	s := &server{run: run, url: os.Getenv("DATABASE_URL")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if s.url == "" {
		if s.cluster, err = pgdev.Start(ctx, pgdev.Config{
			Dir:            Dir(),
			Database:       pgdev.Superuser,
			MaxConnections: connections,
			Throwaway:      true,
		}); err != nil {
			return s, err
		}
		s.url = s.cluster.URL(pgdev.Superuser)
	}
	if s.alive, err = pgx.Connect(ctx, s.url); err != nil {
		return s, fmt.Errorf("%w; is DATABASE_URL right?", err)
	}
	if _, err = s.alive.Exec(ctx, `select pg_advisory_lock($1, $2)`, int32(runLock), int32(run)); err != nil {
		return s, err
	}
	config, err := pgxpool.ParseConfig(s.url)
	if err != nil {
		return s, err
	}
	config.MaxConns = 4
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return s, err
	}
	return s, s.prepare(ctx)
}

// Dir is the directory of the server that all tests of the current user share.
func Dir() string {
	temp := os.TempDir()
	if os.Getuid() == 0 {
		temp = "/tmp" // the server's user must get there
	}
	return filepath.Join(temp, "dunlin-test-"+strconv.Itoa(os.Getuid()))
}

// close leaves the server; it keeps nothing of this run.
func (s *server) close(ctx context.Context) error {
	var errs []error
	if s.pool != nil {
		s.pool.Close()
	}
	if s.alive != nil {
		errs = append(errs, s.alive.Close(ctx))
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop(ctx))
	}
	return errors.Join(errs...)
}

// prepare sweeps and makes the template, one process at a time.
func (s *server) prepare(ctx context.Context) error {
	fingerprint, err := migrations.Fingerprint()
	if err != nil {
		return err
	}
	s.tmpl = templatePrefix + fingerprint
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // and its lock
	if _, err := conn.Exec(ctx, `select pg_advisory_lock(hashtextextended($1, 0))`, templateLock); err != nil {
		return err
	}
	if err := s.sweep(ctx, conn); err != nil {
		return fmt.Errorf("remove what earlier runs left: %w", err)
	}
	var there bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, s.tmpl).Scan(&there); err != nil || there {
		return err
	}
	if err := s.makeTemplate(ctx, conn); err != nil {
		return fmt.Errorf("make the template database: %w", err)
	}
	return nil
}

// makeTemplate migrates under another name and renames at the end, so that a
// template is finished if it is there at all.
func (s *server) makeTemplate(ctx context.Context, conn *pgx.Conn) error {
	unfinished := s.tmpl + "_unfinished"
	if _, err := conn.Exec(ctx, `create database `+quote(unfinished)+` template template0`); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, withDatabase(s.url, unfinished))
	if err != nil {
		return err
	}
	err = migrations.Up(ctx, pool, nil)
	pool.Close()
	if err != nil {
		return err
	}
	for _, statement := range []string{
		`alter database ` + quote(unfinished) + ` with allow_connections false`, // nobody may be connected to a template
		`alter database ` + quote(unfinished) + ` rename to ` + quote(s.tmpl),
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// sweep drops the databases of runs that are dead, and, when no other run is
// alive, the templates of other migrations. The caller holds templateLock, and
// every run takes its own lock before it asks for that one.
func (s *server) sweep(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		select objid::bigint from pg_locks
		where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
		  and classid::bigint = $1 and objsubid = 2 and granted`, int64(runLock))
	if err != nil {
		return err
	}
	alive, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	rows, err = conn.Query(ctx, `select datname::text from pg_database where starts_with(datname, $1) or starts_with(datname, $2)`, testPrefix, templatePrefix)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if !stray(name, s.tmpl, alive) {
			continue
		}
		if err := s.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// stray reports whether nobody needs the database, given the runs alive, of
// which one is ours.
func stray(name, template string, alive []int64) bool {
	if hex, ok := strings.CutPrefix(name, testPrefix); ok {
		hex, _, _ = strings.Cut(hex, "_")
		run, err := strconv.ParseInt(hex, 16, 64)
		if err != nil {
			return false // not one of ours
		}
		for _, r := range alive {
			if r == run {
				return false
			}
		}
		return true
	}
	if strings.HasSuffix(name, "_unfinished") {
		return true // only the holder of the lock makes them
	}
	return name != template && len(alive) <= 1
}

func (s *server) create(ctx context.Context, name string) error {
	_, err := s.pool.Exec(ctx, `create database `+quote(name)+` template `+quote(s.tmpl))
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

func (s *server) drop(ctx context.Context, name string) error {
	if _, err := s.pool.Exec(ctx, `drop database if exists `+quote(name)+` with (force)`); err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	return nil
}

// withDatabase is the connection string with another database in it. Both forms
// are known: a URL, and keywords with values, where the last one counts.
func withDatabase(dsn, name string) string {
	if u, err := url.Parse(dsn); err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		u.Path = "/" + name
		return u.String()
	}
	return dsn + " dbname=" + name
}
