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
		if !d.NeverExit && d.ends() && concerns(t, d) {
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
	if err := awakenDisputed(ctx, tx, t); err != nil {
		return 0, err
	}
	t.Everyone = t.Everyone || t.NewHour // time alone, or the end of a pause, may have made somebody due who has not changed
	if err := s.followGoals(ctx, tx, settings, t); err != nil {
		return 0, err
	}
	if _, err := closeTasks(ctx, tx, t); err != nil {
		return 0, err
	}
	running, err := s.running(ctx, tx, settings)
	if err != nil {
		return 0, err
	}
	var enrolled int64
	for _, d := range running {
		if waiting[d.Segment] || !concerns(t, d) {
			continue
		}
		n, _, err := enroll(ctx, tx, d, settings, t, passNobody)
		if err != nil {
			return 0, fmt.Errorf("campaign %q: %w", d.Name, err)
		}
		enrolled += n
	}
	return enrolled, nil
}

// concerns reports whether a tick may begin or end enrollments of a campaign:
// somebody joined or left its segment, or began another episode there, or, with
// a trigger, anything happened to anybody.
func concerns(t segments.Tick, d Definition) bool {
	return t.Everyone || t.Whole[d.Segment] || t.Moved[d.Segment] > 0 || d.Trigger != "" && len(t.Changed) > 0
}

// ends reports whether something that a tick sees can end an enrollment.
func (d *Definition) ends() bool { return d.Segment != "" || episodeOverSQL(d.Episode) != "false" }

// all reports whether a tick looks at every customer for a campaign.
func all(t segments.Tick, d Definition) bool { return t.Everyone || t.Whole[d.Segment] }

// amongSQL narrows a statement to the customers a tick names. x is an alias.
func amongSQL(t segments.Tick, d Definition, x string) string {
	if all(t, d) {
		return "true"
	}
	return `(` + x + `.account_id, ` + x + `.customer_id) in (` + namedSQL + `)`
}

// namedSQL selects the customers a tick names: those that changed, and those that
// joined or left the segment or began another episode there.
const namedSQL = `
		select * from unnest(@accounts::int[], @customers::bigint[]) as changed (account_id, customer_id)
		union
		select account_id, customer_id from dunlin.membership_log where tick_id = @tick and segment = @segment`

// amongArgs are the arguments of amongSQL and namedSQL.
func amongArgs(t segments.Tick, args pgx.NamedArgs) pgx.NamedArgs {
	args["accounts"], args["customers"] = segments.Columns(t.Changed)
	args["tick"] = t.ID
	return args
}

// When an invoice i is open, and when it is overdue: a failed charge counts like a
// passed date, because what Stripe charges by itself has no date. And when a
// subscription s has not ended.
const (
	openInvoiceSQL      = `i.status = 'open' and i.amount_remaining > 0`
	overdueInvoiceSQL   = openInvoiceSQL + ` and (i.due_at <= @at or i.due_at is null and i.attempt_count > 0)`
	openSubscriptionSQL = `s.status not in ('canceled', 'incomplete', 'incomplete_expired')`
)

// cardSQL names the card of customer c: a payment method and its expiry. Null: no
// card.
const cardSQL = `c.card_id || ' ' || to_char(c.card_expires_at, 'YYYY-MM-DD')`

// episodesSQL selects the present episodes of a customer: texts that name them,
// null for none. A member is an alias m, the customer c, and an event that
// triggers ev.
func episodesSQL(e Episode) string {
	switch e.Kind {
	case EpisodeCard:
		return `select ` + cardSQL + ` as episode`
	case EpisodeInvoice:
		return `select i.id as episode from dunlin.invoices i
			where i.account_id = c.account_id and i.customer_id = c.customer_id and ` + overdueInvoiceSQL
	case EpisodeSubscription:
		return `select s.id as episode from dunlin.subscriptions s
			where s.account_id = c.account_id and s.customer_id = c.customer_id and ` + openSubscriptionSQL
	case EpisodeEvery:
		// Never more often than every so many days: the members not enrolled in
		// that time begin the episode named by today's instant.
		return `select case when not exists (
			select from dunlin.enrollments e
			where e.account_id = c.account_id and e.customer_id = c.customer_id and e.campaign = @campaign
			  and e.enrolled_at > @at::timestamptz - @every::int * interval '24 hours')
			then 'from ' || to_char(@at::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end as episode`
	case EpisodeEvent:
		return `select ev.id as episode`
	default:
		return `select 'entry ' || to_char(m.joined_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as episode`
	}
}

// episodeOverSQL is whether what enrollment e of customer c is about is over.
func episodeOverSQL(e Episode) string {
	switch e.Kind {
	case EpisodeCard:
		return `e.episode is distinct from ` + cardSQL
	case EpisodeInvoice:
		return `not exists (select from dunlin.invoices i
			where i.account_id = e.account_id and i.customer_id = e.customer_id and i.id = e.episode and ` + openInvoiceSQL + `)`
	case EpisodeSubscription:
		return `not exists (select from dunlin.subscriptions s
			where s.account_id = e.account_id and s.customer_id = e.customer_id and s.id = e.episode and ` + openSubscriptionSQL + `)`
	}
	return "false"
}

// eventsWithin is for how long an event enrolls: during a pause, a segment's wait or
// a silence of ours it gets older, and what is to be said about it gets stale. Who
// was enrolled too late by that is passed over, named (nothing-lost).
const eventsWithin = 7 * 24 * time.Hour

// eventsFrom is since when, after the campaign's start, a tick looks at events. Of
// everybody it reads only what is young, or was so at the tick before (when the
// pause began, if one is over), because ticks have seen the others. Of the customers
// who changed it reads all, and of everybody when somebody has accepted what the
// segment waited for.
func eventsFrom(t segments.Tick, d Definition) time.Time {
	switch {
	case !t.Everyone, t.Whole[d.Segment], t.Since.IsZero():
		return time.Time{}
	case t.Since.Before(t.At):
		return t.Since.Add(-eventsWithin)
	}
	return t.At.Add(-eventsWithin)
}

// membersSQL selects who may be enrolled: the members of the segment, or, with a
// trigger, the customers to whom something has happened since the campaign's
// start, who must have been members in time when there is a segment, too.
func membersSQL(d Definition, t segments.Tick) string {
	const listed = `(select generation from dunlin.segments where name = @segment)`
	if d.Trigger == "" {
		return `dunlin.members m
			join dunlin.customers c using (account_id, customer_id)
			cross join lateral (` + episodesSQL(d.Episode) + `) ep
			where m.generation = ` + listed + ` and ` + amongSQL(t, d, "m")
	}
	members := ""
	if d.Segment != "" {
		members = ` and exists (select from dunlin.members m where m.account_id = ev.account_id and m.customer_id = ev.customer_id and m.generation = ` + listed + `
			and m.joined_at <= ev.created_at + @events_within::interval)`
	}
	happened := `dunlin.events ev where ev.type = @trigger and ev.created_at <= @at
			and ev.created_at > greatest(@events_from::timestamptz, (select scoped_at from dunlin.campaigns where name = @campaign))`
	if all(t, d) {
		happened = `(select * from ` + happened + `) ev`
	} else { // only the primary key will do, however many events there are
		happened = `(` + namedSQL + `) named cross join lateral (
			select * from ` + happened + ` and ev.account_id = named.account_id and ev.customer_id = named.customer_id
			offset 0) ev`
	}
	return happened + `
			join dunlin.customers c on c.account_id = ev.account_id and c.customer_id = ev.customer_id
			cross join lateral (select ev.created_at as joined_at) m
			cross join lateral (` + episodesSQL(d.Episode) + `) ep
			where true` + members
}

// anchorSQL is the instant that step offsets count from; a date begins at the
// first midnight of the day in the workspace's zone. Where clocks go back over
// midnight there are two, and Postgres takes the second.
func anchorSQL(d Definition) string {
	if d.Anchor == "" {
		return `coalesce(anchored_at, starts_at)`
	}
	column := pgx.Identifier{"c", d.Anchor}.Sanitize()
	if anchorIsDate(d.Anchor) {
		midnight := `(` + column + `::timestamp at time zone @zone)`
		return `(` + midnight + ` - case when (` + midnight + ` - interval '1 hour') at time zone @zone = ` + column + `::timestamp then interval '1 hour' else interval '0' end)`
	}
	return column
}

// Who is passed over by an [enroll]: an enrollment of theirs is made as ended at
// once, so that it is known.
type passOver string

const (
	passNobody  passOver = ""
	passActive  passOver = "active"  // who is enrolled in the campaign already, about something else
	passMembers passOver = "members" // all
)

// enroll makes the missing enrollments of one campaign, and returns how many, and
// how many were passed over. Those whose event is too old always are.
func enroll(ctx context.Context, tx pgx.Tx, d Definition, settings workspace.Settings, t segments.Tick, pass passOver) (enrolled, passed int64, err error) {
	args := pgx.NamedArgs{
		"campaign": d.Name, "version": d.Version, "segment": d.Segment, "trigger": d.Trigger, "at": t.At,
		"every": d.Episode.Every, "zone": settings.Zone.String(), "pass_over": pass == passMembers, "pass_active": pass == passActive, "already": AlreadyMember, "reentry": ReentryWait,
		"reenter_after": time.Duration(0), "by_entry": d.Episode.Kind == EpisodeEntry, "priority": d.Priority,
		"late": Superseded, "goal_within": nil,
		"events_from": eventsFrom(t, d), "events_within": eventsWithin, "too_old": EventTooOld,
	}
	if d.Episode.Kind == EpisodeEntry {
		args["reenter_after"] = d.ReenterAfter
	}
	if d.CatchUp == CatchUpNone {
		args["late"] = TooLate
	}
	if d.Goal != nil {
		args["goal_within"] = d.GoalWithin
	}
	addSteps(args, d)

	err = tx.QueryRow(ctx, `
		with current as (
			select c.account_id, c.customer_id, m.joined_at, ep.episode,
			       case when @pass_over or @pass_active and exists (
			                select from dunlin.enrollments e
			                where e.account_id = c.account_id and e.customer_id = c.customer_id and e.campaign = @campaign and e.state = 'active') then @already::text
			            when @trigger <> '' and m.joined_at <= @at::timestamptz - @events_within::interval then @too_old::text end as passed,
			       greatest(@at::timestamptz, (
			           select max(e.ended_at) + @reenter_after::interval from dunlin.enrollments e
			           where @reenter_after::interval > interval '0' and e.account_id = c.account_id and e.customer_id = c.customer_id
			             and e.campaign = @campaign and e.state <> 'active' and e.reason is distinct from @already)) as starts_at
			from `+membersSQL(d, t)+`),
		fresh as (
			insert into dunlin.enrollments (account_id, customer_id, campaign, episode, version, state, reason, enrolled_at, starts_at, ended_at, goal_until, anchored_at)
			select account_id, customer_id, @campaign, episode, @version,
			       case when passed is null then 'active' else 'exited' end, passed,
			       @at::timestamptz, starts_at, case when passed is not null then @at::timestamptz end,
			       case when passed is null then @at::timestamptz + @goal_within::interval end,
			       case when @trigger <> '' then joined_at end
			from current x
			where episode is not null and not exists (
				select from dunlin.enrollments e
				where e.account_id = x.account_id and e.customer_id = x.customer_id and e.campaign = @campaign
				  and (e.episode = x.episode
				       -- Who left and came back while enrolled has not entered again.
				       or @by_entry and e.enrolled_at <= x.joined_at and (e.ended_at is null and not @pass_active or e.ended_at > x.joined_at)))
			returning account_id, customer_id, episode, starts_at, anchored_at, state),
		timed as (
			select f.account_id, f.customer_id, f.episode, f.starts_at, s.step, s.action, s.contacts, s.expires,
			       `+anchorSQL(d)+` + s.at as own_time
			from fresh f
			join dunlin.customers c using (account_id, customer_id)
			cross join `+stepsSQL+`
			where f.state = 'active'),
		planned as (
			select *, greatest(own_time, starts_at) as scheduled_at,
			       `+lateSQL(d, "starts_at", "(partition by account_id, customer_id, episode)")+` as late
			from timed),
		deliveries as (
			insert into dunlin.deliveries (account_id, customer_id, campaign, episode, step, action, contacts, priority, state, reason,
			                               scheduled_at, due_at, expires_at, ended_at)
			select account_id, customer_id, @campaign, episode, step, action, contacts, @priority,
			       case when late then 'skipped' else 'planned' end,
			       case when late then @late::text when starts_at > @at::timestamptz then @reentry::text end,
			       case when own_time is not null then scheduled_at end,
			       -- Without an anchor it waits for one, named, and is decided now and then.
			       case when own_time is null then @at::timestamptz else scheduled_at end,
			       case when own_time is not null then scheduled_at + expires end,
			       case when late then @at::timestamptz end
			from planned
			on conflict on constraint deliveries_one_contact do nothing)
		select count(*) filter (where state = 'active'), count(*) filter (where state <> 'active') from fresh`, amongArgs(t, args)).Scan(&enrolled, &passed)
	if err != nil {
		return 0, 0, fmt.Errorf("enroll: %w", err)
	}
	if d.CatchUp != CatchUpNone {
		return enrolled, passed, nil
	}
	// Of whom every step's time has passed nothing is left to do.
	_, err = tx.Exec(ctx, `
		update dunlin.enrollments e set state = 'finished', ended_at = @at
		where e.campaign = @campaign and e.version = @version and e.state = 'active' and e.enrolled_at = @at and not exists (
			select from dunlin.deliveries d
			where d.account_id = e.account_id and d.customer_id = e.customer_id and d.campaign = e.campaign and d.episode = e.episode
			  and d.state <> 'skipped')`, pgx.StrictNamedArgs{"campaign": d.Name, "version": d.Version, "at": t.At})
	if err != nil {
		return 0, 0, fmt.Errorf("finish enrollments: %w", err)
	}
	return enrolled, passed, nil
}

// lateSQL is whether a step of own_time is too late at an instant: of the steps
// whose time has passed by then only the latest is kept, or all, or none.
func lateSQL(d Definition, at, window string) string {
	switch d.CatchUp {
	case CatchUpAll:
		return "false"
	case CatchUpNone:
		return `coalesce(own_time < ` + at + `, false)`
	}
	return `coalesce(own_time <= ` + at + ` and own_time < max(own_time) filter (where own_time <= ` + at + `) over ` + window + `, false)`
}

// end closes the enrollments whose reason has gone: the customer left the
// segment, or what they are about is over, such as a card that another took the
// place of, or an invoice that is paid. Their
// planned deliveries are skipped with the same reason (no-stale-contact); what
// is claimed finishes.
func end(ctx context.Context, tx pgx.Tx, d Definition, t segments.Tick) error {
	_, err := tx.Exec(ctx, `
		with over as (
			select e.account_id, e.customer_id, e.episode,
			       case when @segment <> '' and m.customer_id is null then @left_segment else @episode_over end as reason
			from dunlin.enrollments e
			join dunlin.customers c using (account_id, customer_id)
			left join dunlin.members m on m.account_id = e.account_id and m.customer_id = e.customer_id and m.generation = (select generation from dunlin.segments where name = @segment)
			where e.campaign = @campaign and e.state = 'active' and e.version = @version and `+amongSQL(t, d, "e")+`
			  and (@segment <> '' and m.customer_id is null or `+episodeOverSQL(d.Episode)+`)
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
			"campaign": d.Name, "segment": d.Segment, "at": t.At, "version": d.Version,
			"left_segment": LeftSegment, "episode_over": EpisodeOver,
		}))
	if err != nil {
		return fmt.Errorf("end enrollments: %w", err)
	}
	return nil
}

// addSteps gives a query the steps of a definition, for [stepsSQL].
func addSteps(args pgx.NamedArgs, d Definition) {
	steps, actions, contacts, offsets, expires := make([]string, 0, len(d.Steps)), []string{}, []bool{}, []time.Duration{}, []time.Duration{}
	for _, s := range d.Steps {
		steps, actions, contacts = append(steps, s.Name), append(actions, string(s.Action)), append(contacts, s.Contact)
		offsets, expires = append(offsets, length(s.At)), append(expires, length(s.Expires))
	}
	args["steps"], args["actions"], args["contacts"], args["offsets"], args["expires"] = steps, actions, contacts, offsets, expires
}

const stepsSQL = `unnest(@steps::text[], @actions::text[], @contacts::boolean[], @offsets::interval[], @expires::interval[]) as s (step, action, contacts, at, expires)`

// reschedule moves planned deliveries with their anchor, when the attribute
// they count from has changed or has come into being. As at enrollment, of the
// steps whose time has passed by that only the latest is kept.
func reschedule(ctx context.Context, tx pgx.Tx, d Definition, settings workspace.Settings, t segments.Tick) error {
	args := pgx.NamedArgs{
		"campaign": d.Name, "version": d.Version, "segment": d.Segment, "zone": settings.Zone.String(), "at": t.At,
		"late": Superseded, "reentry": ReentryWait,
	}
	if d.CatchUp == CatchUpNone {
		args["late"] = TooLate
	}
	addSteps(args, d)
	_, err := tx.Exec(ctx, `
		with timed as (
			select x.account_id, x.customer_id, x.episode, x.step, e.starts_at, s.expires, x.scheduled_at as was, x.not_before,
			       `+anchorSQL(d)+` + s.at as own_time
			from dunlin.enrollments e
			join dunlin.customers c using (account_id, customer_id)
			join dunlin.deliveries x using (account_id, customer_id, campaign, episode)
			join `+stepsSQL+` using (step)
			where e.campaign = @campaign and e.version = @version and e.state = 'active' and x.state = 'planned' and `+amongSQL(t, d, "e")+`
			  and c.`+pgx.Identifier{d.Anchor}.Sanitize()+` is not null),
		moved as (
			select *, greatest(own_time, starts_at, not_before) as scheduled_at,
			       bool_or(was is distinct from greatest(own_time, starts_at, not_before)) over enrollment as moves,
			       `+lateSQL(d, "@at::timestamptz", "enrollment")+` as late
			from timed
			window enrollment as (partition by account_id, customer_id, episode)),
		locked as (
			select e.account_id, e.customer_id, e.episode from dunlin.enrollments e
			where e.campaign = @campaign and (e.account_id, e.customer_id, e.episode) in (select account_id, customer_id, episode from moved where moves)
			order by e.account_id, e.customer_id, e.episode
			for update of e)
		update dunlin.deliveries x set
		       state = case when late then 'skipped' else 'planned' end,
		       reason = case when late then @late::text when starts_at > @at::timestamptz then @reentry::text end,
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
// enroll: the anchor plus its offset, and not before the enrollment's start. What
// steps count from is the attribute that the campaign names, else the event that
// triggered the enrollment, else its start.
func schedule(d Definition, s Step, v rule.Values, anchor, startsAt time.Time, zone *time.Location) *time.Time {
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
