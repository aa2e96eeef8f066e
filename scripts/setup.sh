#!/bin/sh
# Sees to it that this machine has what the arguments name, and installs what is
# missing: with apt-get on Debian and Ubuntu, with brew on macOS. Elsewhere, or
# without the right to install, it says what to do and fails.
#
#   scripts/setup.sh go postgres compiler
#
#   go        1.21 or newer, which fetches the version that go.mod asks for
#   postgres  15 or newer; not needed when DATABASE_URL is set
#   compiler  a C compiler, which go test -race needs
#
# It says nothing when there is nothing to do.
set -eu

min_postgres=15

# Where packages put PostgreSQL: the same places as internal/pgdev looks into.
: "${POSTGRES_DIRS:=/usr/lib/postgresql/*/bin /usr/libexec/postgresql* /usr/pgsql-*/bin
    /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin
    /home/linuxbrew/.linuxbrew/opt/postgresql@*/bin
    /Applications/Postgres.app/Contents/Versions/*/bin /usr/local/pgsql/bin}"

say() { echo "setup: $*" >&2; }

fail() {
    say "$1"
    shift
    for line in "$@"; do echo "  $line" >&2; done
    exit 1
}

# major PROGRAM prints the first number of its --version.
major() { "$1" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p' | head -n 1; }

# has_postgres succeeds when some directory holds both programs, new enough.
has_postgres() {
    dirs=
    if program=$(command -v postgres); then dirs=$(dirname "$program"); fi
    if bindir=$(pg_config --bindir 2>/dev/null); then dirs="$dirs $bindir"; fi
    for dir in $dirs $POSTGRES_DIRS; do
        [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] || continue
        version=$(major "$dir/postgres")
        if [ "${version:-0}" -ge "$min_postgres" ]; then return 0; fi
    done
    return 1
}

# apt_install PACKAGE… as root, by sudo where needed. The lists of packages are
# fetched when there are none, or when they turn out to be old.
apt_install() {
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "$* is missing, and this user may not install it. As root, run:" "apt-get install $*"
        sudo=sudo
    fi
    say "installing $* (apt-get)"
    log=$(mktemp)
    install="$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120"
    if $install "$@" >"$log" 2>&1; then rm -f "$log"; return; fi
    $sudo apt-get update -qq >"$log" 2>&1 || true # some source may be away; what counts is the install
    if $install "$@" >>"$log" 2>&1; then rm -f "$log"; return; fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install $*; the reason is above"
}

setup_go() {
    command -v go >/dev/null || fail "Go is not installed. Get it from https://go.dev/dl/ (macOS: brew install go)."
    minor=$(go version | sed -n 's/.* go1\.\([0-9][0-9]*\).*/\1/p')
    if [ "${minor:-99}" -lt 21 ]; then
        fail "$(go version) is too old: 1.21 or newer is needed. Get it from https://go.dev/dl/."
    fi
}

setup_postgres() {
    if [ -n "${DATABASE_URL:-}" ] || has_postgres; then return; fi
    case $(uname -s) in
    Darwin)
        command -v brew >/dev/null || fail "PostgreSQL $min_postgres or newer is missing. Install Homebrew (https://brew.sh) and try again, or:" \
            "install Postgres.app (https://postgresapp.com), or set DATABASE_URL to a server of yours"
        say "installing postgresql@17 (brew)"
        brew install --quiet postgresql@17 >&2
        ;;
    *)
        command -v apt-get >/dev/null || fail "PostgreSQL $min_postgres or newer is missing. Install it with this system's packages:" \
            "Fedora: dnf install postgresql-server   Arch: pacman -S postgresql   Alpine: apk add postgresql" \
            "or from https://www.postgresql.org/download/, or set DATABASE_URL to a server of yours"
        apt_install postgresql
        ;;
    esac
    has_postgres || fail "PostgreSQL was installed and is older than $min_postgres, or not where it is looked for. Take it from PostgreSQL's own packages:" \
        "apt-get install postgresql-common && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh && apt-get install postgresql-17" \
        "or set DATABASE_URL to a server of yours"
}

setup_compiler() {
    if command -v "${CC:-cc}" >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null; then return; fi
    case $(uname -s) in
    Darwin) fail "A C compiler is missing, which go test -race needs. Run:" "xcode-select --install" ;;
    esac
    command -v apt-get >/dev/null || fail "A C compiler is missing, which go test -race needs. Install gcc with this system's packages."
    apt_install gcc libc6-dev
}

for item in "$@"; do
    case $item in
    go | postgres | compiler) "setup_$item" ;;
    *) fail "unknown item $item: go, postgres, compiler" ;;
    esac
done
