// Package pgtest gives each test a database of its own, with Dunlin's tables in
// it, on a real PostgreSQL.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		pool := pgtest.New(t)
//		…
//	}
//
// All test processes of one user share one private server (see pgdev), which the
// first starts and the last stops. With DATABASE_URL set, the databases are made
// on that server instead, whose role must be allowed to create databases.
//
//   - Tests see nothing of each other. A database is dropped when its test ends.
//   - What a killed run left behind, the next one removes.
//   - A machine without PostgreSQL fails the test and says how to get it. Nothing
//     is ever skipped.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	maxConns     = 8                // of each test's pool
	connections  = 300              // of the private server: pools of parallel tests of parallel packages
	startTimeout = 90 * time.Second // for anything that is not the test's own work
)

// process is what the tests of this process share.
var process struct {
	main atomic.Bool // Main runs

	once   sync.Once
	server *server
	err    error

	databases atomic.Int64 // made so far
}

// Main runs the tests of a package and ends the process. Every package that uses
// [New] or [URL] calls it from its TestMain, so that the server gets stopped. It
// starts nothing itself: a run of tests that need no database needs none.
func Main(m *testing.M) {
	process.main.Store(true)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-interrupted
		fmt.Fprintf(os.Stderr, "pgtest: %v\n", s)
		leave()
		os.Exit(1)
	}()
	code := m.Run()
	leave()
	os.Exit(code)
}

// leave gives the server back, if the process had one.
func leave() {
	process.once.Do(func() { process.err = fmt.Errorf("the tests are over") })
	if process.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := process.server.close(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
	}
}

// New returns a pool on a new, migrated, otherwise empty database. Both go away
// when the test ends; connections that the test still holds by then are a fault.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(URL(t))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	config.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() { pool.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(15 * time.Second):
			t.Errorf("pgtest: %d connections were not given back to the pool; close rows, release what was acquired, stop what works in the background", pool.Stat().AcquiredConns())
		}
	})
	return pool
}

// URL is like [New] for who connects by himself, as a child process does.
func URL(t testing.TB) string {
	t.Helper()
	if !process.main.Load() {
		t.Fatal("pgtest: this package needs func TestMain(m *testing.M) { pgtest.Main(m) }")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	process.once.Do(func() { process.server, process.err = join(ctx, newRun()) })
	if process.err != nil {
		t.Fatalf("pgtest: no database to test on: %v", process.err)
	}
	name := fmt.Sprintf("%s%08x_%d", testPrefix, process.server.run, process.databases.Add(1))
	if err := process.server.create(ctx, name); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := process.server.drop(ctx, name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return withDatabase(process.server.url, name)
}

// newRun numbers a process, at random: pids come back, and are another machine's.
func newRun() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:])
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
