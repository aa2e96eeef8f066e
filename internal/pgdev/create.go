package pgdev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// create makes the data directory if it is missing, in one rename, so that a
// process killed half-way leaves nothing that looks finished. It also settles
// which programs to use.
func (s *server) create(ctx context.Context) (how string, err error) {
	major, err := dataVersion(s.paths.data)
	if err != nil {
		return "", err
	}
	places := []string{s.bin}
	if s.bin == "" {
		places = candidates(ctx)
	}
	inst, err := find(ctx, s.owner, places, major)
	if mismatch := new(versionError); errors.As(err, &mismatch) {
		mismatch.dir = s.paths.data
	}
	if err != nil {
		return "started", err
	}
	s.bin = inst.bin
	if major != 0 {
		return "started", nil
	}

	fresh := s.paths.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	args := []string{"-D", fresh, "-A", "trust", "-U", Superuser, "-E", "UTF8", "--no-instructions"}
	if err := s.markKind(); err != nil {
		return "", err
	}
	if s.throwaway {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), append(args, locale()...)...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.paths.dir, environment(s.paths.dir), s.owner.sysProcAttr(true)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb in %s: %w\n%s", s.paths.dir, err, tail(out))
	}
	return "created", os.Rename(fresh, s.paths.data)
}

// locale orders text by its bytes and folds the case of all letters, on every
// system: the same data gives the same output, and nothing gets to rely on a
// database that knows ASCII only.
func locale() []string {
	if runtime.GOOS == "darwin" {
		return []string{"--locale=C", "--lc-ctype=en_US.UTF-8"} // older ones have no C.UTF-8
	}
	return []string{"--locale=C", "--lc-ctype=C.UTF-8"}
}

// dataVersion is the major version that made the data; 0 when there is none.
func dataVersion(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(data); err == nil {
			return 0, fmt.Errorf("%s is there and is not a PostgreSQL data directory; move it away", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION holds %q and not a version", data, text)
	}
	return major, nil
}

// checkKind keeps throwaway data and other data apart for good: the one may be
// deleted at any start, and may be damaged since the machine last went down.
func (s server) checkKind() error {
	if _, err := os.Stat(s.paths.data); err != nil {
		return nil // nothing yet
	}
	_, err := os.Stat(s.paths.throwaway)
	switch {
	case err == nil && !s.throwaway:
		return fmt.Errorf("the PostgreSQL in %s was made for tests and is not durable; choose another directory", s.paths.dir)
	case err != nil && s.throwaway:
		return fmt.Errorf("the PostgreSQL in %s holds data to keep and cannot serve as a throwaway one; choose another directory", s.paths.dir)
	}
	return nil
}

func (s server) markKind() error {
	if s.throwaway {
		return os.WriteFile(s.paths.throwaway, nil, 0o600)
	}
	if err := os.Remove(s.paths.throwaway); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
