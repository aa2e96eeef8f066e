// Package workspace holds what is true of the whole company: its settings, the
// clock everybody asks, the switch that stops everything, and the reading of
// definition files.
//
//	docs, err := workspace.ReadFiles([]string{"examples"}, os.Stdin)
//	settings, faults := workspace.ParseSettings(docs[0])
//
// Definition files are YAML. Each document in them says what it is (kind:
// workspace, segment or campaign) and is read strictly: an unknown key, a
// missing one or a value of the wrong kind is a [Fault] with a file, a line and
// a column, and a file's faults are reported all at once.
//
//   - A document that has a fault changes nothing.
//   - Settings are stored as written, in versions; the newest is in force.
//   - A stop holds until it is lifted, whatever is deployed or restarted.
package workspace

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Clock tells business time: what is due, quiet, expired or stale. It is
// time.Now in production and the sandbox's virtual clock in the demo. Leases and
// pacing use Postgres' own clock instead, and never this one.
type Clock func() time.Time

// A Querier is what a pool, a connection and a transaction share; whoever calls
// a store owns the transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}
