// Package pgdev runs a private PostgreSQL for one user of one machine, so that
// Dunlin works without anybody setting up a database first.
//
//	cluster, err := pgdev.Start(ctx, pgdev.Config{})
//	…
//	defer cluster.Stop(context.WithoutCancel(ctx))
//	pool, err := pgxpool.New(ctx, cluster.URL("dunlin"))
//
// The server is the one installed on the machine (15 or newer). It listens on a
// unix socket inside a directory that only its user may enter, and on no TCP
// port; there are no passwords, the directory is the boundary. A root user's
// server runs as the user postgres, or else nobody, because PostgreSQL refuses
// to run as root.
//
//   - What is committed is durable, unless the directory is [Config.Throwaway].
//   - The server outlives a killed process, and the next Start takes it over.
//   - Processes that Start in the same directory share one server. The last of
//     them to Stop, or the next to come after all of them died, decides about it.
//   - A Start that cannot go on says which directory, which process, what to do.
//
// It is not a way to run PostgreSQL in production: there are no backups, no
// tuning and no upgrades between major versions.
package pgdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Superuser is the role that URL connects as. It exists in every cluster.
const Superuser = "postgres"

// port names the socket, .s.PGSQL.5432; nothing listens on TCP.
const port = "5432"

// Config says where the server lives and how careful it is.
type Config struct {
	Dir            string       // Holds data, socket, locks and log. Empty means DefaultDir.
	Database       string       // Is created when it is missing. Empty means "dunlin".
	MaxConnections int          // Zero means 100.
	Logger         *slog.Logger // Nil means silence.

	// Throwaway is for data that nobody would miss, as in tests: nothing is
	// flushed to the disk, and a directory that does not start is made anew. A
	// directory is of one kind for good.
	Throwaway bool

	// Bin is the directory of PostgreSQL's programs. Empty means: the ones on
	// the PATH, or where pg_config says, or where Debian, Red Hat, Homebrew and
	// Postgres.app put them.
	Bin string
}

// A Cluster is this process's share in a running server.
type Cluster struct {
	paths  paths
	owner  owner
	logger *slog.Logger
	users  *flock // shared: held for as long as this process uses the server

	stop    sync.Once
	stopErr error
}

// Start returns a share in the server of cfg.Dir, starting the server, or taking
// over one that is still running, as needed. It creates what is missing: the
// directory, the data in it, the database. ctx bounds the start and not the
// server. The caller must [Cluster.Stop].
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	dir := cfg.Dir
	if dir == "" {
		var err error
		if dir, err = DefaultDir(); err != nil {
			return nil, err
		}
	}
	owner, err := currentOwner()
	if err != nil {
		return nil, err
	}
	paths, err := prepare(dir, owner)
	if err != nil {
		return nil, err
	}

	// The gate serializes starts and stops. Whoever holds it alone knows how many
	// share the server, because shares come and go only through it, or by death.
	gate, err := lockGate(ctx, paths.gate, owner)
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	users, err := openLock(paths.users, owner)
	if err != nil {
		return nil, err
	}
	alone, err := users.TryExclusive()
	if err == nil {
		err = users.Shared()
	}
	if err != nil {
		users.Close()
		return nil, fmt.Errorf("lock %s: %w", paths.users, err)
	}

	c := &Cluster{paths: paths, owner: owner, logger: logger, users: users}
	if err := c.start(ctx, cfg, alone); err != nil {
		users.Close()
		return nil, err
	}
	return c, nil
}

// start leaves a server running that suits cfg, with cfg's database in it. The
// caller holds the gate; alone says that no other process shares the server.
func (c *Cluster) start(ctx context.Context, cfg Config, alone bool) error {
	began := time.Now()
	s := server{paths: c.paths, owner: c.owner, bin: cfg.Bin, options: options(cfg, c.paths), throwaway: cfg.Throwaway}
	how, err := s.ensure(ctx, alone)
	if err != nil {
		return err
	}
	database := cfg.Database
	if database == "" {
		database = "dunlin"
	}
	if err := ensureDatabase(ctx, c.URL(Superuser), database); err != nil {
		if alone {
			err = errors.Join(err, s.stop(context.WithoutCancel(ctx)))
		}
		return err
	}
	c.logger.Info("private PostgreSQL is running", "how", how, "dir", c.paths.dir, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// URL is the connection string of one database of the cluster. It holds no
// secret: whoever can enter the directory can connect.
func (c *Cluster) URL(database string) string {
	q := url.Values{"host": {c.paths.socket}, "port": {port}}
	u := url.URL{Scheme: "postgres", User: url.User(Superuser), Path: "/" + database, RawQuery: q.Encode()}
	return u.String()
}

// Dir is the directory that holds everything of the cluster.
func (c *Cluster) Dir() string { return c.paths.dir }

// LogPath is the file that the server writes its log to.
func (c *Cluster) LogPath() string { return c.paths.log }

// Stop gives this process's share back. When it was the last one, the server is
// shut down: sessions are ended, what is committed stays, and Stop returns when
// the server is gone, after at most about 20 seconds. Calling it again does
// nothing and returns the same error.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stop.Do(func() { c.stopErr = c.leave(ctx) })
	return c.stopErr
}

func (c *Cluster) leave(ctx context.Context) error {
	defer c.users.Close() // whatever happens, this process no longer counts
	gate, err := lockGate(ctx, c.paths.gate, c.owner)
	if err != nil {
		return err
	}
	defer gate.Close()
	last, err := c.users.TryExclusive()
	if err != nil {
		return fmt.Errorf("lock %s: %w", c.paths.users, err)
	}
	if !last {
		return nil
	}
	s := server{paths: c.paths, owner: c.owner}
	return s.stop(ctx)
}

// DefaultDir is where the current user's private PostgreSQL lives: for root
// /var/lib/dunlin/postgres, which the server's user can reach, for others
// dunlin/postgres under $XDG_DATA_HOME or ~/.local/share.
func DefaultDir() (string, error) {
	if os.Getuid() == 0 {
		return "/var/lib/dunlin/postgres", nil
	}
	// The XDG specification: a relative path there is to be ignored.
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "dunlin", "postgres"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for a private PostgreSQL: %w; set HOME or XDG_DATA_HOME, or DATABASE_URL to use a server of yours", err)
	}
	return filepath.Join(home, ".local", "share", "dunlin", "postgres"), nil
}
