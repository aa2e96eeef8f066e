package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// minMajor is the oldest PostgreSQL that Dunlin's SQL runs on.
const minMajor = 15

// ErrNotInstalled is returned, wrapped, by Start on a machine without a usable
// PostgreSQL.
var ErrNotInstalled = errors.New("no PostgreSQL 15 or newer on this machine")

const howToInstall = `install it, or set DATABASE_URL to use a server elsewhere:
  Debian, Ubuntu   sudo apt-get install postgresql
  macOS            brew install postgresql@17
  others           https://www.postgresql.org/download/`

// An installation is a directory that holds PostgreSQL's programs.
type installation struct {
	bin   string
	major int
}

// installDirs are the places of packages that put nothing on the PATH, as globs.
var installDirs = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/libexec/postgresql*",                           // Alpine
	"/usr/pgsql-*/bin",                                   // Red Hat
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/usr/local/pgsql/bin",                               // built from source
}

// find returns the installation to run data of the given major version with; for
// major 0, that is new data, the first good one in the order of candidates.
func find(ctx context.Context, o owner, candidates []string, major int) (installation, error) {
	var good []installation
	var rejected []string
	for _, bin := range candidates {
		inst, err := inspect(ctx, bin, o)
		if err != nil {
			rejected = append(rejected, err.Error())
			continue
		}
		if major == 0 || inst.major == major {
			return inst, nil
		}
		good = append(good, inst)
	}
	if len(good) == 0 {
		found := ""
		if len(rejected) > 0 {
			found = " (looked at: " + strings.Join(rejected, "; ") + ")"
		}
		return installation{}, fmt.Errorf("%w%s; %s", ErrNotInstalled, found, howToInstall)
	}
	var have []string
	for _, inst := range good {
		have = append(have, strconv.Itoa(inst.major))
	}
	return installation{}, &versionError{data: major, have: slices.Compact(have)}
}

// A versionError says that the data needs another major version than there is.
type versionError struct {
	dir  string
	data int
	have []string
}

func (e *versionError) Error() string {
	return fmt.Sprintf("the data in %s was made by PostgreSQL %d, and this machine has only %s; install PostgreSQL %d again (apt-get install postgresql-%d, brew install postgresql@%d), or move the directory away to begin with an empty database",
		e.dir, e.data, strings.Join(e.have, " and "), e.data, e.data, e.data)
}

// candidates are the directories to look into, best first.
func candidates(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(resolved))
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, glob := range installDirs {
		found, _ := filepath.Glob(glob) // the only error is a bad pattern, and a test knows them
		slices.SortFunc(found, func(a, b string) int { return majorIn(b) - majorIn(a) })
		dirs = append(dirs, found...)
	}
	var unique []string
	for _, dir := range dirs {
		if !slices.Contains(unique, dir) {
			unique = append(unique, dir)
		}
	}
	return unique
}

var (
	versionInPath   = regexp.MustCompile(`\d+`)
	versionInOutput = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)
)

// majorIn is the first number in a path, which is how packages name theirs.
func majorIn(path string) int {
	n, _ := strconv.Atoi(versionInPath.FindString(path))
	return n
}

// inspect asks both programs for their version, as the user who will run them. A
// `postgres` that is somebody's wrapper script has no initdb beside it, or does
// not answer, and is passed over.
func inspect(ctx context.Context, bin string, o owner) (installation, error) {
	var major int
	for _, name := range []string{"initdb", "postgres"} {
		program := filepath.Join(bin, name)
		if _, err := os.Stat(program); err != nil {
			return installation{}, fmt.Errorf("%s: no %s", bin, name)
		}
		cmd := exec.CommandContext(ctx, program, "--version")
		cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", environment("/"), o.sysProcAttr(false)
		out, err := cmd.Output()
		if err != nil {
			return installation{}, fmt.Errorf("%s --version: %w", program, err)
		}
		m := versionInOutput.FindSubmatch(out)
		if m == nil {
			return installation{}, fmt.Errorf("%s is not PostgreSQL's", program)
		}
		major, _ = strconv.Atoi(string(m[1]))
	}
	if major < minMajor {
		return installation{}, fmt.Errorf("%s: version %d is too old", bin, major)
	}
	return installation{bin: bin, major: major}, nil
}

// environment is all that PostgreSQL's programs see of ours: no PGDATA, no
// PGOPTIONS, no locale.
func environment(home string) []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + home}
}
