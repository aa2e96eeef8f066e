package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wantError checks that an error says all of these.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error\nwant one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error\n got %v\nwant one with %q", err, word)
		}
	}
}

func TestStart_staleFileWithALivingPID(t *testing.T) {
	t.Parallel()
	dir := made(t)
	// As after a power cut, when the number has become somebody else's: ours.
	stale := fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n  1 2\nready   \n", os.Getpid(), filepath.Join(dir, "data"), dir)
	file := filepath.Join(dir, "data", "postmaster.pid")
	if err := os.WriteFile(file, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := currentOwner()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.own(file); err != nil {
		t.Fatal(err)
	}
	start(t, Config{Dir: dir})
}

func TestStart_initdbWasKilled(t *testing.T) {
	t.Parallel()
	dir := made(t)
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "data.new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "data.new", "PG_VERSION")); err != nil {
		t.Fatal(err)
	}
	start(t, Config{Dir: dir})
}

func TestStart_serverHangs(t *testing.T) {
	t.Parallel()
	dir := made(t)
	c := start(t, Config{Dir: dir})
	pid := serverPID(c)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, Config{Dir: dir})
	wantError(t, err, "process "+strconv.Itoa(pid), dir, "kill -QUIT")
}

func TestStart_gateIsHeld(t *testing.T) {
	t.Parallel()
	dir := made(t)
	o, err := currentOwner()
	if err != nil {
		t.Fatal(err)
	}
	gate, err := lockGate(t.Context(), filepath.Join(dir, "gate.lock"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = Start(ctx, Config{Dir: dir})
	wantError(t, err, "process "+strconv.Itoa(os.Getpid()), dir)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cause\n got %v\nwant the context's", err)
	}
}

func TestStart_showsTheServersLog(t *testing.T) {
	t.Parallel()
	dir := made(t)
	if err := os.WriteFile(filepath.Join(dir, "data", "postgresql.conf"), []byte("work_mem = plenty\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Dir: dir})
	wantError(t, err, filepath.Join(dir, "log"), "work_mem", "plenty")
}

func TestStart_dataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := made(t)
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("13\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Dir: dir})
	wantError(t, err, filepath.Join(dir, "data"), "PostgreSQL 13", "postgresql@13", "move the directory away")
}

func TestStart_throwaway(t *testing.T) {
	t.Parallel()
	dir := place(t)
	c := start(t, Config{Dir: dir, Throwaway: true})
	if got := query(t, c.URL("dunlin"), `show fsync`); got != "off" {
		t.Errorf("fsync\n got %s\nwant off", got)
	}
	stop(t, c)
	if err := os.WriteFile(filepath.Join(dir, "data", "global", "pg_control"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop(t, start(t, Config{Dir: dir, Throwaway: true}))

	_, err := Start(t.Context(), Config{Dir: dir})
	wantError(t, err, dir, "not durable")
	_, err = Start(t.Context(), Config{Dir: made(t), Throwaway: true})
	wantError(t, err, "data to keep")
}

func TestStart_badPlaces(t *testing.T) {
	t.Parallel()
	t.Run("a file", func(t *testing.T) {
		t.Parallel()
		dir := place(t)
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), Config{Dir: dir})
		wantError(t, err, dir, "in the way")
	})
	t.Run("somebody else's data", func(t *testing.T) {
		t.Parallel()
		dir := made(t)
		if err := os.Remove(filepath.Join(dir, "data", "PG_VERSION")); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), Config{Dir: dir})
		wantError(t, err, filepath.Join(dir, "data"), "move it away")
	})
	t.Run("a path too long for a socket", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(place(t), strings.Repeat("long", 25))
		c := start(t, Config{Dir: dir})
		t.Cleanup(func() { os.RemoveAll(c.paths.socket) })
		query(t, c.URL("dunlin"), `select ''`)
	})
	t.Run("out of the owner's reach", func(t *testing.T) {
		t.Parallel()
		o := owner{name: "postgres", uid: 4_000_000, gid: 4_000_000, dropped: true}
		closed := filepath.Dir(place(t))
		if err := os.Chmod(closed, 0o700); err != nil {
			t.Fatal(err)
		}
		wantError(t, mkdirParents(closed, o), "user postgres", closed, "choose a directory outside")
	})
	t.Run("another user's", func(t *testing.T) {
		t.Parallel()
		dir := place(t)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		wantError(t, mkdirPrivate(dir, owner{name: "somebody", uid: 4_000_000}), dir, "belongs to", "4000000")
	})
}

func TestFind(t *testing.T) {
	t.Parallel()
	home := filepath.Dir(place(t))
	program := func(bin, name, output string) {
		t.Helper()
		dir := filepath.Join(home, bin)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\n" + output + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for bin, version := range map[string]string{"old": "13.4", "fifteen": "15.18 (Debian 15.18-0+deb12u1)", "seventeen": "17.2", "beta": "18beta1"} {
		program(bin, "initdb", "echo 'initdb (PostgreSQL) "+version+"'")
		program(bin, "postgres", "echo 'postgres (PostgreSQL) "+version+"'")
	}
	program("wrapper", "postgres", "exec docker run postgres")
	program("other", "initdb", "echo something else")
	program("broken", "initdb", "exit 1")

	o, err := currentOwner()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		bins  string
		major int
		want  string // the directory, or words of the error
	}{
		{"the first good one", "fifteen seventeen", 0, "fifteen"},
		{"not the old one", "old seventeen", 0, "seventeen"},
		{"not a wrapper", "wrapper other broken missing beta", 0, "beta"},
		{"the one for the data", "seventeen fifteen", 15, "fifteen"},
		{"none", "", 0, "no PostgreSQL 15 or newer|apt-get install postgresql|brew install|DATABASE_URL"},
		{"none that is good", "old wrapper other broken", 0, "version 13 is too old|wrapper: no initdb|is not PostgreSQL's|broken/initdb --version"},
		{"none for the data", "seventeen beta", 15, "made by PostgreSQL 15|only 17 and 18|postgresql-15"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var bins []string
			for _, bin := range strings.Fields(tt.bins) {
				bins = append(bins, filepath.Join(home, bin))
			}
			got, err := find(t.Context(), o, bins, tt.major)
			if err != nil {
				wantError(t, err, strings.Split(tt.want, "|")...)
			} else if filepath.Base(got.bin) != tt.want {
				t.Errorf("find(%s)\n got %s\nwant %s", tt.bins, got.bin, tt.want)
			}
		})
	}
}

func TestStart_notInstalled(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{Dir: place(t), Bin: t.TempDir()})
	if !errors.Is(err, ErrNotInstalled) {
		t.Errorf("error\n got %v\nwant %v", err, ErrNotInstalled)
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	for _, glob := range installDirs {
		if _, err := filepath.Match(glob, ""); err != nil {
			t.Errorf("%s: %v", glob, err)
		}
	}
	if len(candidates(t.Context())) == 0 {
		t.Error("no directory to look into, on a machine where the other tests found one")
	}
}

func TestDefaultDir(t *testing.T) {
	if os.Getuid() == 0 {
		if got, err := DefaultDir(); err != nil || got != "/var/lib/dunlin/postgres" {
			t.Errorf("root's\n got %s (%v)\nwant /var/lib/dunlin/postgres", got, err)
		}
		return
	}
	t.Setenv("HOME", "/home/ann")
	for xdg, want := range map[string]string{
		"":          "/home/ann/.local/share/dunlin/postgres",
		"relative":  "/home/ann/.local/share/dunlin/postgres",
		"/data/ann": "/data/ann/dunlin/postgres",
	} {
		t.Setenv("XDG_DATA_HOME", xdg)
		if got, err := DefaultDir(); err != nil || got != want {
			t.Errorf("with XDG_DATA_HOME=%s\n got %s (%v)\nwant %s", xdg, got, err, want)
		}
	}
}
