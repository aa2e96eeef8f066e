package pgdev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMain also is the helper process of the tests that need one: it starts a
// cluster, says where, and stops it when its input ends.
func TestMain(m *testing.M) {
	dir, ok := os.LookupEnv("PGDEV_HELPER")
	if !ok {
		code := m.Run()
		os.RemoveAll(filepath.Dir(original.dir))
		os.Exit(code)
	}
	cluster, err := Start(context.Background(), Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(cluster.URL("dunlin"))
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := cluster.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A helper is a process that uses a cluster until leave or kill.
type helper struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

func startHelper(t *testing.T, cmd *exec.Cmd, env ...string) helper {
	t.Helper()
	cmd.Env = append(cmd.Environ(), env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("helper: %v\n%s", err, stderr.String())
	}
	return helper{cmd, stdin, strings.TrimSpace(line)}
}

func (h helper) leave(t *testing.T) {
	t.Helper()
	h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Errorf("helper: %v", err)
	}
}

func (h helper) kill(t *testing.T) {
	t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait()
}

// place is a directory for one cluster that every user can reach.
func place(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgdev")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "pg")
}

// original is a stopped cluster, made once, that tests get copies of.
var original struct {
	once sync.Once
	dir  string
	err  error
}

// made is a directory in which a server ran and was stopped.
func made(t *testing.T) string {
	t.Helper()
	dir := place(t)
	original.once.Do(func() {
		home, err := os.MkdirTemp("/tmp", "pgdev")
		if err == nil {
			err = os.Chmod(home, 0o755)
		}
		original.dir = filepath.Join(home, "pg")
		var c *Cluster
		if err == nil {
			c, err = Start(t.Context(), Config{Dir: original.dir})
		}
		if err == nil {
			err = c.Stop(t.Context())
		}
		original.err = err
	})
	if original.err != nil {
		t.Fatal(original.err)
	}
	if out, err := exec.Command("cp", "-Rp", original.dir, dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return dir
}

func start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func stop(t testing.TB, c *Cluster) {
	t.Helper()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// query runs one statement on a connection of its own, and returns its one value.
func query(t testing.TB, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var value string
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

const startedAt = `select pg_postmaster_start_time()::text`

func serverPID(c *Cluster) int { return server{paths: c.paths}.pid() }

func TestStart_keepsDataBehindALockedDoor(t *testing.T) {
	t.Parallel()
	dir := place(t)
	c := start(t, Config{Dir: dir})
	query(t, c.URL("dunlin"), `create table kept as select 'still here' as word`)
	for setting, want := range map[string]string{
		"listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"server_encoding": "UTF8", "TimeZone": "UTC", "lc_collate": "C",
	} {
		if got := query(t, c.URL("dunlin"), `select current_setting('`+setting+`')`); got != want {
			t.Errorf("%s\n got %q\nwant %q", setting, got, want)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of %s\n got %v (%v)\nwant 0700", dir, info.Mode().Perm(), err)
	}
	if got := query(t, c.URL("dunlin"), `select lower('ÉMILIE')`); got != "émilie" {
		t.Errorf("lower of letters beyond ASCII\n got %s\nwant émilie", got)
	}
	stop(t, c)
	if _, err := pgx.Connect(t.Context(), c.URL("dunlin")); err == nil {
		t.Error("the server still answers after Stop")
	}

	c = start(t, Config{Dir: dir})
	if got := query(t, c.URL("dunlin"), `select word from kept`); got != "still here" {
		t.Errorf("after a restart\n got %q\nwant %q", got, "still here")
	}
}

func TestStart_takesOverFromAKilledProcess(t *testing.T) {
	t.Parallel()
	dir := made(t)
	h := startHelper(t, exec.Command(os.Args[0]), "PGDEV_HELPER="+dir)
	before := query(t, h.url, startedAt)
	query(t, h.url, `create table kept as select 'still here' as word`)
	h.kill(t)

	c := start(t, Config{Dir: dir})
	if got := query(t, c.URL("dunlin"), startedAt); got != before {
		t.Errorf("start of the server\n got %s\nwant %s: the same one", got, before)
	}
	if got := query(t, c.URL("dunlin"), `select word from kept`); got != "still here" {
		t.Errorf("got %q", got)
	}
	stop(t, c)
	if pid := serverPID(c); pid != 0 {
		t.Errorf("process %d still runs: whoever took over is the last one, and stops it", pid)
	}
}

func TestStart_sharesOneServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		helperFirst bool
	}{{"who started it leaves first", true}, {"who came later leaves first", false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := made(t)
			var h helper
			var c *Cluster
			if tt.helperFirst {
				h = startHelper(t, exec.Command(os.Args[0]), "PGDEV_HELPER="+dir)
				c = start(t, Config{Dir: dir})
				h.leave(t)
				query(t, c.URL("dunlin"), `select ''`)
				stop(t, c)
			} else {
				c = start(t, Config{Dir: dir})
				h = startHelper(t, exec.Command(os.Args[0]), "PGDEV_HELPER="+dir)
				stop(t, c)
				query(t, h.url, `select ''`)
				h.leave(t)
			}
			if pid := serverPID(c); pid != 0 {
				t.Errorf("process %d still runs after the last one left", pid)
			}
		})
	}
}

func TestStart_manyAtOnce(t *testing.T) {
	t.Parallel()
	dir := place(t)
	const many = 5
	clusters, errs := make([]*Cluster, many), make([]error, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() { clusters[i], errs[i] = Start(t.Context(), Config{Dir: dir}) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	first := query(t, clusters[0].URL("dunlin"), startedAt)
	for i, c := range clusters {
		if got := query(t, c.URL("dunlin"), startedAt); got != first {
			t.Errorf("server of start %d\n got %s\nwant %s", i, got, first)
		}
	}
	for _, c := range clusters {
		wg.Go(func() {
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if pid := serverPID(clusters[0]); pid != 0 {
		t.Errorf("process %d still runs after all left", pid)
	}
}

func TestStart_afterTheServerWasKilled(t *testing.T) {
	t.Parallel()
	dir := made(t)
	c := start(t, Config{Dir: dir})
	query(t, c.URL("dunlin"), `create table kept as select 'still here' as word`)
	if err := syscall.Kill(serverPID(c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := start(t, Config{Dir: dir})
	if got := query(t, again.URL("dunlin"), `select word from kept`); got != "still here" {
		t.Errorf("after crash recovery\n got %q\nwant %q", got, "still here")
	}
}

func TestStart_otherOptions(t *testing.T) {
	t.Parallel()
	dir := made(t)
	one := start(t, Config{Dir: dir})
	two := start(t, Config{Dir: dir, MaxConnections: 33})
	if got := query(t, two.URL("dunlin"), `show max_connections`); got != "100" {
		t.Errorf("max_connections of a shared server\n got %s\nwant 100, as the first asked", got)
	}
	stop(t, one)
	stop(t, two)
	h := startHelper(t, exec.Command(os.Args[0]), "PGDEV_HELPER="+dir)
	h.kill(t)
	three := start(t, Config{Dir: dir, MaxConnections: 33})
	if got := query(t, three.URL("dunlin"), `show max_connections`); got != "33" {
		t.Errorf("max_connections of one taken over alone\n got %s\nwant 33", got)
	}
}

// TestStart_asOrdinaryUser is about root machines; elsewhere all tests run as one.
func TestStart_asOrdinaryUser(t *testing.T) {
	t.Parallel()
	dir := place(t)
	cmd := exec.Command(os.Args[0])
	if os.Getuid() == 0 {
		home := filepath.Dir(dir)
		program := filepath.Join(home, "helper")
		if err := copyFile(program, os.Args[0]); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(home, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(program)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = home
	}
	data := filepath.Dir(dir)
	h := startHelper(t, cmd, "PGDEV_HELPER=", "XDG_DATA_HOME="+data)
	if want := filepath.Join(data, "dunlin", "postgres"); !strings.Contains(h.url, strings.ReplaceAll(want, "/", "%2F")) {
		t.Errorf("connection string\n got %s\nwant one with %s", h.url, want)
	}
	query(t, h.url, `select ''`)
	h.leave(t)
}

func copyFile(to, from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		return err
	}
	return os.Chmod(to, 0o755)
}

// BenchmarkStart tells how long Start takes from nothing and from a stopped
// server; the aims are 2 s and 0.3 s.
func BenchmarkStart(b *testing.B) {
	for _, throwaway := range []bool{false, true} {
		name := map[bool]string{false: "durable", true: "throwaway"}[throwaway]
		dir := place(b)
		once := func(b *testing.B) {
			began := time.Now()
			c, err := Start(b.Context(), Config{Dir: dir, Throwaway: throwaway})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(began).Seconds(), "s/start")
			began = time.Now()
			if err := c.Stop(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(began).Seconds(), "s/stop")
		}
		b.Run(name+"/first", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				os.RemoveAll(dir)
				b.StartTimer()
				once(b)
			}
		})
		b.Run(name+"/again", func(b *testing.B) {
			for b.Loop() {
				once(b)
			}
		})
	}
}
