package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain also is a worker's process that a failpoint kills, one that lives in
// chaos, one that sends as fast as it may, and one that claims as fast as it can.
func TestMain(m *testing.M) {
	if os.Getenv(chaosClock) != "" {
		os.Exit(chaosChild())
	}
	if os.Getenv(childFailpoint) != "" {
		os.Exit(child())
	}
	if os.Getenv(childPaced) != "" {
		os.Exit(pacedChild())
	}
	if os.Getenv(childEngine) != "" {
		os.Exit(engineChild())
	}
	pgtest.Main(m)
}

// printed is what one run of the program printed.
type printed struct {
	status    int
	out, errs string
}

// dunlin runs the program on nothing but the environment it is given.
func dunlin(t testing.TB, environ []string, in string, args ...string) printed {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(t.Context(), args, environ, strings.NewReader(in), &out, &errs)
	return printed{status, out.String(), errs.String()}
}

// ok is dunlin for what must succeed; it returns standard output.
func ok(t testing.TB, environ []string, in string, args ...string) string {
	t.Helper()
	p := dunlin(t, environ, in, args...)
	if p.status != exitDone {
		t.Fatalf("dunlin %s\n got status %d: %s\nwant status 0", strings.Join(args, " "), p.status, p.errs)
	}
	return p.out
}

// on is an environment with a database of the test's own, and a pool to look
// into it.
func on(t testing.TB, more ...string) ([]string, *pgxpool.Pool) {
	t.Helper()
	url := pgtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return append([]string{"DATABASE_URL=" + url, "INTERCOM_API_BASE=http://127.0.0.1:9"}, more...), pool // where nobody listens
}

// quiet is an app that keeps what it prints.
func quiet(json bool) (*app, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &app{in: strings.NewReader(""), out: &out, errs: &errs, json: json, logger: slog.New(slog.DiscardHandler)}, &out, &errs
}

// connected opens a database as the program does.
func connected(t testing.TB, url string) *database {
	t.Helper()
	db := &database{}
	if err := db.connect(t.Context(), url, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// golden compares with a file in testdata; -update rewrites it.
func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

func count(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := pool.QueryRow(context.WithoutCancel(t.Context()), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func execSQL(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// objects reads one JSON object per line.
func objects(t testing.TB, out string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var o map[string]any
		err := dec.Decode(&o)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		all = append(all, o)
	}
}
