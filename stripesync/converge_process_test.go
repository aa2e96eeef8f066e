package stripesync

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

var errKilled = errors.New("the process was killed")

// A fuse ends a process as kill -9 does, after so many writes to its connections:
// all of them are cut, and nothing it still does reaches anybody. The last write
// may have left, so that a transaction may be committed without an answer.
type fuse struct {
	mu     sync.Mutex
	left   int  // writes until it blows; below zero: it is not lit
	leaves bool // the last write
	blown  bool
	conns  map[net.Conn]bool
	end    context.CancelFunc
}

// light lets it blow after so many writes.
func (f *fuse) light(writes int, leaves bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.leaves = writes, leaves
}

func (f *fuse) blow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.blown {
		return
	}
	f.blown = true
	f.end()
	for c := range f.conns {
		_ = c.Close()
	}
}

func (f *fuse) isBlown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blown
}

// spend counts one write, and says whether it is the last one.
func (f *fuse) spend() (last, leaves bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left--
	return f.left == 0, f.leaves
}

func (f *fuse) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.blown {
		_ = c.Close()
		return nil, errKilled
	}
	f.conns[c] = true
	return &fusedConn{c, f}, nil
}

type fusedConn struct {
	net.Conn
	fuse *fuse
}

func (c *fusedConn) Write(b []byte) (int, error) {
	last, leaves := c.fuse.spend()
	if !last {
		return c.Conn.Write(b)
	}
	if leaves {
		_, _ = c.Conn.Write(b)
	}
	c.fuse.blow()
	return 0, errKilled
}

// A process is a Sync with connections and a database pool of its own.
type process struct {
	*Sync
	ctx  context.Context // ends with it
	fuse *fuse
	pool *pgxpool.Pool
	hook http.Handler
}

// startProcess starts one over a database, against a Stripe. It waits at no
// backoff: virtual hours pass between its attempts.
func startProcess(t *testing.T, url string, config Config) *process {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	p := &process{ctx: ctx, fuse: &fuse{left: -1, conns: map[net.Conn]bool{}, end: end}}
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	c.MaxConns = 6
	c.ConnConfig.DialFunc = p.fuse.dial
	if p.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), c); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: p.fuse.dial, MaxIdleConnsPerHost: 16}
	config.Pool, config.HTTP = p.pool, &http.Client{Timeout: 2 * time.Second, Transport: transport}
	if p.Sync, err = New(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	p.stripe.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	p.hook = p.Handler()
	t.Cleanup(func() {
		p.fuse.blow()
		p.Close()
		p.pool.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// ServeHTTP is the process's webhook endpoint. Of a dead one nobody hears, even
// when it had stored the event.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.fuse.isBlown() {
		panic(http.ErrAbortHandler)
	}
	p.hook.ServeHTTP(w, r)
	if p.fuse.isBlown() {
		panic(http.ErrAbortHandler)
	}
}
