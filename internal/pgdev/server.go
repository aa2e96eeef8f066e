package pgdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	startPatience = 60 * time.Second // crash recovery of a busy database
	stopPatience  = 12 * time.Second // fast shutdown, then
	killPatience  = 6 * time.Second  // immediate shutdown
	pollEvery     = 5 * time.Millisecond
	maxLog        = 8 << 20 // bytes; a longer log is moved aside at the next start
)

// A server is the PostgreSQL of one directory. Its methods want the gate held.
type server struct {
	paths     paths
	owner     owner
	bin       string   // where to look for the programs; empty means everywhere
	options   []string // of the command line
	throwaway bool
}

// options are the command line of a server that suits cfg.
func options(cfg Config, p paths) []string {
	connections := cfg.MaxConnections
	if connections == 0 {
		connections = 100
	}
	args := []string{
		"-D", p.data,
		"-k", p.socket,
		"-p", port,
		"-c", "listen_addresses=",
		"-c", "unix_socket_permissions=0700",
		"-c", "max_connections=" + strconv.Itoa(connections),
		"-c", "timezone=UTC",
		"-c", "log_timezone=UTC",
		"-c", "jit=off", // compiling costs more than our queries
	}
	if cfg.Throwaway {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	return args
}

// ensure leaves a server running that has the options, and says how it came to
// be: created, started, taken over, or shared.
func (s server) ensure(ctx context.Context, alone bool) (how string, err error) {
	if err := s.checkKind(); err != nil {
		return "", err
	}
	running, err := s.running(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case running && !alone:
		return "shared", nil
	case running && s.sameOptions():
		return "taken over", nil
	case running:
		if err := s.stop(ctx); err != nil {
			return "", err
		}
	}
	how, err = s.createAndLaunch(ctx)
	if err != nil && s.throwaway && how != "created" && ctx.Err() == nil && !errors.Is(err, ErrNotInstalled) {
		if err := os.RemoveAll(s.paths.data); err != nil {
			return "", err
		}
		return s.createAndLaunch(ctx)
	}
	return how, err
}

func (s server) createAndLaunch(ctx context.Context) (how string, err error) {
	if how, err = s.create(ctx); err != nil {
		return how, err
	}
	return how, s.launch(ctx)
}

// sameOptions reports whether the running server was started as we would.
func (s server) sameOptions() bool {
	opts, err := os.ReadFile(filepath.Join(s.paths.data, "postmaster.opts"))
	if err != nil {
		return false
	}
	var want strings.Builder // PostgreSQL writes: program "arg" "arg" …
	for _, o := range s.options {
		fmt.Fprintf(&want, ` "%s"`, o)
	}
	return strings.HasSuffix(strings.TrimRight(string(opts), "\n"), want.String())
}

// running reports whether a server answers for the directory. When a PostgreSQL
// holds the directory without answering, it waits, and then says who it is.
func (s server) running(ctx context.Context) (bool, error) {
	deadline := time.Now().Add(startPatience)
	for {
		err := s.ping(ctx)
		if err == nil {
			return true, nil // also when its pid is of another container and means nothing here
		}
		pid := s.pid()
		if pid == 0 {
			return false, nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false, fmt.Errorf("a PostgreSQL, process %d, holds %s and does not answer: %w; end it with kill -QUIT %d, then try again", pid, s.paths.data, err, pid)
		}
		_ = pause(ctx, pollEvery)
	}
}

// launch starts the server and waits until it answers.
func (s server) launch(ctx context.Context) error {
	// After the machine went down, a number in there may be anybody's by now, and
	// PostgreSQL, less curious about names, would refuse to start.
	if s.pid() == 0 {
		if err := os.Remove(s.paths.pid()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	deadline := time.Now().Add(startPatience)
	for {
		err := s.launchOnce(ctx, deadline)
		// A killed server's sessions live on for a moment, and hold its memory.
		if err == nil || !strings.Contains(err.Error(), "shared memory block") || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s server) launchOnce(ctx context.Context, deadline time.Time) error {
	log, err := s.openLog()
	if err != nil {
		return err
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	// Not CommandContext: the server outlives the context of its start.
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), s.options...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.paths.dir, environment(s.paths.dir), s.owner.sysProcAttr(true)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // reaps it, whenever that is; how it ended is in the state
		close(exited)
	}()

	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("PostgreSQL in %s ended at once (%s); its log %s says:\n%s", s.paths.dir, cmd.ProcessState, s.paths.log, s.logSince(from))
		default:
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			_ = cmd.Process.Signal(syscall.SIGQUIT)
			return fmt.Errorf("PostgreSQL in %s did not answer in time: %w; its log %s says:\n%s", s.paths.dir, err, s.paths.log, s.logSince(from))
		}
		_ = pause(ctx, pollEvery)
	}
}

// ping connects, and returns nil when the server takes queries.
func (s server) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c := Cluster{paths: s.paths}
	conn, err := pgconn.Connect(ctx, c.URL(Superuser))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// stop shuts the server down, if it runs, and waits until it is gone: first by
// SIGINT, which ends sessions and writes everything out, later by SIGQUIT, after
// which the next start recovers from the log.
func (s server) stop(ctx context.Context) error {
	pid := s.pid()
	if pid == 0 {
		return nil
	}
	for _, try := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{{syscall.SIGINT, stopPatience}, {syscall.SIGQUIT, killPatience}} {
		if err := syscall.Kill(pid, try.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop PostgreSQL (process %d): %w", pid, err)
		}
		deadline := time.Now().Add(try.patience)
		for time.Now().Before(deadline) && ctx.Err() == nil {
			if s.pid() != pid {
				return nil
			}
			_ = pause(ctx, pollEvery)
		}
	}
	return fmt.Errorf("PostgreSQL (process %d) in %s did not stop; its log is %s", pid, s.paths.dir, s.paths.log)
}

// ensureDatabase creates a database, unless it is there.
func ensureDatabase(ctx context.Context, url, name string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var there bool
	err = conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&there)
	if err != nil || there {
		return err
	}
	if _, err = conn.Exec(ctx, `create database `+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %q: %w", name, err)
	}
	return nil
}
