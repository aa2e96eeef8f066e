package stripesync

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	maxBody = 1 << 20 // bytes; Stripe's events are a few kilobytes

	// storeTimeout bounds one insert, getting a connection included, and patience
	// the whole wait of a delivery: an insert under way, then its own.
	storeTimeout = 3 * time.Second
	patience     = 5 * time.Second
)

// Handler answers one webhook delivery:
//
//	200  the event is durable, now or since an earlier delivery
//	400  the signature is wrong or old, or the body is no event; nothing is stored
//	405  not a POST
//	413  the body is larger than 1 MiB
//	503  the event could not be stored, or there is no secret to check it with; Stripe sends it again
//
// invoice.created that cannot be stored is answered 200, counted and logged: a
// refusal would delay the customer's invoice by up to three days (safe-webhooks).
// Timeouts of reading and writing are the server's.
func (s *Sync) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "Stripe's deliveries are posted", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				s.refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB")
			} else {
				s.refuse(w, http.StatusBadRequest, "the body could not be read")
			}
			return
		}
		if len(s.secrets) == 0 {
			s.counts.turned.Add(1)
			s.logger.Error("webhook not checked", "account", s.name, "reason", "no signing secret is configured")
			http.Error(w, "this endpoint has no signing secret; set "+s.secretName, http.StatusServiceUnavailable)
			return
		}
		if err := verify(body, r.Header.Get("Stripe-Signature"), s.secrets, s.secretName, s.now()); err != nil {
			s.refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		event, err := readEvent(body)
		if err != nil {
			s.refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		s.accept(w, r, event)
	})
}

func (s *Sync) accept(w http.ResponseWriter, r *http.Request, event event) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	err := s.inbox.put(ctx, event)
	var unusable *unusableError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case r.Context().Err() != nil: // nobody is there to answer
	case errors.As(err, &unusable):
		s.refuse(w, http.StatusBadRequest, unusable.Error())
	case event.Type == "invoice.created":
		s.counts.unstored.Add(1)
		s.logger.Error("invoice.created answered without being stored", "account", s.name, "event", event.ID, "error", err)
		w.WriteHeader(http.StatusOK)
	default:
		s.counts.turned.Add(1)
		s.logger.Error("event not stored", "account", s.name, "event", event.ID, "error", err)
		http.Error(w, "the event could not be stored; send it again", http.StatusServiceUnavailable)
	}
}

// refuse answers a delivery that is wrong, with one line that says how.
func (s *Sync) refuse(w http.ResponseWriter, status int, reason string) {
	s.counts.refused.Add(1)
	s.logger.Warn("webhook refused", "account", s.name, "status", status, "reason", reason)
	http.Error(w, reason, status)
}
