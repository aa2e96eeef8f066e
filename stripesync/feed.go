package stripesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// Stripe keeps its list of events for thirty days and may show an event some
// seconds late (facts/stripe.md 2.6).
const (
	eventsPath = "/v1/events"
	feedKeeps  = 29 * 24 * time.Hour // a day less, for what goes on meanwhile
	feedAgain  = 2 * time.Minute     // is read again each time
	feedLate   = 10 * time.Second    // an event may be missing from the list for so long
	feedSlice  = 6 * time.Hour       // of the list is read before it is noted
	feedOnWay  = time.Minute         // a webhook may be on its way for so long
)

// Caught is what a catch-up found.
type Caught struct {
	Until  time.Time // Stripe's clock: what Stripe told up to here is stored. Zero: no sync has finished yet.
	Events int64     // of the list that are about what we mirror
	Lost   int64     // of them: no webhook had brought them, a minute and more after they happened
	Gap    bool      // events are lost for good: the lists have to be read again
}

// CatchUp stores what Stripe's list of events has and no webhook has brought,
// from where the last one ended, slice by slice, so that one that was broken off
// goes on near there (nothing-lost). After an outage longer than Stripe keeps its
// list, it notes that the lists have to be read again, which Backfill does; until
// then the data's age grows and shows it (honest-mirror). Several processes may
// call it: all but one return at once, with what is known.
func (s *Sync) CatchUp(ctx context.Context) (Caught, error) {
	unlock, err := s.lockSession(ctx, feedSpace)
	if errors.Is(err, ErrRunning) {
		feed, err := s.Feed(ctx)
		return Caught{Until: feed.Until, Gap: feed.Resync != ""}, err
	}
	return s.catchUpLocked(ctx, unlock, err)
}

// catchUpAfter waits until nobody else catches up, and then does.
func (s *Sync) catchUpAfter(ctx context.Context) (Caught, error) {
	unlock, err := s.waitSession(ctx, feedSpace)
	return s.catchUpLocked(ctx, unlock, err)
}

func (s *Sync) catchUpLocked(ctx context.Context, unlock func(), err error) (Caught, error) {
	if err != nil {
		return Caught{}, fmt.Errorf("catch up with Stripe: %w", err)
	}
	defer unlock()
	defer s.recordReads(ctx)
	caught, err := s.catchUp(ctx)
	if err != nil {
		return caught, fmt.Errorf("catch up with Stripe: %w", err)
	}
	if caught.Lost > 0 {
		s.logger.Warn("events found that no webhook brought", "account", s.name, "events", caught.Lost, "of", caught.Events)
	}
	return caught, nil
}

func (s *Sync) catchUp(ctx context.Context) (Caught, error) {
	feed, err := s.Feed(ctx)
	out := Caught{Until: feed.Until, Gap: feed.Resync != ""}
	if err != nil || out.Until.IsZero() || out.Gap {
		return out, err
	}
	if now := s.now(); now.Sub(out.Until) > feedKeeps {
		out.Gap = true
		why := fmt.Sprintf("nothing was heard of Stripe from %s to %s, and Stripe keeps its events for 30 days",
			out.Until.Format(time.RFC3339), now.Format(time.RFC3339))
		s.logger.Error("events are lost: the lists are read again", "account", s.name, "why", why)
		_, err := s.pool.Exec(ctx, `update dunlin.accounts set resync = $2 where account_id = $1`, s.account, why)
		return out, err
	}
	for last := false; !last; {
		var until time.Time
		if until, last, err = s.readSlice(ctx, &out); err != nil {
			return out, err
		}
		if !until.After(out.Until) {
			break // the clocks stand still
		}
		_, err := s.pool.Exec(ctx, `
			update dunlin.accounts set feed_until = greatest(feed_until, $2) where account_id = $1`, s.account, until)
		if err != nil {
			return out, err
		}
		out.Until = until
	}
	return out, nil
}

// readSlice stores the events of the next hours, newest first, and returns up to
// where the list is known after it, and whether that is all of it.
func (s *Sync) readSlice(ctx context.Context, out *Caught) (until time.Time, last bool, err error) {
	created := stripe.RangeQueryParams{GreaterThanOrEqual: out.Until.Add(-feedAgain).Unix()}
	end := out.Until.Add(feedSlice)
	if end.Before(s.now().Add(-feedSlice)) {
		created.LesserThan = end.Unix()
	} else {
		last = true
	}
	cursor := ""
	for {
		params := &stripe.EventListParams{CreatedRange: &created, ListParams: stripe.ListParams{Limit: stripe.Int64(pageSize)}}
		if cursor != "" {
			params.StartingAfter = stripe.String(cursor)
		}
		query := &form.Values{}
		form.AppendTo(query, params)
		got, err := s.stripe.get(ctx, eventsPath, query, pageTries)
		if err != nil {
			return until, last, err
		}
		body, err := readList(eventsPath, got.raw)
		if err != nil {
			return until, last, err
		}
		if until.IsZero() { // the first page: what comes now comes before it
			until = got.asOf.Add(-feedLate)
			if !last {
				until = end
			}
		}
		if cursor, err = s.storeListed(ctx, body, got.asOf, out); err != nil {
			return until, last, err
		}
		if !body.HasMore || cursor == "" {
			return until, last, nil
		}
	}
}

// storeListed stores the events of a page that are about what we mirror, and
// returns the id of the last one. An event that cannot be read is left out: its
// webhook would be refused, too.
func (s *Sync) storeListed(ctx context.Context, body listBody, asOf time.Time, out *Caught) (last string, err error) {
	var late, fresh []event
	for _, raw := range body.Data {
		e, err := readEvent(raw)
		if err != nil {
			s.logger.Warn("an event of Stripe's list cannot be read", "account", s.name, "error", err)
			if h, err := readHead(raw); err == nil {
				last = h.id
			}
			continue
		}
		last = e.ID
		switch {
		case e.Class == "":
		case e.Created.Before(asOf.Add(-feedOnWay)):
			late = append(late, e)
		default:
			fresh = append(fresh, e)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*storeTimeout)
	defer cancel()
	for i, batch := range [][]event{late, fresh} {
		if len(batch) == 0 {
			continue
		}
		stored, err := s.insert(ctx, batch)
		if err != nil {
			return last, err
		}
		if out.Events += int64(len(batch)); i == 0 {
			out.Lost += stored
		}
	}
	return last, nil
}

// newestEvent asks for one event, whichever it is.
func newestEvent() *form.Values {
	query := &form.Values{}
	form.AppendTo(query, &stripe.EventListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(1)}})
	return query
}

// CatchUpAtMost is how often the list of events is asked for where reads abound.
const CatchUpAtMost = 5 * time.Minute

// CatchUpEvery is how often it is worth asking for the list of events: each time
// is a read, of which an account with few charges has few (facts/stripe.md 2.7).
func (u ReadUse) CatchUpEvery() time.Duration {
	switch {
	case u.Saving():
		return time.Hour
	case u.Allowed < 50_000:
		return 15 * time.Minute
	}
	return CatchUpAtMost
}

// A Feed is how far the mirror is known to follow Stripe.
type Feed struct {
	Until    time.Time // Stripe's clock: every event up to here is stored. Zero: no sync has finished yet.
	Waiting  int64     // events that are stored and not applied
	Oldest   time.Time // the oldest of those; zero: there are none
	Resync   string    // why the lists have to be read again; empty: they need not
	Synced   time.Time // when the first sync finished; zero: it has not
	Compared time.Time // when the mirror was last compared with Stripe; zero: never
}

// Known is the instant up to which everything Stripe has told is in the mirror:
// the data's age is the time since then. Zero: nothing is known.
func (f Feed) Known() time.Time {
	if f.Oldest.IsZero() || f.Until.IsZero() || f.Until.Before(f.Oldest) {
		return f.Until
	}
	return f.Oldest
}

// Feed reads how far the account's mirror is.
func (s *Sync) Feed(ctx context.Context) (f Feed, err error) {
	var until, oldest, synced, compared *time.Time
	err = s.pool.QueryRow(ctx, `
		select a.feed_until, coalesce(a.resync, ''), e.n, e.oldest, a.ready_at,
		       (select max(compared_at) from dunlin.stripe_comparisons c where c.account_id = a.account_id)
		from dunlin.accounts a
		cross join lateral (
			select count(*) as n, min(created) as oldest from dunlin.stripe_events e
			where e.account_id = a.account_id and e.state = 'stored' and e.class <> '') e
		where a.account_id = $1`, s.account).Scan(&until, &f.Resync, &f.Waiting, &oldest, &synced, &compared)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("there is no account %q", s.name)
	}
	if err != nil {
		return Feed{}, fmt.Errorf("read how far the mirror is: %w", err)
	}
	for to, from := range map[*time.Time]*time.Time{&f.Until: until, &f.Oldest: oldest, &f.Synced: synced, &f.Compared: compared} {
		if from != nil {
			*to = from.UTC()
		}
	}
	return f, nil
}
