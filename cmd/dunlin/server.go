package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/migrations"
)

// handler is the HTTP half: webhooks in, health out.
func (p *product) handler() http.Handler {
	mux := http.NewServeMux()
	for _, s := range p.stripe {
		mux.Handle("POST "+hookPath(s.Name()), s.Handler())
	}
	mux.Handle("/webhooks/intercom", &intercom.Webhooks{
		Pool: p.Pool, Secret: p.Env.IntercomKey, Now: p.Now, Logger: p.Logger, Stored: p.poker.Tickets,
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", p.readyz)
	return mux
}

// readyz answers 200 when the database answers and has the tables of this
// binary.
func (p *product) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	missing, err := migrations.Pending(ctx, p.Pool)
	switch {
	case err != nil:
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
	case len(missing) > 0:
		http.Error(w, fmt.Sprintf("%d migrations are missing; run dunlin migrate", len(missing)), http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ready")
	}
}

// serveHTTP serves until ctx ends, then lets requests finish for ten seconds.
func serveHTTP(ctx context.Context, listener net.Listener, h http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		return fmt.Errorf("stop HTTP: %w", err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}
