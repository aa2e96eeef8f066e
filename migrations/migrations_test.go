package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// blank is a pool on a database of which everything has been taken away.
func blank(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.New(t)
	exec(t, pool, `drop schema dunlin cascade`)
	exec(t, pool, `drop schema river cascade`)
	return pool
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// another is one more pool on the same database, as another process has it.
func another(t *testing.T, pool *pgxpool.Pool, conns int32) *pgxpool.Pool {
	t.Helper()
	config := pool.Config()
	config.MaxConns = conns
	other, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}

// tables lists what is in both schemas, columns and their types included.
func tables(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		select table_schema || '.' || table_name || '.' || column_name || ' ' || data_type
		from information_schema.columns where table_schema in ('dunlin', 'river')
		order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return columns
}

func TestUp_fiveAtOnce(t *testing.T) {
	t.Parallel()
	pool := blank(t)
	var log strings.Builder
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writer(func(line []byte) {
		mu.Lock()
		defer mu.Unlock()
		log.Write(line)
	}), nil))

	errs := make([]error, 5)
	var wg sync.WaitGroup
	for i := range errs {
		// Pools of one connection: nothing may wait for a second one.
		other := another(t, pool, 1)
		wg.Go(func() { errs[i] = migrations.Up(t.Context(), other, logger) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(tables(t, pgtest.New(t)), tables(t, pool)); diff != "" {
		t.Errorf("the tables differ from those of a database migrated once (-once +five):\n%s", diff)
	}
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if n := strings.Count(log.String(), name); n != 1 {
			t.Errorf("%s was applied %d times", name, n)
		}
	}
	state, err := migrations.Check(t.Context(), pool)
	if err != nil || state.Err() != nil {
		t.Errorf("Check afterwards: %v, %v", err, state.Err())
	}
}

type writer func([]byte)

func (w writer) Write(line []byte) (int, error) { w(line); return len(line), nil }

func TestUp_again(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	before := tables(t, pool)
	if err := migrations.Up(t.Context(), pool, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, tables(t, pool)); diff != "" {
		t.Errorf("a second Up changed tables:\n%s", diff)
	}
}

func TestUp_givesTheLockBack(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	if err := migrations.Up(t.Context(), pool, nil); err != nil {
		t.Fatal(err)
	}
	var free bool
	if err := pool.QueryRow(t.Context(), `select pg_try_advisory_lock(hashtextextended('dunlin:migrate', 0))`).Scan(&free); err != nil {
		t.Fatal(err)
	}
	if !free {
		t.Error("the migration lock is still held")
	}
}

func TestUp_waitsOnlyAsLongAsAllowed(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	holder, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Release()
	if _, err := holder.Exec(t.Context(), `select pg_advisory_lock(hashtextextended('dunlin:migrate', 0))`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	logger := slog.New(slog.NewTextHandler(writer(func([]byte) { cancel() }), nil)) // it says that it waits
	if err := migrations.Up(ctx, pool, logger); !errors.Is(err, context.Canceled) {
		t.Errorf("Up while another migrates\n got %v\nwant %v", err, context.Canceled)
	}
}

func TestUp_administratorMadeTheSchemas(t *testing.T) {
	t.Parallel()
	pool := blank(t)
	exec(t, pool, `create schema dunlin`)
	exec(t, pool, `create schema river`)
	if err := migrations.Up(t.Context(), pool, nil); err != nil {
		t.Fatal(err)
	}
}

func TestUp_unreachable(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres:///nowhere?host="+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := migrations.Up(t.Context(), pool, nil); err == nil || !strings.Contains(err.Error(), "migrate: ") {
		t.Errorf("Up without a server\n got %v\nwant an error that says what was attempted", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sql      string
		pending, newer []string
		err            string
	}{
		{"all there", ``, nil, nil, ``},
		{
			"one missing",
			`delete from dunlin.schema_migrations where version_id = 6`,
			[]string{"dunlin 0006_views"}, nil, "lacks the migrations dunlin 0006_views; run dunlin migrate",
		},
		{
			"River's missing",
			`delete from river.river_migration where version > 6`,
			[]string{"river 7", "river 8"}, nil, "run dunlin migrate",
		},
		{
			"newer",
			`insert into dunlin.schema_migrations (version_id, is_applied) values (9999, true)`,
			nil, []string{"dunlin 9999"}, "run the newer dunlin",
		},
		{
			"newer River",
			`insert into river.river_migration (line, version) values ('main', 9999)`,
			nil, []string{"river 9999"}, "run the newer dunlin",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			exec(t, pool, tt.sql)
			state, err := migrations.Check(t.Context(), pool)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(migrations.State{Pending: tt.pending, Newer: tt.newer}, state); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
			switch err := state.Err(); {
			case tt.err == "" && err != nil:
				t.Errorf("Err\n got %v\nwant nil", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("Err\n got %v\nwant one with %q", err, tt.err)
			}
			pending, err := migrations.Pending(t.Context(), pool)
			if err != nil || !slices.Equal(pending, tt.pending) {
				t.Errorf("Pending\n got %v (%v)\nwant %v", pending, err, tt.pending)
			}
			if err := migrations.Up(t.Context(), pool, nil); len(tt.newer) > 0 && !errors.Is(err, migrations.ErrNewer) {
				t.Errorf("Up\n got %v\nwant %v", err, migrations.ErrNewer)
			}
		})
	}
}

func TestCheck_emptyDatabase(t *testing.T) {
	t.Parallel()
	pool := blank(t)
	state, err := migrations.Check(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range names {
		want = append(want, "dunlin "+strings.TrimSuffix(name, ".sql"))
	}
	got := slices.DeleteFunc(slices.Clone(state.Pending), func(name string) bool { return strings.HasPrefix(name, "river ") })
	if diff := cmp.Diff(want, got); diff != "" || len(state.Pending) == len(got) || state.Newer != nil {
		t.Errorf("state of an empty database %+v\n%s", state, diff)
	}
	if got := tables(t, pool); len(got) != 0 {
		t.Errorf("Check made %s", got)
	}
}

func TestFiles_forwardOnly(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?mi)^--\s*\+goose\s+down`).Match(text) {
			t.Errorf("%s has a way back; migrations go forward only", name)
		}
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	got, err := migrations.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(got) {
		t.Errorf("Fingerprint() = %q", got)
	}
}
