package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/sandbox"
	"github.com/dunlin/dunlin/segments"
)

// demoReport is the last line of dunlin demo --once --json. The same seed, days
// and customers give the same report, but for the fields of machine work at its
// end.
type demoReport struct {
	Customers   int              `json:"customers"`
	Days        int              `json:"days"`
	Seed        int64            `json:"seed"`
	Segments    map[string]int64 `json:"segments"`
	Enrollments int64            `json:"enrollments"`
	Messages    int64            `json:"messages_sent"`
	Tasks       int64            `json:"tasks_opened"`
	Tags        int64            `json:"tags_added"`
	Skipped     map[string]int64 `json:"skipped"`
	Unknown     int64            `json:"unknown"`
	Failed      int64            `json:"failed"`
	Waiting     int64            `json:"waiting"`
	Recovered   int64            `json:"recovered"` // enrollments that ended with the reason to contact, after at least one contact

	// The judge's, from the sandbox's own log.
	Duplicates    int   `json:"duplicates"`
	QuietHours    int   `json:"quiet_hour_violations"`
	AfterRecovery int   `json:"contacted_after_recovery"`
	Forgotten     int   `json:"forgotten"`
	Drift         int64 `json:"drift"`         // members that an audit of every segment had to repair at the end
	Disagreements int   `json:"disagreements"` // what our tables say was sent and Intercom does not have, or the other way round

	// Machine work: differs from run to run.
	HTTPRequests int     `json:"http_requests"`
	RiverJobs    int64   `json:"river_jobs"`
	Ticks        int64   `json:"ticks"`
	StripeEvents int64   `json:"stripe_events"`
	Seconds      float64 `json:"seconds"`
	Lost         int64   `json:"events_caught_up,omitempty"` // that Stripe's list had before a webhook came; only where Stripe goes wrong
}

// report counts what our tables say and lets the judge compare it with what the
// sandbox saw.
func (d *demo) report(ctx context.Context, from time.Time) (demoReport, error) {
	r := demoReport{Segments: map[string]int64{}, Skipped: map[string]int64{}}
	r.Customers = len(d.world.Residents())
	list, err := segments.List(ctx, d.db.Pool)
	if err != nil {
		return r, err
	}
	for _, s := range list {
		r.Segments[s.Name] = s.Members
	}
	err = d.db.QueryRow(ctx, `
		select (select count(*) from dunlin.enrollments),
		       (select count(*) from dunlin.deliveries where state = 'sent' and action = 'message'),
		       (select count(*) from dunlin.tasks),
		       (select count(*) from dunlin.deliveries where state = 'sent' and action = 'tag'),
		       (select count(*) from dunlin.deliveries where state = 'unknown'),
		       (select count(*) from dunlin.deliveries where state = 'failed'),
		       (select count(*) from dunlin.deliveries where state in ('planned', 'claimed')),
		       (select count(*) from dunlin.enrollments e where e.state = 'exited' and e.reason in ('left_segment', 'episode_over')
		          and exists (select from dunlin.deliveries d where d.account_id = e.account_id and d.customer_id = e.customer_id
		                      and d.campaign = e.campaign and d.episode = e.episode and d.state = 'sent' and d.action <> 'tag')),
		       (select count(*) from dunlin.ticks),
		       (select count(*) from dunlin.stripe_events),
		       (select coalesce(max(id), 0) from river.river_job)`).
		Scan(&r.Enrollments, &r.Messages, &r.Tasks, &r.Tags, &r.Unknown, &r.Failed, &r.Waiting, &r.Recovered, &r.Ticks, &r.StripeEvents, &r.RiverJobs)
	if err != nil {
		return r, fmt.Errorf("count what happened: %w", err)
	}
	rows, err := d.db.Query(ctx, `select reason, count(*) from dunlin.deliveries where state = 'skipped' group by 1`)
	if err != nil {
		return r, fmt.Errorf("count what was skipped: %w", err)
	}
	var reason string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&reason, &n}, func() error { r.Skipped[reason] = n; return nil }); err != nil {
		return r, fmt.Errorf("count what was skipped: %w", err)
	}
	r.HTTPRequests = d.world.StripeRequests() + d.world.IntercomRequests() + int(r.StripeEvents)

	audits, err := d.product.ticker.Audit(ctx)
	if err != nil {
		return r, err
	}
	for _, x := range audits {
		r.Drift += x.Missing + x.Surplus
	}
	if r.Disagreements, err = d.disagreements(ctx); err != nil {
		return r, err
	}
	reasons, err := d.reasons(ctx)
	if err != nil {
		return r, err
	}
	v := sandbox.Judge(d.world.Case(from, d.world.Now(), reasons))
	for _, line := range v.Details {
		d.say("judge: %s", line)
	}
	r.Duplicates, r.QuietHours, r.AfterRecovery, r.Forgotten = v.Duplicates, v.QuietHourViolations, v.ContactedAfterRecovery, v.Forgotten
	return r, nil
}

// disagreements compares what our tables say was done with what the sandbox
// accepted, one by one, by Intercom's own ids.
func (d *demo) disagreements(ctx context.Context) (int, error) {
	rows, err := d.db.Query(ctx, `
		select case action when 'task' then 'ticket' else action end || ' ' || external_id || ' ' || contact_id
		from dunlin.deliveries where state = 'sent' and external_id is not null and action in ('message', 'task', 'note')`)
	if err != nil {
		return 0, fmt.Errorf("compare with Intercom: %w", err)
	}
	ours, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("compare with Intercom: %w", err)
	}
	tally := map[string]int{}
	for _, k := range ours {
		tally[k]++
	}
	for _, x := range d.world.Accepted() {
		if x.Kind == "message" || x.Kind == "ticket" || x.Kind == "note" {
			tally[x.Kind+" "+x.ID+" "+x.Contact]--
		}
	}
	n := 0
	for k, balance := range tally {
		if balance != 0 {
			d.say("disagreement: %s: our tables and Intercom differ by %d", k, balance)
			n++
		}
	}
	return n, nil
}

// reasons are what our tables say to everybody who got nothing.
func (d *demo) reasons(ctx context.Context) ([]sandbox.Reason, error) {
	rows, err := d.db.Query(ctx, `
		select c.stripe_id, d.campaign, d.step,
		       case when e.starts_at > e.enrolled_at then 'reentry_wait' else coalesce(d.reason, d.state) end, e.enrolled_at
		from dunlin.deliveries d
		join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
		join dunlin.customers c using (account_id, customer_id)
		where d.state in ('skipped', 'failed', 'unknown') or (d.state = 'planned' and d.reason is not null)
		   or (d.state = 'sent' and d.contact_id is null) or e.starts_at > e.enrolled_at`)
	if err != nil {
		return nil, fmt.Errorf("read reasons: %w", err)
	}
	reasons, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (x sandbox.Reason, err error) {
		err = r.Scan(&x.Customer, &x.Campaign, &x.Step, &x.Why, &x.Since)
		return x, err
	})
	if err != nil {
		return nil, fmt.Errorf("read reasons: %w", err)
	}
	return reasons, nil
}

// show prints the report, and fails when the judge found anything.
func (d *demo) show(r demoReport) error {
	if d.json {
		if err := d.line(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(d.out, "\n%d days of a merchant with %d customers, in %.0f seconds\n\n", r.Days, r.Customers, r.Seconds)
		for _, name := range slices.Sorted(maps.Keys(r.Segments)) {
			fmt.Fprintf(d.out, "  %-28s %6d members\n", name, r.Segments[name])
		}
		fmt.Fprintf(d.out, "\n  enrollments %d · messages %d · tasks %d · tags %d · recovered after contact %d\n", r.Enrollments, r.Messages, r.Tasks, r.Tags, r.Recovered)
		var skipped []string
		for _, reason := range slices.Sorted(maps.Keys(r.Skipped)) {
			skipped = append(skipped, fmt.Sprintf("%s %d", reason, r.Skipped[reason]))
		}
		fmt.Fprintf(d.out, "  not sent, each with its reason: %s\n", strings.Join(skipped, " · "))
		fmt.Fprintf(d.out, "\n  The judge, from Intercom's own log:\n  sent twice %d · at night %d · after they paid %d · forgotten %d · our tables and Intercom disagree %d · outcome unknown %d · segments wrong by %d\n",
			r.Duplicates, r.QuietHours, r.AfterRecovery, r.Forgotten, r.Disagreements, r.Unknown, r.Drift)
		if r.Lost > 0 {
			fmt.Fprintf(d.out, "\n  Stripe went wrong: no webhook had brought %s that its list of events had\n", plural(r.Lost, "event"))
		}
		fmt.Fprintf(d.out, "\n  machine work: %d Stripe events · %d HTTP requests · %d jobs · %d ticks\n", r.StripeEvents, r.HTTPRequests, r.RiverJobs, r.Ticks)
	}
	if r.Duplicates+r.QuietHours+r.AfterRecovery+r.Forgotten+r.Disagreements+int(r.Drift) > 0 {
		d.say("the judge found something: see above")
		return errSilent
	}
	return nil
}
