package intercom

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tcp starts a server that speaks to each connection as talk does. It returns
// its address and how many connections it took.
func tcp(t testing.TB, talk func(net.Conn)) (string, *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	var taken atomic.Int32
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			go func() {
				defer conn.Close()
				talk(conn)
			}()
		}
	}()
	return ln.Addr().String(), &taken
}

// reset closes a connection so that the other side sees a reset, not an end.
func reset(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

// swallow reads one whole request.
func swallow(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
	}
}

// How a connection can fail, and what must be believed of the message then.
func TestOutcome_OfBrokenConnections(t *testing.T) {
	t.Parallel()
	const created = `{"type":"admin_message","id":"19"}`
	hang := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) } // until the client gives up
	tests := []struct {
		name string
		talk func(net.Conn)
		want string
	}{
		{"reset while the request arrives", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); reset(c) }, "unknown"},
		{"reset after reading", func(c net.Conn) { swallow(c); reset(c) }, "unknown"},
		{"closed after reading", func(c net.Conn) { swallow(c) }, "unknown"},
		{"no answer in time", hang, "unknown"},
		{"headers, then no body in time", func(c net.Conn) {
			swallow(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n")
			hang(c)
		}, "unknown"},
		{"cut inside the body", func(c net.Conn) {
			swallow(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n"+created[:20])
		}, "unknown"},
		{"half a JSON document", func(c net.Conn) {
			swallow(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"+created[:20])
		}, "unknown"},
		{"200 without an id", func(c net.Conn) {
			swallow(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}, "unknown"},
		{"not HTTP", func(c net.Conn) { swallow(c); _, _ = io.WriteString(c, "220 mail ready\r\n") }, "unknown"},
		{"reset inside an error's body", func(c net.Conn) {
			swallow(c)
			_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\n{")
			reset(c)
		}, "refused"},
		{"all is well", func(c net.Conn) {
			swallow(c)
			_, _ = io.WriteString(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(created), created))
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, taken := tcp(t, tt.talk)
			c := newTestClient(t, "http://"+addr)
			if strings.Contains(tt.name, "in time") {
				c.writeTimeout = 300 * time.Millisecond
			}
			err := sendMessage(t.Context(), c)
			if got := classes(err); got != tt.want {
				t.Errorf("class\n got %q of %v\nwant %q", got, err, tt.want)
			}
			if taken.Load() != 1 {
				t.Errorf("%d connections were made for one message", taken.Load())
			}
		})
	}
}

// What fails before the request can leave is not sent, whoever is to blame.
func TestOutcome_NotSent(t *testing.T) {
	t.Parallel()
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refusing.Close()

	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") }))
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	mute, _ := tcp(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	rude, _ := tcp(t, reset)

	dials := func(f func(context.Context) (net.Conn, error)) func(*Config) {
		return func(cfg *Config) {
			tr := transport()
			tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return f(ctx) }
			cfg.HTTP = &http.Client{Transport: tr}
		}
	}
	tests := []struct {
		name   string
		base   string
		change func(*Config)
	}{
		{"connection refused", "http://" + refusing.Addr().String(), func(*Config) {}},
		{"unknown host", "https://api.intercom.io", dials(func(context.Context) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "api.intercom.io", IsNotFound: true}
		})},
		{"no connection in time", "https://api.intercom.io", dials(func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})},
		{"certificate of a stranger", stranger.URL, func(*Config) {}},
		{"handshake is reset", "https://" + rude, func(*Config) {}},
		{"handshake does not end", "https://" + mute, func(*Config) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newTestClient(t, tt.base, tt.change)
			c.writeTimeout = 300 * time.Millisecond
			err := sendMessage(t.Context(), c)
			if got := classes(err); got != "not sent" {
				t.Errorf("class\n got %q of %v\nwant not sent", got, err)
			}
			if RateLimited(err) {
				t.Error("RateLimited is true")
			}
		})
	}
}

func TestOutcome_OfCancelledCalls(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	err := sendMessage(ctx, newTestClient(t, base))
	if classes(err) != "unknown" || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after it left: %v", err)
	}
	err = sendMessage(ctx, newTestClient(t, base))
	if classes(err) != "not sent" || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before it left: %v", err)
	}
}

// A transport that does not report its connections leaves everything in doubt.
func TestOutcome_OfSilentTransports(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	c := newTestClient(t, "https://api.intercom.io", func(cfg *Config) {
		cfg.HTTP = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, broken })}
	})
	if err := sendMessage(t.Context(), c); classes(err) != "unknown" || !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A connection that the server closed while it was idle is replaced without the
// message leaving twice.
func TestOutcome_IdleConnectionClosed(t *testing.T) {
	t.Parallel()
	var posts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		answer(w, 200, `{"id":"1"}`)
	}))
	t.Cleanup(server.Close)
	c := newTestClient(t, server.URL)
	if _, err := c.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.CloseClientConnections()
	err := sendMessage(t.Context(), c)
	if got := posts.Load(); got > 1 || (err == nil) != (got == 1) {
		t.Errorf("%d posts arrived, error %v", got, err)
	}
	if err != nil && !Unknown(err) {
		t.Errorf("want success or doubt, got %v", err)
	}
}
