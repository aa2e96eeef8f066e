package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestMain also is a test process that makes a database and waits to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_HELPER") == "" {
		Main(m)
	}
	ctx, run := context.Background(), newRun()
	s, err := join(ctx, run)
	name := fmt.Sprintf("%s%08x_1", testPrefix, run)
	if err == nil {
		err = s.create(ctx, name)
	}
	fmt.Println(name, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestNew_isolatedAndMigrated(t *testing.T) {
	t.Parallel()
	for range 4 {
		t.Run("one of several", func(t *testing.T) {
			t.Parallel()
			pool := New(t)
			if _, err := pool.Exec(t.Context(), `insert into dunlin.accounts (name, created_at) values ('main', now())`); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := pool.QueryRow(t.Context(), `select count(*) from dunlin.accounts`).Scan(&n); err != nil || n != 1 {
				t.Errorf("accounts\n got %d (%v)\nwant 1", n, err)
			}
		})
	}
}

func TestNew_dropped(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("a test", func(t *testing.T) {
		if err := New(t).QueryRow(t.Context(), `select current_database()`).Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	if slices.Contains(databases(t), name) {
		t.Errorf("%s is still there after its test", name)
	}
}

// databases lists those of the server.
func databases(t *testing.T) []string {
	t.Helper()
	URL(t) // the server is up
	rows, err := process.server.pool.Query(t.Context(), `select datname::text from pg_database`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestJoin_removesWhatAKilledRunLeft(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PGTEST_HELPER=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	name, fault, _ := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || fault != "<nil>" {
		t.Fatalf("helper: %v %s", err, fault)
	}
	if _, err := join1(t); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(databases(t), name) {
		t.Errorf("%s, of a run that lives, was removed by another", name)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// Its session ends a moment later; a run that comes too early leaves the rest
	// to the next one.
	waitForSessionsOf(t, name)
	if _, err := join1(t); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(databases(t), name) {
		t.Errorf("%s, of a killed run, is still there after another joined", name)
	}
}

// join1 joins as one more process would, for the length of the test.
func join1(t *testing.T) (*server, error) {
	t.Helper()
	s, err := join(t.Context(), newRun())
	if err == nil {
		t.Cleanup(func() {
			if err := s.close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return s, err
}

// waitForSessionsOf waits until nothing holds the lock of the run that made the
// database, by queueing for the lock.
func waitForSessionsOf(t *testing.T, database string) {
	t.Helper()
	var run uint32
	if _, err := fmt.Sscanf(database, testPrefix+"%08x_", &run); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), process.server.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `select pg_advisory_lock($1, $2)`, int32(runLock), int32(run)); err != nil {
		t.Fatal(err)
	}
}

func TestJoin_databaseURL(t *testing.T) {
	// Not parallel: Setenv. The server of the other tests stands in for one of
	// the developer's, without pgdev.
	URL(t)
	t.Setenv("DATABASE_URL", process.server.url)
	s, err := join1(t)
	if err != nil {
		t.Fatal(err)
	}
	if s.cluster != nil {
		t.Error("with DATABASE_URL a private server was started all the same")
	}
	name := fmt.Sprintf("%s%08x_1", testPrefix, s.run)
	if err := s.create(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := s.drop(t.Context(), name); err != nil {
		t.Fatal(err)
	}

	t.Setenv("DATABASE_URL", "postgres:///x?host="+t.TempDir())
	if _, err := join(t.Context(), newRun()); err == nil || !strings.Contains(err.Error(), "is DATABASE_URL right?") {
		t.Errorf("with an unreachable server\n got %v\nwant an error that names DATABASE_URL", err)
	}
}

func TestStray(t *testing.T) {
	t.Parallel()
	const template = templatePrefix + "abc"
	for _, tt := range []struct {
		name  string
		alive []int64
		want  bool
	}{
		{"dunlin_test_000000ff_1", []int64{255, 7}, false},
		{"dunlin_test_000000ff_12", []int64{7}, true},
		{"dunlin_test_fffffffe_12", []int64{4294967294}, false},
		{"dunlin_test_of_mine", []int64{7}, false},
		{template, []int64{7}, false},
		{template + "_unfinished", []int64{7, 8}, true},
		{templatePrefix + "def", []int64{7}, true},
		{templatePrefix + "def", []int64{7, 8}, false},
	} {
		if got := stray(tt.name, template, tt.alive); got != tt.want {
			t.Errorf("stray(%s) with runs %d alive\n got %v\nwant %v", tt.name, tt.alive, got, tt.want)
		}
	}
}

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"postgres://u:p%40ss@db:5433/main?sslmode=require": "postgres://u:p%40ss@db:5433/t_1?sslmode=require",
		"postgresql://db": "postgresql://db/t_1",
		"postgres://postgres@/postgres?host=%2Ftmp&port=5432": "postgres://postgres@/t_1?host=%2Ftmp&port=5432",
		"host=/tmp user=ann dbname=main":                      "host=/tmp user=ann dbname=main dbname=t_1",
	} {
		got := withDatabase(dsn, "t_1")
		if got != want {
			t.Errorf("withDatabase(%s)\n got %s\nwant %s", dsn, got, want)
		}
		config, err := pgx.ParseConfig(got)
		if err != nil || config.Database != "t_1" {
			t.Errorf("%s\n got database %q (%v)\nwant t_1", got, config.Database, err)
		}
	}
}
