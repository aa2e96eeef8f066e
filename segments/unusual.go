package segments

import (
	"context"
	"errors"
	"fmt"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/workspace"
)

// usual is how many members a segment had at an instant, to compare with.
type usual struct {
	members int64
	at      time.Time // zero: not known
}

// usualFor is for how long a number of members is what a change is compared
// with: what takes longer is growth, not a jump.
const usualFor = time.Hour

// watch makes a segment's campaigns wait when it suddenly empties or balloons
// and nobody has changed it: more often than not the data is wrong, and messages
// cannot be taken back (no-surprise-blast). Membership itself stays exact. What
// time alone moves is left out: at the beginning of a month many cards are about
// to expire, and that is right.
func (e *evaluation) watch(ctx context.Context, s *state, before int64) error {
	was, waits := s.usual, s.Waits
	now := s.members()
	s.usual.members += s.byTime
	switch {
	case s.flipped && expected[s.live.Why] || was.at.IsZero():
		s.usual = usual{now, e.tick.At}
	case e.tick.At.Sub(was.at) >= usualFor && now != before:
		s.usual = usual{before + s.byTime, e.tick.At}
	}
	jumped := Unusual(e.settings, s.usual.members, now)
	if jumped && s.flipped {
		// A list that was built anew names nobody: what would its rule have said of
		// today's customers when the list before was exact?
		then, err := e.countAt(ctx, s.live, s.exactAt)
		if err != nil {
			return err
		}
		s.usual.members += now - then
		jumped = Unusual(e.settings, s.usual.members, now)
	}
	if s.expects.After(e.tick.At) && (jumped || s.flipped || Unusual(e.settings, before, before+s.come) || Unusual(e.settings, before, before-s.gone)) {
		if s.Waits != "" {
			s.Waits, e.tick.Whole[s.Name] = "", true
		}
		s.usual, s.expects, jumped = usual{now, e.tick.At}, time.Time{}, false
	}
	if s.Waits == "" && jumped {
		s.Waits = fmt.Sprintf("%d members became %d at %s, and the segment was not edited",
			s.usual.members, now, e.tick.At.In(e.settings.Zone).Format("2006-01-02 15:04"))
		e.logger.Error("unusual change; its campaigns wait", "segment", s.Name, "members_before", s.usual.members, "members", now)
	}
	e.settleWaits(s, was, waits)
	return nil
}

// countAt is how many customers, as they are, a list's rule was true for at an
// instant.
func (e *evaluation) countAt(ctx context.Context, g *generation, at time.Time) (n int64, err error) {
	then := e.env
	then.Now = at
	cond, err := Compile(g.rule, then, nil)
	if err != nil {
		return 0, err
	}
	sql, args, err := sq.Select("count(*)").From("dunlin.customers c").Where("c.account_id = any(?)", g.Ready).Where(cond).
		PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		return 0, fmt.Errorf("compile: %w", err)
	}
	if err := e.tx.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count at an earlier instant: %w", err)
	}
	return n, nil
}

func (e *evaluation) settleWaits(s *state, was usual, waits string) {
	if s.usual == was && s.Waits == waits && !s.accepted {
		return
	}
	e.last.Queue(`
		update dunlin.segments set usual = $2, usual_at = $3, waits = nullif($4, ''), accepted = false, expects_until = nullif($5, '0001-01-01Z'::timestamptz) where name = $1`,
		s.Name, s.usual.members, s.usual.at, s.Waits, s.expects)
}

// Unusual says whether a change of a segment's size is out of the workspace's
// band: by more customers, and by more of its members, than the settings say.
func Unusual(s workspace.Settings, before, after int64) bool {
	change := max(after-before, before-after)
	return change > s.UnusualCustomers && change*100 > before*s.UnusualShare
}

// Waiting returns the segments whose campaigns wait.
func Waiting(ctx context.Context, q workspace.Querier) (map[string]bool, error) {
	rows, err := q.Query(ctx, `select name from dunlin.segments where waits is not null`)
	if err != nil {
		return nil, fmt.Errorf("look for segments that wait: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	waiting := map[string]bool{}
	for _, n := range names {
		waiting[n] = true
	}
	return waiting, err
}

// expectedFor is for how long an accepted change may take to come.
const expectedFor = 24 * time.Hour

// Expect says that the next change of a segment may be of any size: somebody has
// seen who would enter and leave, and wants it.
func Expect(ctx context.Context, tx pgx.Tx, name string, now time.Time) error {
	if _, err := tx.Exec(ctx, `update dunlin.segments set expects_until = $2 where name = $1`, name, now.Add(expectedFor)); err != nil {
		return fmt.Errorf("expect a change of segment %q: %w", name, err)
	}
	return nil
}

// Accept ends the wait of a segment's campaigns after an unusual change: with
// the next tick they follow its members as they are.
func Accept(ctx context.Context, tx pgx.Tx, name string) error {
	var waits string
	err := tx.QueryRow(ctx, `select coalesce(waits, '') from dunlin.segments where name = $1 for update`, name).Scan(&waits)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("segment %q: %w", name, workspace.ErrNotFound)
	case err != nil:
		return fmt.Errorf("accept the change of segment %q: %w", name, err)
	case waits == "":
		return fmt.Errorf("segment %q does not wait for anybody", name)
	}
	if _, err := tx.Exec(ctx, `update dunlin.segments set waits = null, accepted = true where name = $1`, name); err != nil {
		return fmt.Errorf("accept the change of segment %q: %w", name, err)
	}
	return nil
}
