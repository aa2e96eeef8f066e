package pgdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// gatePatience is how long Start and Stop wait for another process that is
// starting or stopping the same server. Crash recovery may take it that long.
const gatePatience = 90 * time.Second

// A flock is an advisory lock on an open file. The kernel drops it when the
// process dies, however it dies, so a lock is never stale. Children do not
// inherit it, because Go opens files with O_CLOEXEC.
type flock struct{ file *os.File }

func openLock(path string, owner owner) (*flock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := owner.own(path); err != nil {
		file.Close()
		return nil, err
	}
	return &flock{file}, nil
}

// TryExclusive reports whether nobody else holds the lock; if so it is ours. If
// not, a shared lock that was ours before is lost: the kernel converts by
// releasing first.
func (l *flock) TryExclusive() (bool, error) {
	err := l.lock(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Shared takes a shared lock, in exchange for an exclusive one if it had that.
func (l *flock) Shared() error { return l.lock(syscall.LOCK_SH) }

func (l *flock) lock(how int) error {
	for {
		if err := syscall.Flock(int(l.file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// Close gives the lock back.
func (l *flock) Close() { l.file.Close() }

// lockGate waits until no other process is starting or stopping the server. The
// file holds the pid of the last one that did, for the message.
func lockGate(ctx context.Context, path string, owner owner) (*flock, error) {
	gate, err := openLock(path, owner)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(gatePatience)
	for {
		ok, err := gate.TryExclusive()
		if err != nil {
			gate.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if ok {
			gate.sign()
			return gate, nil
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil || time.Now().After(deadline) {
			holder := gate.signature()
			gate.Close()
			return nil, errors.Join(fmt.Errorf("%s is locked by process %s, which is starting or stopping the private PostgreSQL there; wait for it or end it, then try again", path, holder), err)
		}
	}
}

func (l *flock) sign() {
	if l.file.Truncate(0) == nil {
		fmt.Fprintf(io.NewOffsetWriter(l.file, 0), "%d\n", os.Getpid())
	}
}

func (l *flock) signature() string {
	text := make([]byte, 32)
	n, _ := l.file.ReadAt(text, 0)
	if pid := strings.TrimSpace(string(text[:n])); pid != "" {
		return pid
	}
	return "(unknown)"
}

// pause waits for d, or less when ctx ends, whose cause it then returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
