package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/internal/pgdev"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// start finds a server on which what is committed is durable: DATABASE_URL, or a
// private one in a directory of its own.
func (f *figures) start() {
	f.url = os.Getenv("DATABASE_URL")
	where := "DATABASE_URL"
	if f.url == "" {
		f.url, where = f.private()
	}
	f.connect()
	f.Cleanup(func() { f.admin.Close(context.WithoutCancel(f.Context())) })
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if f.setting(name) == "off" {
			f.Fatalf("%s is off on this server (%s): figures of a database that loses data mean nothing; turn it on, or unset DATABASE_URL", name, where)
		}
	}
	f.server = fmt.Sprintf("PostgreSQL %s (%s), shared_buffers %s, max_wal_size %s, wal_compression %s; fsync, synchronous_commit and full_page_writes on",
		f.setting("server_version"), where, f.setting("shared_buffers"), f.setting("max_wal_size"), f.setting("wal_compression"))
	f.progress("%s", f.server)
}

// private starts a server with the settings that docs/operators.md recommends for
// so many customers, and returns its address and its directory. They are printed
// with the figures.
func (f *figures) private() (url, where string) {
	dir, err := pgdev.DefaultDir()
	f.check(err)
	dir = filepath.Join(filepath.Dir(dir), "bench")
	ctx := context.WithoutCancel(f.Context())
	start := func() *pgdev.Cluster {
		cluster, err := pgdev.Start(f.Context(), pgdev.Config{Dir: dir, Database: pgdev.Superuser})
		f.check(err)
		f.url = cluster.URL(pgdev.Superuser)
		return cluster
	}
	cluster := start()
	f.connect()
	for name, value := range map[string]string{
		"shared_buffers": fmt.Sprintf("%dMB", max(128, memory()>>20/4)), "max_wal_size": "8GB", "wal_compression": "lz4",
	} {
		_, err := f.admin.Exec(ctx, fmt.Sprintf(`alter system set %s = '%s'`, name, value))
		f.check(err)
	}
	f.admin.Close(ctx)
	f.check(cluster.Stop(ctx))
	cluster = start()
	f.Cleanup(func() {
		if err := cluster.Stop(ctx); err != nil {
			f.Error(err)
		} else if err := os.RemoveAll(dir); err != nil { // its log alone is gigabytes
			f.Error(err)
		}
	})
	return f.url, "private, " + cluster.Dir()
}

func (f *figures) connect() {
	var err error
	f.admin, err = pgx.Connect(f.Context(), f.url)
	f.check(err)
}

func (f *figures) setting(name string) (value string) {
	f.check(f.admin.QueryRow(f.Context(), `select current_setting($1)`, name).Scan(&value))
	return value
}

// A world is a database of so many customers. Its clock stands still but when it
// is moved.
type benchWorld struct {
	*figures
	name    string // "large"; the database's is longer
	url     string
	size    int
	db      *database
	product *product
	now     time.Time
	rules   map[string]*rule.Rule
}

// benchStart is when the data is from: early on a day, because at midnight dates
// move and a tick has other things to do.
var benchStart = time.Date(2026, time.March, 2, 0, 10, 0, 0, time.UTC)

// newWorld is a database without anybody in it.
func (f *figures) newWorld(name string, size int) *benchWorld {
	w := &benchWorld{figures: f, name: name, size: size, now: benchStart, rules: map[string]*rule.Rule{}}
	quoted := pgx.Identifier{w.database()}.Sanitize()
	for _, sql := range []string{`drop database if exists ` + quoted + ` with (force)`, `create database ` + quoted + ` template template0`} {
		_, err := f.admin.Exec(f.Context(), sql)
		f.check(err)
	}
	f.Cleanup(w.drop) // of a run that failed
	u, err := url.Parse(f.url)
	f.check(err)
	u.Path = "/" + w.database()
	w.url = u.String()
	w.db = &database{}
	f.check(w.db.connect(f.Context(), w.url, slog.New(slog.DiscardHandler)))
	w.product = w.wire(func() time.Time { return w.now })
	return w
}

// wire makes the product as dunlin work would with DRY_RUN=true.
func (w *benchWorld) wire(now workspace.Clock) *product {
	p, err := wire(w.Context(), wiring{
		Pool: w.db.Pool, Now: now, Env: environment{DryRun: true},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	w.check(err)
	return p
}

func (w *benchWorld) database() string { return "dunlin_bench_" + w.name }

// drop may be called again.
func (w *benchWorld) drop() {
	if w.db == nil {
		return
	}
	if err := w.db.Close(); err != nil {
		w.Error(err)
	}
	w.db = nil
	ctx := context.WithoutCancel(w.Context())
	if _, err := w.admin.Exec(ctx, `drop database `+pgx.Identifier{w.database()}.Sanitize()+` with (force)`); err != nil {
		w.Error(err)
	}
}

func (w *benchWorld) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.db.Exec(w.Context(), sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	w.check(err)
}

func (w *benchWorld) row(into any, sql string, args ...any) {
	w.Helper()
	w.check(w.db.QueryRow(w.Context(), sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...).Scan(into))
}

func (w *benchWorld) env(at time.Time) rule.Env {
	return rule.Env{Now: at, Zone: time.UTC, Currency: "usd"}
}

// parents are the rules of all segments.
func (w *benchWorld) parents() segments.Parents { return w.rules }

// save stores segments as dunlin apply does, with settings under which campaigns
// do not wait because half the customers join.
func (w *benchWorld) save(list []benchSegment, more ...string) {
	docs := []string{"kind: workspace\nname: bench\nzone: UTC\ncurrency: usd\nunusual_change:\n  customers: 1000000\nintercom:\n  sender: admin:1\n"}
	for _, s := range list {
		docs = append(docs, fmt.Sprintf("kind: segment\nname: %s\nrule: |\n  %s\n", s.name, s.rule))
	}
	var parsed []workspace.Document
	for _, doc := range append(docs, more...) {
		d, faults := workspace.Parse("bench.yaml", []byte(doc))
		if len(faults) > 0 {
			w.Fatal(faults)
		}
		parsed = append(parsed, d...)
	}
	set, err := checkDefinitions(w.Context(), w.db.Pool, parsed)
	w.check(err)
	_, err = set.apply(w.Context(), w.db.Pool, w.now)
	w.check(err)
	for _, s := range set.segments {
		w.rules[s.Name] = s.Rule
	}
}

// build makes the lists of all segments.
func (w *benchWorld) build() {
	began := time.Now()
	w.save(benchSegments)
	w.product.ticker.Chunk = 200_000
	w.settle()
	w.product.ticker.Chunk = 0
	w.exec(`vacuum analyze`)
	w.exec(`checkpoint`)
	var members, empty int64
	w.row(&members, `select count(*) from dunlin.members`)
	w.row(&empty, `select count(*) from dunlin.segments where generation is null`)
	if empty > 0 || members == 0 {
		w.Fatalf("%d segments have no list, the others %d members", empty, members)
	}
	w.progress("%s: %d segments with %s members in %s", w.name, len(benchSegments), thousands(members), time.Since(began).Round(time.Second))
}

// settle ticks until no list is unfinished.
func (w *benchWorld) settle() {
	for {
		t, err := w.product.ticker.Tick(w.Context())
		w.check(err)
		if !t.More {
			return
		}
	}
}

// audit fails when a list is not what its rule says (exact-membership).
func (w *benchWorld) audit() {
	began := time.Now()
	audits, err := w.product.ticker.Audit(w.Context())
	w.check(err)
	for _, a := range audits {
		if a.Missing+a.Surplus > 0 {
			w.Errorf("segment %q has drifted\n got %d missing, %d surplus\nwant none", a.Segment, a.Missing, a.Surplus)
		}
	}
	if len(audits) != len(w.rules) {
		w.Errorf("audited\n got %d segments\nwant %d", len(audits), len(w.rules))
	}
	w.progress("%s: audited %d segments in %s", w.name, len(audits), time.Since(began).Round(time.Second))
}
