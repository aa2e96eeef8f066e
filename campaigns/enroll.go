package campaigns

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// Enroll looks at every customer; see [Store.Follow].
func (s *Store) Enroll(ctx context.Context, tx pgx.Tx, at time.Time) (int64, error) {
	return s.Follow(ctx, tx, segments.Tick{At: at, Everyone: true})
}

// Follow brings the enrollments of every started campaign up to the members of
// its segment: members whose episode has no enrollment get one, with a planned
// delivery for each step, and enrollments whose reason has gone are ended. It
// runs in the transaction of the tick that changed the members, set-based, for
// the customers the tick names, and returns how many enrollments it made.
func (s *Store) Follow(ctx context.Context, tx pgx.Tx, t segments.Tick) (int64, error) {
	settings, err := workspace.Load(ctx, tx)
	if err != nil {
		return 0, err
	}
	active, err := s.activeVersions(ctx, tx, settings)
	if err != nil {
		return 0, err
	}
	waiting, err := segments.Waiting(ctx, tx)
	if err != nil {
		return 0, err
	}
	for _, d := range active {
		if waiting[d.Segment] {
			continue // until somebody has accepted its unusual change
		}
		if !d.NeverExit && concerns(t, d) {
			if err := end(ctx, tx, d, t); err != nil {
				return 0, fmt.Errorf("campaign %q: %w", d.Name, err)
			}
		}
		if d.Anchor != "" && (t.Everyone || t.Whole[d.Segment] || len(t.Changed) > 0) {
			if err := reschedule(ctx, tx, d, settings, t); err != nil {
				return 0, fmt.Errorf("campaign %q: %w", d.Name, err)
			}
		}
	}
	running, err := s.running(ctx, tx, settings)
	if err != nil {
		return 0, err
	}
	var enrolled int64
	t.Everyone = t.Everyone || t.NewHour // every so many days, or after a pause, somebody may be due who has not changed
	for _, d := range running {
		if waiting[d.Segment] || !concerns(t, d) {
			continue
		}
		n, err := enroll(ctx, tx, d, settings, t, false)
		if err != nil {
			return 0, fmt.Errorf("campaign %q: %w", d.Name, err)
		}
		enrolled += n
	}
	return enrolled, nil
}

// concerns reports whether a tick may begin or end enrollments of a campaign:
// somebody joined or left its segment, or began another episode there.
func concerns(t segments.Tick, d Definition) bool {
	return t.Everyone || t.Whole[d.Segment] || t.Moved[d.Segment] > 0
}

// amongSQL narrows a statement to the customers a tick names: those that
// changed, and those that joined or left the segment or began another episode
// there. x is an alias.
func amongSQL(t segments.Tick, d Definition, x string) string {
	if t.Everyone || t.Whole[d.Segment] {
		return "true"
	}
	return `(` + x + `.account_id, ` + x + `.customer_id) in (
		select * from unnest(@accounts::int[], @customers::bigint[])
		union all
		select account_id, customer_id from dunlin.membership_log where tick_id = @tick and segment = @segment)`
}

// amongArgs are the arguments of amongSQL.
func amongArgs(t segments.Tick, args pgx.NamedArgs) pgx.NamedArgs {
	args["accounts"], args["customers"] = segments.Columns(t.Changed)
	args["tick"] = t.ID
	return args
}

// episodeSQL is the present episode of a member: a text that names it, null
// while there is none. A card is a payment method and its expiry.
func episodeSQL(e Episode) string {
	switch e.Kind {
	case EpisodeCard:
		return `c.card_id || ' ' || to_char(c.card_expires_at, 'YYYY-MM-DD')`
	case EpisodeEvery:
		// Never more often than every so many days: the members not enrolled in
		// that time begin the episode named by today's instant.
		return `case when not exists (
			select from dunlin.enrollments e
			where e.account_id = m.account_id and e.customer_id = m.customer_id and e.campaign = @campaign
			  and e.enrolled_at > @at::timestamptz - @every::int * interval '24 hours')
			then 'from ' || to_char(@at::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end`
	default:
		return `'entry ' || to_char(m.joined_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`
	}
}

// anchorSQL is the instant that step offsets count from; a date begins at the
// first midnight of the day in the workspace's zone. Where clocks go back over
// midnight there are two, and Postgres takes the second.
func anchorSQL(d Definition) string {
	if d.Anchor == "" {
		return `starts_at`
	}
	column := pgx.Identifier{"c", d.Anchor}.Sanitize()
	if anchorIsDate(d.Anchor) {
		midnight := `(` + column + `::timestamp at time zone @zone)`
		return `(` + midnight + ` - case when (` + midnight + ` - interval '1 hour') at time zone @zone = ` + column + `::timestamp then interval '1 hour' else interval '0' end)`
	}
	return column
}

// enroll makes the missing enrollments of one campaign. When passOver is set
// they are made as ended at once: members from before the campaign's start.
func enroll(ctx context.Context, tx pgx.Tx, d Definition, settings workspace.Settings, t segments.Tick, passOver bool) (int64, error) {
	args := pgx.NamedArgs{
		"campaign": d.Name, "version": d.Version, "segment": d.Segment, "at": t.At,
		"every": d.Episode.Every, "zone": settings.Zone.String(), "pass_over": passOver, "already": AlreadyMember, "superseded": Superseded, "reentry": ReentryWait,
		"reenter_hours": 0, "by_entry": d.Episode.Kind == EpisodeEntry,
	}
	if d.Episode.Kind == EpisodeEntry {
		args["reenter_hours"] = int(ReenterAfter / time.Hour)
	}
	addSteps(args, d)

	var n int64
	err := tx.QueryRow(ctx, `
		with current as (
			select m.account_id, m.customer_id, m.joined_at, `+episodeSQL(d.Episode)+` as episode,
			       greatest(@at::timestamptz, (
			           select max(e.ended_at) + @reenter_hours::int * interval '1 hour' from dunlin.enrollments e
			           where @reenter_hours::int > 0 and e.account_id = m.account_id and e.customer_id = m.customer_id
			             and e.campaign = @campaign and e.state <> 'active')) as starts_at
			from dunlin.members m
			join dunlin.customers c using (account_id, customer_id)
			where m.generation = (select generation from dunlin.segments where name = @segment) and `+amongSQL(t, d, "m")+`),
		fresh as (
			insert into dunlin.enrollments (account_id, customer_id, campaign, episode, version, state, reason, enrolled_at, starts_at, ended_at)
			select account_id, customer_id, @campaign, episode, @version,
			       case when @pass_over then 'exited' else 'active' end,
			       case when @pass_over then @already::text end,
			       @at::timestamptz, starts_at, case when @pass_over then @at::timestamptz end
			from current x
			where episode is not null and not exists (
				select from dunlin.enrollments e
				where e.account_id = x.account_id and e.customer_id = x.customer_id and e.campaign = @campaign
				  and (e.episode = x.episode
				       -- Who left and came back while enrolled has not entered again.
				       or @by_entry and e.enrolled_at <= x.joined_at and (e.ended_at is null or e.ended_at > x.joined_at)))
			returning account_id, customer_id, episode, starts_at, state),
		timed as (
			select f.account_id, f.customer_id, f.episode, f.starts_at, s.step, s.action, s.expires,
			       `+anchorSQL(d)+` + s.at as own_time
			from fresh f
			join dunlin.customers c using (account_id, customer_id)
			cross join `+stepsSQL+`
			where f.state = 'active'),
		planned as (
			select *, greatest(own_time, starts_at) as scheduled_at,
			       -- Of the steps whose time has passed only the latest is kept.
			       own_time <= starts_at and own_time < max(own_time) filter (where own_time <= starts_at)
			           over (partition by account_id, customer_id, episode) as late
			from timed),
		deliveries as (
			insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, state, reason,
			                               scheduled_at, due_at, expires_at, ended_at)
			select account_id, customer_id, @campaign, episode, step, action,
			       case when late then 'skipped' else 'planned' end,
			       case when late then @superseded::text when starts_at > @at::timestamptz then @reentry::text end,
			       case when own_time is not null then scheduled_at end,
			       -- Without an anchor it waits for one, named, and is decided now and then.
			       case when own_time is null then @at::timestamptz else scheduled_at end,
			       case when own_time is not null then scheduled_at + expires end,
			       case when late then @at::timestamptz end
			from planned
			on conflict on constraint deliveries_one_contact do nothing)
		select count(*) filter (where state = 'active') from fresh`, amongArgs(t, args)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("enroll: %w", err)
	}
	return n, nil
}

// end closes the enrollments whose reason has gone: the customer left the
// segment, or another card took the place of the one they are about. Their
// planned deliveries are skipped with the same reason (no-stale-contact); what
// is claimed finishes.
func end(ctx context.Context, tx pgx.Tx, d Definition, t segments.Tick) error {
	_, err := tx.Exec(ctx, `
		with over as (
			select e.account_id, e.customer_id, e.episode,
			       case when m.customer_id is null then @left_segment else @episode_over end as reason
			from dunlin.enrollments e
			join dunlin.customers c using (account_id, customer_id)
			left join dunlin.members m on m.account_id = e.account_id and m.customer_id = e.customer_id and m.generation = (select generation from dunlin.segments where name = @segment)
			where e.campaign = @campaign and e.state = 'active' and e.version = @version and `+amongSQL(t, d, "e")+`
			  and (m.customer_id is null or (@by_card and e.episode is distinct from `+episodeSQL(Episode{Kind: EpisodeCard})+`))
			order by e.account_id, e.customer_id, e.episode
			for update of e),
		ended as (
			update dunlin.enrollments e set state = 'exited', reason = o.reason, ended_at = @at
			from over o
			where e.account_id = o.account_id and e.customer_id = o.customer_id and e.campaign = @campaign and e.episode = o.episode)
		update dunlin.deliveries d set state = 'skipped', reason = o.reason, ended_at = @at
		from over o
		where d.account_id = o.account_id and d.customer_id = o.customer_id and d.campaign = @campaign and d.episode = o.episode
		  and d.state = 'planned'`,
		amongArgs(t, pgx.NamedArgs{
			"campaign": d.Name, "segment": d.Segment, "at": t.At, "by_card": d.Episode.Kind == EpisodeCard, "version": d.Version,
			"left_segment": LeftSegment, "episode_over": EpisodeOver,
		}))
	if err != nil {
		return fmt.Errorf("end enrollments: %w", err)
	}
	return nil
}

// addSteps gives a query the steps of a definition, for [stepsSQL].
func addSteps(args pgx.NamedArgs, d Definition) {
	steps, actions, offsets, expires := make([]string, 0, len(d.Steps)), []string{}, []time.Duration{}, []time.Duration{}
	for _, s := range d.Steps {
		steps, actions = append(steps, s.Name), append(actions, string(s.Action))
		offsets, expires = append(offsets, length(s.At)), append(expires, length(s.Expires))
	}
	args["steps"], args["actions"], args["offsets"], args["expires"] = steps, actions, offsets, expires
}

const stepsSQL = `unnest(@steps::text[], @actions::text[], @offsets::interval[], @expires::interval[]) as s (step, action, at, expires)`

// reschedule moves planned deliveries with their anchor, when the attribute
// they count from has changed or has come into being. As at enrollment, of the
// steps whose time has passed by that only the latest is kept.
func reschedule(ctx context.Context, tx pgx.Tx, d Definition, settings workspace.Settings, t segments.Tick) error {
	args := pgx.NamedArgs{
		"campaign": d.Name, "version": d.Version, "segment": d.Segment, "zone": settings.Zone.String(), "at": t.At,
		"superseded": Superseded, "reentry": ReentryWait,
	}
	addSteps(args, d)
	_, err := tx.Exec(ctx, `
		with timed as (
			select x.account_id, x.customer_id, x.episode, x.step, e.starts_at, s.expires, x.scheduled_at as was,
			       `+anchorSQL(d)+` + s.at as own_time
			from dunlin.enrollments e
			join dunlin.customers c using (account_id, customer_id)
			join dunlin.deliveries x using (account_id, customer_id, campaign, episode)
			join `+stepsSQL+` using (step)
			where e.campaign = @campaign and e.version = @version and e.state = 'active' and x.state = 'planned' and `+amongSQL(t, d, "e")+`
			  and c.`+pgx.Identifier{d.Anchor}.Sanitize()+` is not null),
		moved as (
			select *, greatest(own_time, starts_at) as scheduled_at,
			       bool_or(was is distinct from greatest(own_time, starts_at)) over enrollment as moves,
			       coalesce(own_time <= @at::timestamptz and own_time < max(own_time) filter (where own_time <= @at::timestamptz) over enrollment, false) as late
			from timed
			window enrollment as (partition by account_id, customer_id, episode)),
		locked as (
			select e.account_id, e.customer_id, e.episode from dunlin.enrollments e
			where e.campaign = @campaign and (e.account_id, e.customer_id, e.episode) in (select account_id, customer_id, episode from moved where moves)
			order by e.account_id, e.customer_id, e.episode
			for update of e)
		update dunlin.deliveries x set
		       state = case when late then 'skipped' else 'planned' end,
		       reason = case when late then @superseded::text when starts_at > @at::timestamptz then @reentry::text end,
		       scheduled_at = m.scheduled_at, due_at = m.scheduled_at, expires_at = m.scheduled_at + m.expires,
		       ended_at = case when late then @at::timestamptz end, poked_until = null
		from moved m join locked using (account_id, customer_id, episode)
		where x.account_id = m.account_id and x.customer_id = m.customer_id and x.campaign = @campaign and x.episode = m.episode
		  and x.step = m.step and x.state = 'planned'
		  and (m.was is distinct from m.scheduled_at or m.late)`, amongArgs(t, args))
	if err != nil {
		return fmt.Errorf("follow the anchor: %w", err)
	}
	return nil
}

func anchorIsDate(name string) bool {
	a, _ := customers.Attributes.Attribute(name)
	return a.Type == rule.DateType
}

// schedule is when a step is due for one customer, the same reckoning as in
// enroll: the anchor plus its offset, and not before the enrollment's start.
func schedule(d Definition, s Step, v rule.Values, startsAt time.Time, zone *time.Location) *time.Time {
	anchor := startsAt
	if d.Anchor != "" {
		switch x := v.Value(d.Anchor).(type) {
		case rule.Date:
			anchor = x.In(zone)
		case time.Time:
			anchor = x
		default:
			return nil
		}
	}
	at := anchor.Add(length(s.At))
	if at.Before(startsAt) {
		at = startsAt
	}
	return &at
}
