package scripts_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A machine is a directory of programs that stand in for those of some system.
type machine struct {
	t    *testing.T
	home string
}

// newMachine has the tools that every system has, and those given as scripts.
// PREFIX in a script is where its packages go.
func newMachine(t *testing.T, programs map[string]string) machine {
	t.Helper()
	m := machine{t, t.TempDir()}
	for _, name := range []string{"sh", "sed", "head", "tail", "mktemp", "rm", "dirname", "env", "mkdir", "cat", "chmod"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		m.write("bin/"+name, "exec "+path+` "$@"`)
	}
	for name, script := range programs {
		m.write(name, script)
	}
	return m
}

func (m machine) write(name, script string) {
	m.t.Helper()
	path := filepath.Join(m.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	script = "#!/bin/sh\n" + strings.ReplaceAll(script, "PREFIX", m.home) + "\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// setup runs the script there, and returns what it and its tools said.
func (m machine) setup(env string, items ...string) (output string, ok bool) {
	m.t.Helper()
	if _, err := os.Stat("setup.sh"); err != nil { // by which go test's cache knows of it
		m.t.Fatal(err)
	}
	cmd := exec.CommandContext(m.t.Context(), "/bin/sh", append([]string{"setup.sh"}, items...)...)
	cmd.Env = append(strings.Fields(env), "PATH="+m.home+"/bin", "POSTGRES_DIRS="+m.home+"/postgresql/*/bin", "TMPDIR="+m.home)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err == nil
}

// calls is what the stand-ins wrote down.
func (m machine) calls() string {
	text, _ := os.ReadFile(filepath.Join(m.home, "calls"))
	return string(text)
}

const (
	linux = `echo Linux`
	mac   = `echo Darwin`
	root  = `echo 0`
	ann   = `echo 1000`
	sudo  = `echo "sudo" >>PREFIX/calls; exec "$@"`

	// A package manager that installs PostgreSQL 15, as Debian 12 does.
	provide = `
mkdir -p PREFIX/postgresql/15/bin
for program in initdb postgres; do
	echo "echo '$program (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'" >PREFIX/postgresql/15/bin/$program
	chmod 755 PREFIX/postgresql/15/bin/$program
done`
	apt = `echo "apt-get $1 $*" | sed 's/^\(apt-get [a-z-]*\) .* \([a-z0-9@-]*\)$/\1 \2/' >>PREFIX/calls`
)

func TestSetup(t *testing.T) {
	t.Parallel()
	postgres := func(version string) string { return "echo 'postgres (PostgreSQL) " + version + "'" }
	tests := []struct {
		name     string
		programs map[string]string
		env      string
		items    string
		ok       bool
		calls    string // of the stand-ins
		says     string // in its output; empty means nothing at all
	}{
		{
			name:     "all there",
			programs: map[string]string{"bin/go": "echo go version go1.26.8 linux/amd64", "bin/cc": "", "bin/postgres": postgres("15.18"), "bin/initdb": ""},
			items:    "go compiler postgres", ok: true,
		},
		{
			name:     "where Debian puts it",
			programs: map[string]string{"postgresql/17/bin/postgres": postgres("17.2"), "postgresql/17/bin/initdb": ""},
			items:    "postgres", ok: true,
		},
		{
			name: "DATABASE_URL", env: "DATABASE_URL=postgres://db/main",
			items: "postgres", ok: true,
		},
		{
			name:     "Debian, root",
			programs: map[string]string{"bin/uname": linux, "bin/id": root, "bin/apt-get": apt + provide},
			items:    "postgres", ok: true, calls: "apt-get install postgresql\n", says: "setup: installing postgresql (apt-get)",
		},
		{
			name: "Debian, its lists are old",
			programs: map[string]string{"bin/uname": linux, "bin/id": root, "bin/apt-get": apt + `
if [ "$1" = update ]; then echo >PREFIX/updated; exit; fi
[ -e PREFIX/updated ] || { echo Unable to locate package; exit 100; }` + provide},
			items: "postgres", ok: true, calls: "apt-get install postgresql\napt-get update -qq\napt-get install postgresql\n", says: "installing",
		},
		{
			name:     "Debian, sudo",
			programs: map[string]string{"bin/uname": linux, "bin/id": ann, "bin/sudo": sudo, "bin/apt-get": apt + provide},
			items:    "postgres", ok: true, calls: "sudo\napt-get install postgresql\n", says: "installing",
		},
		{
			name:     "Debian, no rights",
			programs: map[string]string{"bin/uname": linux, "bin/id": ann, "bin/apt-get": apt},
			items:    "postgres", says: "As root, run:\n  apt-get install postgresql",
		},
		{
			name: "Debian, no network",
			programs: map[string]string{"bin/uname": linux, "bin/id": root, "bin/apt-get": apt + `
echo 'E: Temporary failure resolving'; exit 100`},
			items: "postgres", calls: "apt-get install postgresql\napt-get update -qq\napt-get install postgresql\n", says: "Temporary failure resolving",
		},
		{
			name:     "an old Ubuntu",
			programs: map[string]string{"bin/uname": linux, "bin/id": root, "bin/apt-get": apt, "bin/postgres": postgres("14.9"), "bin/initdb": ""},
			items:    "postgres", calls: "apt-get install postgresql\n", says: "pgdg/apt.postgresql.org.sh",
		},
		{
			name:     "a wrapper on the PATH is not an installation",
			programs: map[string]string{"bin/uname": linux, "bin/id": root, "bin/apt-get": apt + provide, "bin/postgres": postgres("16.1")},
			items:    "postgres", ok: true, calls: "apt-get install postgresql\n", says: "installing",
		},
		{
			name:     "macOS",
			programs: map[string]string{"bin/uname": mac, "bin/id": ann, "bin/brew": `echo "brew $1 $3" >>PREFIX/calls` + provide},
			items:    "postgres", ok: true, calls: "brew install postgresql@17\n", says: "installing postgresql@17 (brew)",
		},
		{
			name:     "macOS without Homebrew",
			programs: map[string]string{"bin/uname": mac, "bin/id": ann},
			items:    "postgres", says: "https://brew.sh",
		},
		{
			name:     "another Linux",
			programs: map[string]string{"bin/uname": linux, "bin/id": root},
			items:    "postgres", says: "dnf install postgresql-server",
		},
		{
			name:     "no compiler",
			programs: map[string]string{"bin/uname": linux, "bin/id": root, "bin/apt-get": apt},
			items:    "compiler", ok: true, calls: "apt-get install libc6-dev\n", says: "installing gcc libc6-dev",
		},
		{name: "no compiler on macOS", programs: map[string]string{"bin/uname": mac}, items: "compiler", says: "xcode-select --install"},
		{name: "no Go", items: "go", says: "https://go.dev/dl/"},
		{
			name:     "Go that cannot fetch another",
			programs: map[string]string{"bin/go": "echo go version go1.19.8 linux/amd64"},
			items:    "go", says: "go1.19.8 linux/amd64 is too old",
		},
		{name: "a slip", items: "postgress", says: "unknown item postgress"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, tt.programs)
			output, ok := m.setup(tt.env, strings.Fields(tt.items)...)
			if ok != tt.ok {
				t.Errorf("done\n got %v\nwant %v", ok, tt.ok)
			}
			if !strings.Contains(output, tt.says) || tt.says == "" && output != "" {
				t.Errorf("output\n got %q\nwant %q", output, tt.says)
			}
			if got := m.calls(); got != tt.calls {
				t.Errorf("calls\n got %q\nwant %q", got, tt.calls)
			}
		})
	}
}
