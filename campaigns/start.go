package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// A Start is what starting a campaign did, or would do.
type Start struct {
	Campaign string `json:"campaign"`
	Version  int    `json:"version"`
	Members  int64  `json:"members"`  // of its segment
	Enrolled int64  `json:"enrolled"` // of them, now
	Passed   int64  `json:"passed"`   // of them, passed over (existing: ignore)
}

// Start starts a draft: the present members of its segment are enrolled or
// passed over, as existing says, and from now on whoever joins is enrolled.
// Starting a campaign that has been started is an error that says so.
func (s *Store) Start(ctx context.Context, tx pgx.Tx, name string, now time.Time) (Start, error) {
	if err := segments.HoldTicks(ctx, tx); err != nil {
		return Start{}, err
	}
	var version int
	var state State
	err := tx.QueryRow(ctx, `select version, state from dunlin.campaigns where name = $1 for update`, name).Scan(&version, &state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Start{}, fmt.Errorf("campaign %q: %w", name, workspace.ErrNotFound)
	case err != nil:
		return Start{}, fmt.Errorf("start campaign %q: %w", name, err)
	case state == Running:
		return Start{}, fmt.Errorf("campaign %q is running already", name)
	case state == Halted:
		return Start{}, fmt.Errorf("campaign %q is paused; go on with: dunlin campaigns resume %s", name, name)
	}
	settings, err := workspace.Load(ctx, tx)
	if err != nil {
		return Start{}, err
	}
	d, err := s.definition(ctx, tx, settings, name, version)
	if err != nil {
		return Start{}, err
	}
	waiting, err := segments.Waiting(ctx, tx)
	if err != nil {
		return Start{}, err
	}
	if waiting[d.Segment] {
		return Start{}, unaccepted(d)
	}
	if !d.EnrollExisting && d.Trigger == "" {
		known, err := membersKnown(ctx, tx, d)
		switch {
		case err != nil:
			return Start{}, err
		case !known:
			return Start{}, fmt.Errorf("campaign %q passes over the members of segment %q (existing: ignore), and who they are is not known yet; start it after the first sync and the next tick (dunlin tick)", d.Name, d.Segment)
		}
	}
	out := Start{Campaign: name, Version: version}
	if err := tx.QueryRow(ctx, `select count(*) from dunlin.segments s join dunlin.members m using (generation) where s.name = $1`, d.Segment).Scan(&out.Members); err != nil {
		return Start{}, fmt.Errorf("count members of %q: %w", d.Segment, err)
	}
	if _, err := tx.Exec(ctx, `update dunlin.campaigns set started_at = $2, scoped_at = $2 where name = $1`, name, now); err != nil {
		return Start{}, fmt.Errorf("start campaign %q: %w", name, err)
	}
	if err := enter(ctx, tx, name, Running, now); err != nil {
		return Start{}, err
	}
	pass := passNobody
	if !d.EnrollExisting {
		pass = passMembers
	}
	if out.Enrolled, _, err = enroll(ctx, tx, d, settings, segments.Tick{At: now, Everyone: true}, pass); err != nil {
		return Start{}, fmt.Errorf("start campaign %q: %w", name, err)
	}
	if !d.EnrollExisting && d.Trigger == "" {
		out.Passed = out.Members
	}
	return out, nil
}

// unaccepted says that nobody has accepted the unusual change of a campaign's
// segment.
func unaccepted(d Definition) error {
	return fmt.Errorf("campaign %q: its segment %q changed unusually; look at it with dunlin segments list, and if it is right, dunlin segments accept %s", d.Name, d.Segment, d.Segment)
}

// Pause makes whatever is planned in a campaign wait, and enrolls nobody.
func Pause(ctx context.Context, tx pgx.Tx, name string, now time.Time) error {
	return setState(ctx, tx, name, Running, Halted, now)
}

// A Resumption is what resuming a campaign did.
type Resumption struct {
	Campaign string `json:"campaign"`
	Woken    int64  `json:"woken"`    // deliveries that waited for it
	Enrolled int64  `json:"enrolled"` // who joined while it was paused
}

// Resume lets a paused campaign go on: what waited for it is decided afresh, and
// whoever joined its segment meanwhile is enrolled.
func (s *Store) Resume(ctx context.Context, tx pgx.Tx, name string, now time.Time) (Resumption, error) {
	out := Resumption{Campaign: name}
	if err := segments.HoldTicks(ctx, tx); err != nil {
		return Resumption{}, err
	}
	if err := setState(ctx, tx, name, Halted, Running, now); err != nil {
		return Resumption{}, err
	}
	tag, err := tx.Exec(ctx, `
		update dunlin.deliveries set due_at = $2, poked_until = null
		where campaign = $1 and state = 'planned' and reason = $3`, name, now, Paused)
	if err != nil {
		return Resumption{}, fmt.Errorf("resume campaign %q: %w", name, err)
	}
	out.Woken = tag.RowsAffected()
	settings, err := workspace.Load(ctx, tx)
	if err != nil {
		return Resumption{}, err
	}
	waiting, err := segments.Waiting(ctx, tx)
	if err != nil {
		return Resumption{}, err
	}
	d, err := s.InForce(ctx, tx, settings, name)
	if errors.As(err, &unreadable{}) || waiting[d.Segment] {
		return out, nil // the tick enrolls when that is mended
	}
	if err != nil {
		return Resumption{}, err
	}
	var paused *time.Time
	if err := tx.QueryRow(ctx, `select max(since) from dunlin.campaign_states where campaign = $1 and state = $2`, name, Halted).Scan(&paused); err != nil {
		return Resumption{}, fmt.Errorf("resume campaign %q: %w", name, err)
	}
	if out.Enrolled, _, err = enroll(ctx, tx, d, settings, segments.Tick{At: now, Since: orZero(paused), Everyone: true}, passNobody); err != nil {
		return Resumption{}, fmt.Errorf("resume campaign %q: %w", name, err)
	}
	return out, nil
}

// Awaken lets everything that waited for a reason that has gone, such as a
// lifted stop, be decided afresh.
func Awaken(ctx context.Context, tx pgx.Tx, reason Reason, now time.Time) error {
	_, err := tx.Exec(ctx, `
		update dunlin.deliveries set due_at = $1, poked_until = null where state = 'planned' and reason = $2`, now, reason)
	if err != nil {
		return fmt.Errorf("awaken deliveries: %w", err)
	}
	return nil
}

func setState(ctx context.Context, tx pgx.Tx, name string, from, to State, now time.Time) error {
	var state State
	err := tx.QueryRow(ctx, `select state from dunlin.campaigns where name = $1 for update`, name).Scan(&state)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("campaign %q: %w", name, workspace.ErrNotFound)
	case err != nil:
		return fmt.Errorf("campaign %q: %w", name, err)
	case state != from:
		return fmt.Errorf("campaign %q is %s, not %s", name, state, from)
	}
	return enter(ctx, tx, name, to, now)
}

// enter sets a state, and keeps since when (every-why).
func enter(ctx context.Context, tx pgx.Tx, name string, to State, now time.Time) error {
	_, err := tx.Exec(ctx, `
		with entered as (update dunlin.campaigns set state = $2 where name = $1 returning name, state)
		insert into dunlin.campaign_states (campaign, state, since) select name, state, $3 from entered`, name, to, now)
	if err != nil {
		return fmt.Errorf("campaign %q: %w", name, err)
	}
	return nil
}
