package migrations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// A State compares the migrations of a database with those of this binary.
type State struct {
	Pending []string // this binary has them, the database lacks them; in order, as "dunlin 0007_name" and "river 8"
	Newer   []string // the database has them, this binary does not know them
}

// Err is nil when database and binary agree; otherwise it says what to do.
func (s State) Err() error {
	if err := s.newer(); err != nil {
		return err
	}
	if len(s.Pending) > 0 {
		return fmt.Errorf("the database lacks the migrations %s; run dunlin migrate", strings.Join(s.Pending, ", "))
	}
	return nil
}

func (s State) newer() error {
	if len(s.Newer) == 0 {
		return nil
	}
	return fmt.Errorf("%w: it has %s, which this binary does not know; run the newer dunlin", ErrNewer, strings.Join(s.Newer, ", "))
}

// Check reads which migrations the database has. It changes nothing, needs no
// lock and takes two small queries, so a readiness probe may ask often.
func Check(ctx context.Context, pool *pgxpool.Pool) (State, error) {
	var state State
	for _, line := range []struct {
		schema, table, query string
		known                func() ([]version, error)
	}{
		{RiverSchema, "river.river_migration", `select version from river.river_migration where line = 'main'`, riverVersions},
		{"dunlin", versionTable, `select version_id from dunlin.schema_migrations where is_applied and version_id > 0`, dunlinVersions},
	} {
		known, err := line.known()
		if err != nil {
			return State{}, err
		}
		applied, err := appliedVersions(ctx, pool, line.table, line.query)
		if err != nil {
			return State{}, fmt.Errorf("read the versions of schema %s: %w", line.schema, err)
		}
		for _, v := range known {
			if !slices.Contains(applied, v.number) {
				state.Pending = append(state.Pending, line.schema+" "+v.name)
			}
		}
		for _, number := range applied {
			if !slices.ContainsFunc(known, func(v version) bool { return v.number == number }) {
				state.Newer = append(state.Newer, fmt.Sprintf("%s %d", line.schema, number))
			}
		}
	}
	return state, nil
}

// Pending names the migrations that the database lacks, as [State.Pending].
func Pending(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	state, err := Check(ctx, pool)
	return state.Pending, err
}

func appliedVersions(ctx context.Context, pool *pgxpool.Pool, table, query string) ([]int64, error) {
	var there bool
	if err := pool.QueryRow(ctx, `select to_regclass($1) is not null`, table).Scan(&there); err != nil || !there {
		return nil, err
	}
	rows, err := pool.Query(ctx, query+` order by 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// A version is one migration that this binary knows.
type version struct {
	number int64
	name   string
}

func dunlinVersions() ([]version, error) {
	names, err := fs.Glob(Files, "*.sql")
	if err != nil {
		return nil, err
	}
	var known []version
	for _, name := range names { // sorted, and the numbers have leading zeros
		digits, _, _ := strings.Cut(name, "_")
		number, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %q does not begin with a number", name)
		}
		known = append(known, version{number, strings.TrimSuffix(name, ".sql")})
	}
	return known, nil
}

func riverVersions() ([]version, error) {
	all, err := riverMigrations()
	if err != nil {
		return nil, err
	}
	var known []version
	for _, m := range all {
		known = append(known, version{int64(m.Version), strconv.Itoa(m.Version)})
	}
	return known, nil
}

func riverMigrations() ([]rivermigrate.Migration, error) {
	migrator, err := rivermigrate.New(riverpgxv5.New(nil), &rivermigrate.Config{Schema: RiverSchema})
	if err != nil {
		return nil, err
	}
	return migrator.AllVersions(), nil
}

// Fingerprint identifies the tables that [Up] makes: two binaries with the same
// fingerprint make the same. It is short and made of lower-case letters and digits.
func Fingerprint() (string, error) {
	sum := sha256.New()
	river, err := riverMigrations()
	if err != nil {
		return "", err
	}
	for _, m := range river {
		fmt.Fprintf(sum, "river %d %q\n", m.Version, m.SQLUp)
	}
	known, err := dunlinVersions()
	if err != nil {
		return "", err
	}
	for _, v := range known {
		text, err := Files.ReadFile(v.name + ".sql")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "dunlin %s %q\n", v.name, text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}
