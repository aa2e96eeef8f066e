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

// An Edit is what storing a definition did.
type Edit struct {
	Campaign string
	Stored   bool // false: it is the text in force
	State    State

	// Rescoped says that a campaign which has been started enrolls by another
	// segment, episode or trigger than before: others than those it was started for.
	Rescoped bool
	Enrolled int64 // of who is in that scope by now, at once; while the campaign is paused their steps wait
	Passed   int64 // of them, passed over: existing: ignore, or under way already
}

// A scope is whom a campaign enrolls.
type scope struct {
	segment, trigger string
	episode          Episode
}

func (d *Definition) scope() scope { return scope{d.Segment, d.Trigger, d.Episode} }

// twice reports whether somebody enrolled by one scope may be enrolled by another
// for what is the same to them: a card, an invoice or a subscription has a name of
// its own in both, and entries and days have not.
func (s scope) twice(other scope) bool {
	switch s.episode.Kind {
	case EpisodeCard, EpisodeInvoice, EpisodeSubscription:
		return s.episode.Kind != other.episode.Kind
	}
	return true
}

// Save stores a definition as the next version, unless its text is the one in
// force. Nothing starts, and who is enrolled stays on the version they began with.
// Of a campaign that has been started, another scope means as much as a start: who
// is in it by now is enrolled or passed over, as existing says (no-surprise-blast).
func Save(ctx context.Context, tx pgx.Tx, doc workspace.Document, now time.Time) (Edit, error) {
	edit := Edit{Campaign: doc.Name}
	if err := segments.HoldTicks(ctx, tx); err != nil {
		return edit, err
	}
	tag, err := tx.Exec(ctx, `
		with new as (
			insert into dunlin.campaigns (name, version) values (@name, 1)
			on conflict (name) do update set version = campaigns.version + 1
			where not exists (
				select from dunlin.campaign_versions v
				where v.name = @name and v.version = campaigns.version and v.source = @source)
			returning name, version)
		insert into dunlin.campaign_versions (name, version, source, created_at)
		select name, version, @source, @now from new`,
		pgx.StrictNamedArgs{"name": doc.Name, "source": doc.Source, "now": now})
	if err != nil {
		return edit, fmt.Errorf("save campaign %q: %w", doc.Name, err)
	}
	edit.Stored = tag.RowsAffected() > 0
	var version int
	var before string
	err = tx.QueryRow(ctx, `
		select c.state, c.version, coalesce(v.source, '') from dunlin.campaigns c
		left join dunlin.campaign_versions v on v.name = c.name and v.version = c.version - 1
		where c.name = $1`, doc.Name).Scan(&edit.State, &version, &before)
	if err != nil {
		return edit, fmt.Errorf("save campaign %q: %w", doc.Name, err)
	}
	if !edit.Stored || edit.State == Draft {
		return edit, nil
	}
	settings, err := workspace.Load(ctx, tx)
	if err != nil {
		return edit, err
	}
	d, err := stored{doc.Name, version, doc.Source}.definition(settings)
	if err != nil {
		return edit, err
	}
	was, err := stored{doc.Name, version - 1, before}.definition(settings)
	if err == nil && was.scope() == d.scope() {
		return edit, nil
	}
	edit.Rescoped = true // also when nobody can say any more what it was
	pass := passNobody
	switch {
	case !d.EnrollExisting:
		pass = passMembers
	case d.scope().twice(was.scope()):
		pass = passActive
	}
	edit.Enrolled, edit.Passed, err = rescope(ctx, tx, d, settings, now, pass)
	return edit, err
}

// rescope enrolls, or passes over, who is in a campaign's new scope by now. What has
// happened before does not trigger it.
func rescope(ctx context.Context, tx pgx.Tx, d Definition, settings workspace.Settings, now time.Time, pass passOver) (enrolled, passed int64, err error) {
	if _, err := tx.Exec(ctx, `update dunlin.campaigns set scoped_at = $2 where name = $1`, d.Name, now); err != nil {
		return 0, 0, fmt.Errorf("save campaign %q: %w", d.Name, err)
	}
	if d.Trigger != "" {
		return 0, 0, nil
	}
	waiting, err := segments.Waiting(ctx, tx)
	if err != nil {
		return 0, 0, err
	}
	if waiting[d.Segment] {
		return 0, 0, unaccepted(d)
	}
	known, err := membersKnown(ctx, tx, d)
	if err != nil {
		return 0, 0, err
	}
	if !known {
		return 0, 0, fmt.Errorf("campaign %q has been started, and would be for the members of segment %q, and who they are is not known yet: apply the segment first, and the campaign after the next tick (dunlin tick)", d.Name, d.Segment)
	}
	enrolled, passed, err = enroll(ctx, tx, d, settings, segments.Tick{At: now, Everyone: true}, pass)
	if err != nil {
		return 0, 0, fmt.Errorf("campaign %q: %w", d.Name, err)
	}
	return enrolled, passed, nil
}

// membersKnown reports whether it is known who the members of a campaign's segment
// are: were they passed over before, with the next tick all of them would be new
// (no-surprise-blast).
func membersKnown(ctx context.Context, tx pgx.Tx, d Definition) (known bool, err error) {
	err = tx.QueryRow(ctx, `
		select coalesce(g.version = s.version and s.fault is null and s.told_customer is null and coalesce(g.missed, 'schedule') = 'schedule'
		                and g.accounts @> (select coalesce(array_agg(account_id), '{}') from dunlin.accounts), false)
		from dunlin.segments s left join dunlin.generations g using (generation)
		where s.name = $1`, d.Segment).Scan(&known)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, fmt.Errorf("segment %q of campaign %q: %w", d.Segment, d.Name, workspace.ErrNotFound)
	case err != nil:
		return false, fmt.Errorf("campaign %q: %w", d.Name, err)
	}
	return known, nil
}
