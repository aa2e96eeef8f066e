package campaigns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// A situated delivery is its situation with what else its claim needs.
type situated struct {
	Situation
	key        Key
	version    int
	definition Definition
	picture    customers.Picture
	scheduled  *time.Time // as the row has it, like priority: what it is ranked by
	priority   int
	claimed    *time.Time // when it was claimed before; nil: never
	notBefore  *time.Time // its time is not before; nil: no such bound
	startsAt   time.Time  // of the enrollment: nothing happens before
	anchor     time.Time  // what its steps count from, where that is no attribute
	heldOut    *bool      // as the enrollment has it; nil: not decided yet
	mentions   []mention  // what the rules it hangs on read of the customer
	fault      error      // its stored definition, or its segment's, does not check any more
}

func (x *situated) ref() customers.Ref { return x.picture.Ref }

// at is when the delivery is claimed, or was first, if it is an event: a second
// one with the same instant is none (facts/intercom.md 1.8).
func (x *situated) at() time.Time {
	if x.Step.Action == Event && x.claimed != nil {
		return *x.claimed
	}
	return x.Now
}

// A look reads everything that decisions about a batch of deliveries depend on,
// at one instant and in one transaction, each table once for all of them.
type look struct {
	*Store
	tx       pgx.Tx
	now      time.Time
	settings workspace.Settings
	env      rule.Env
	lock     bool // the persons, enrollments and deliveries, until tx ends

	list []*situated
	refs []customers.Ref // whose deliveries they are, each once

	mentioned map[stepOf][]mention
}

// A stepOf is one step of one version of a campaign.
type stepOf struct {
	campaign string
	version  int
	step     string
}

// situations reads those of the given deliveries that are planned and due. Under
// lock it locks each person first, then the enrollment, then the delivery. It
// never waits for a lock: what somebody else is at is left out, and busy, so that
// batches cannot stand in each other's way, nor in a tick's; but those who claim
// tasks for owners go one after the other (see assigning).
func (s *Store) situations(ctx context.Context, tx pgx.Tx, keys []Key, now time.Time, lock bool) (list []*situated, busy []Key, err error) {
	// Every statement of a batch looks a few rows up by their keys. Planning them
	// afresh for each batch takes as long as running them.
	if _, err := tx.Exec(ctx, `set local plan_cache_mode = force_generic_plan`); err != nil {
		return nil, nil, fmt.Errorf("decide deliveries: %w", err)
	}
	settings, err := workspace.Load(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	l := &look{Store: s, tx: tx, now: now, settings: settings, env: segments.Env(settings, now), lock: lock}
	contacts, err := s.Contacts(ctx, tx, refsOf(keys), lock)
	if err != nil {
		return nil, nil, err
	}
	free := keys[:0:0]
	for _, k := range keys {
		if _, ok := contacts[k.Ref()]; ok {
			free = append(free, k)
		} else {
			busy = append(busy, k)
		}
	}
	locked, err := l.lockEnrollments(ctx, free)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range free {
		if !locked[k.enrollment()] {
			busy = append(busy, k)
		}
	}
	if busy, err = l.stillDue(ctx, busy); err != nil {
		return nil, nil, err
	}
	if err := l.readDeliveries(ctx, free, locked); err != nil || len(l.list) == 0 {
		return nil, busy, err
	}
	for _, x := range l.list {
		x.Contact = contacts[x.key.Ref()]
	}
	for _, read := range []func(context.Context) error{
		l.readDefinitions, l.readNews, l.readPictures, l.readWorkspace, l.readEpisodes, l.readHolds, l.readMembers, l.readRules, l.readBudget,
	} {
		if err := read(ctx); err != nil {
			return nil, nil, err
		}
	}
	return l.list, busy, nil
}

// Ref is the customer a delivery is for.
func (k Key) Ref() customers.Ref { return customers.Ref{Account: k.Account, Customer: k.Customer} }

// enrollment is the key without the step.
func (k Key) enrollment() Key {
	k.Step = ""
	return k
}

// refsOf are the customers of deliveries, each once.
func refsOf(keys []Key) (refs []customers.Ref) {
	seen := map[customers.Ref]bool{}
	for _, k := range keys {
		if r := k.Ref(); !seen[r] {
			seen[r] = true
			refs = append(refs, r)
		}
	}
	return refs
}

// columns are keys as arrays, for [keysSQL].
func columns(keys []Key, args pgx.StrictNamedArgs) pgx.StrictNamedArgs {
	accounts, ids, names, episodes, steps := make([]int, len(keys)), make([]int64, len(keys)), make([]string, len(keys)), make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		accounts[i], ids[i], names[i], episodes[i], steps[i] = k.Account, k.Customer, k.Campaign, k.Episode, k.Step
	}
	args["accounts"], args["customers"], args["campaigns"], args["episodes"], args["steps"] = accounts, ids, names, episodes, steps
	return args
}

// keysSQL are keys as rows k, numbered from 1.
const keysSQL = `unnest(@accounts::int[], @customers::bigint[], @campaigns::text[], @episodes::text[], @steps::text[])
	with ordinality as k (account_id, customer_id, campaign, episode, step, place)`

// lockEnrollments returns which of the enrollments nobody else is at.
func (l *look) lockEnrollments(ctx context.Context, keys []Key) (map[Key]bool, error) {
	free := make(map[Key]bool, len(keys))
	if !l.lock {
		for _, k := range keys {
			free[k.enrollment()] = true
		}
		return free, nil
	}
	rows, err := l.tx.Query(ctx, `
		select e.account_id, e.customer_id, e.campaign, e.episode
		from `+keysSQL+`
		cross join lateral (
			select account_id, customer_id, campaign, episode from dunlin.enrollments e
			where e.account_id = k.account_id and e.customer_id = k.customer_id and e.campaign = k.campaign and e.episode = k.episode
			for update skip locked) e`, columns(keys, pgx.StrictNamedArgs{}))
	if err != nil {
		return nil, fmt.Errorf("lock enrollments: %w", err)
	}
	var k Key
	_, err = pgx.ForEachRow(rows, []any{&k.Account, &k.Customer, &k.Campaign, &k.Episode}, func() error { free[k] = true; return nil })
	if err != nil {
		return nil, fmt.Errorf("lock enrollments: %w", err)
	}
	return free, nil
}

// stillDue leaves out what is not there, or not due any more.
func (l *look) stillDue(ctx context.Context, keys []Key) ([]Key, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := l.tx.Query(ctx, `
		select d.account_id, d.customer_id, d.campaign, d.episode, d.step
		from `+keysSQL+` join dunlin.deliveries d using (account_id, customer_id, campaign, episode, step)
		where d.state = 'planned' and d.due_at <= @now
		order by k.place`, columns(keys, pgx.StrictNamedArgs{"now": l.now}))
	if err != nil {
		return nil, fmt.Errorf("read busy deliveries: %w", err)
	}
	if keys, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Key]); err != nil {
		return nil, fmt.Errorf("read busy deliveries: %w", err)
	}
	return keys, nil
}

// readDeliveries begins the list: deliveries that are planned and due.
func (l *look) readDeliveries(ctx context.Context, keys []Key, of map[Key]bool) error {
	forUpdate := ""
	if l.lock {
		forUpdate = "for update skip locked"
	}
	rows, err := l.tx.Query(ctx, `
		select k.place, e.version, e.state, e.starts_at, coalesce(e.anchored_at, e.starts_at), e.held_out, c.state, coalesce(d.reason, ''), d.scheduled_at, d.priority, d.claimed_at, d.not_before
		from `+keysSQL+`
		cross join lateral (
			select reason, scheduled_at, priority, claimed_at, not_before from dunlin.deliveries d
			where d.account_id = k.account_id and d.customer_id = k.customer_id and d.campaign = k.campaign and d.episode = k.episode and d.step = k.step
			  and d.state = 'planned' and d.due_at <= @now
			`+forUpdate+`) d
		cross join lateral (
			select version, state, starts_at, anchored_at, held_out from dunlin.enrollments e
			where e.account_id = k.account_id and e.customer_id = k.customer_id and e.campaign = k.campaign and e.episode = k.episode
			offset 0) e
		join dunlin.campaigns c on c.name = k.campaign
		order by k.place`, columns(keys, pgx.StrictNamedArgs{"now": l.now}))
	if err != nil {
		return fmt.Errorf("read deliveries: %w", err)
	}
	var place, version, priority int
	var state string
	var campaign State
	var startsAt, anchor time.Time
	var heldOut *bool
	var waited Reason
	var scheduled, claimed, notBefore *time.Time
	_, err = pgx.ForEachRow(rows, []any{&place, &version, &state, &startsAt, &anchor, &heldOut, &campaign, &waited, &scheduled, &priority, &claimed, &notBefore}, func() error {
		k := keys[place-1]
		if !of[k.enrollment()] {
			return nil
		}
		l.list = append(l.list, &situated{key: k, version: version, startsAt: startsAt, anchor: anchor, heldOut: heldOut, scheduled: scheduled, priority: priority, claimed: claimed, notBefore: notBefore, Situation: Situation{
			Now: l.now, Settings: l.settings, DryRun: l.DryRun, NoIntercom: l.NoIntercom,
			Paused: campaign == Halted, Enrolled: state == "active", Waited: waited,
		}})
		return nil
	})
	if err != nil {
		return fmt.Errorf("read deliveries: %w", err)
	}
	return nil
}

// readDefinitions finds the version each enrollment is pinned to.
func (l *look) readDefinitions(ctx context.Context) error {
	type version struct {
		name   string
		number int
	}
	found := map[version]Definition{}
	faults := map[version]error{}
	var names []string
	var numbers []int
	for _, x := range l.list {
		v := version{x.key.Campaign, x.version}
		if _, ok := faults[v]; !ok {
			faults[v] = fmt.Errorf("campaign %q version %d: %w", v.name, v.number, workspace.ErrNotFound)
			names, numbers = append(names, v.name), append(numbers, v.number)
		}
	}
	stored, err := readStored(ctx, l.tx, `
		select name, version, source from dunlin.campaign_versions
		join unnest($1::text[], $2::int[]) as w (name, version) using (name, version)`, names, numbers)
	if err != nil {
		return err
	}
	for _, f := range stored {
		v := version{f.Name, f.Version}
		found[v], faults[v] = l.parse(f, l.settings)
	}
	for _, x := range l.list {
		v := version{x.key.Campaign, x.version}
		x.fault = faults[v]
		x.definition = found[v]
		x.Step, _ = x.definition.Step(x.key.Step)
		x.NeverExit, x.NoOlderThan = x.definition.NeverExit, x.definition.NoOlderThan
	}
	return nil
}

// readPictures reads the customers, and what follows from their attributes.
func (l *look) readPictures(ctx context.Context) error {
	var keys []Key
	for _, x := range l.list {
		keys = append(keys, x.key)
	}
	l.refs = refsOf(keys)
	pictures, err := customers.LoadAll(ctx, l.tx, l.refs)
	if err != nil {
		return err
	}
	for _, x := range l.list {
		var ok bool
		if x.picture, ok = pictures[x.key.Ref()]; !ok {
			return fmt.Errorf("customer %d of account %d: %w", x.key.Customer, x.key.Account, customers.ErrNotFound)
		}
		x.Contact.Place.Country, _ = x.picture.Value("country").(string)
		x.Contact.Place.Region = x.picture.State
		if x.Step.Name == "" {
			continue
		}
		x.Scheduled = schedule(x.definition, x.Step, x.picture, x.anchor, x.startsAt, l.settings.Zone)
		if x.Scheduled != nil {
			if x.notBefore != nil && x.Scheduled.Before(*x.notBefore) {
				x.Scheduled = x.notBefore
			}
			expires := x.Scheduled.Add(length(x.Step.Expires))
			x.Expires = &expires
		}
		x.HeldOut = heldOut(x.key.Campaign, person(x.Contact, x.ref()), x.definition.Holdout)
		if x.heldOut != nil {
			x.HeldOut = *x.heldOut
		}
	}
	return nil
}

func (l *look) readWorkspace(ctx context.Context) error {
	stopped, err := workspace.Stopped(ctx, l.tx)
	if err != nil {
		return err
	}
	asOf, err := l.AsOf(ctx, l.tx)
	if err != nil {
		return err
	}
	for _, x := range l.list {
		x.Stopped = stopped
		x.DataAge = l.now.Sub(asOf[x.key.Account])
	}
	return nil
}

// readNews looks for events of Stripe that are not applied. It comes before
// everything that such an event could change: what is applied after this look is
// read afterwards.
func (l *look) readNews(ctx context.Context) error {
	byAccount := map[int][]int64{}
	for _, x := range l.list {
		byAccount[x.key.Account] = append(byAccount[x.key.Account], x.key.Customer)
	}
	for account, ids := range byAccount {
		stripeIDs, err := customers.StripeIDs(ctx, l.tx, account, ids)
		if err != nil {
			return err
		}
		since, err := l.Unapplied(ctx, l.tx, account, slices.Collect(maps.Values(stripeIDs)))
		if err != nil {
			return err
		}
		for _, x := range l.list {
			if x.key.Account == account {
				x.Unapplied = since[stripeIDs[x.key.Customer]]
			}
		}
	}
	return nil
}

// readEpisodes looks whether what each enrollment is about is still so.
func (l *look) readEpisodes(ctx context.Context) error {
	var elements []*situated
	for _, x := range l.list {
		switch x.definition.Episode.Kind {
		case EpisodeCard:
			x.SameEpisode = x.key.Episode == cardEpisode(x.picture)
		case EpisodeInvoice, EpisodeSubscription:
			elements = append(elements, x)
		default:
			x.SameEpisode = true
		}
	}
	if len(elements) == 0 {
		return nil
	}
	keys := make([]Key, len(elements))
	for i, x := range elements {
		keys[i] = x.key
	}
	rows, err := l.tx.Query(ctx, `
		select k.place,
		       exists (select from dunlin.invoices i where i.account_id = k.account_id and i.customer_id = k.customer_id and i.id = k.episode and `+openInvoiceSQL+`),
		       exists (select from dunlin.subscriptions s where s.account_id = k.account_id and s.customer_id = k.customer_id and s.id = k.episode and `+openSubscriptionSQL+`)
		from `+keysSQL, columns(keys, pgx.StrictNamedArgs{}))
	if err != nil {
		return fmt.Errorf("read episodes: %w", err)
	}
	var place int
	var invoice, subscription bool
	_, err = pgx.ForEachRow(rows, []any{&place, &invoice, &subscription}, func() error {
		x := elements[place-1]
		x.SameEpisode = invoice
		if x.definition.Episode.Kind == EpisodeSubscription {
			x.SameEpisode = subscription
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read episodes: %w", err)
	}
	return nil
}

// readHolds finds what somebody, or a dispute, has to say against contact.
func (l *look) readHolds(ctx context.Context) error {
	holds, err := holdsAmong(ctx, l.tx, l.refs, l.now)
	if err != nil {
		return err
	}
	for _, x := range l.list {
		x.Holds = holds[x.ref()]
	}
	return nil
}

// readMembers asks each segment's own rule: the list of members is of the last
// tick, and a customer may have paid since (no-stale-contact).
func (l *look) readMembers(ctx context.Context) error {
	bySegment := map[string][]*situated{}
	l.mentioned = map[stepOf][]mention{}
	for _, x := range l.list {
		if x.definition.Segment == "" {
			x.mentions = l.mentions(x, segments.Segment{})
		}
		if x.Member = x.definition.Segment == ""; !x.Member && x.fault == nil {
			bySegment[x.definition.Segment] = append(bySegment[x.definition.Segment], x)
		}
	}
	for name, list := range bySegment {
		segment, err := segments.Load(ctx, l.tx, name, l.settings.Currency)
		var fault *rule.Error
		switch {
		case errors.As(err, &fault), errors.Is(err, workspace.ErrNotFound):
			faulty(list, fmt.Errorf("segment %q: %w", name, err))
			continue
		case err != nil:
			return err
		}
		err = l.eval(ctx, segment.Rule, segment.Parents, list, func(x *situated, holds bool) {
			x.Member, x.SegmentWaits = holds, segment.Waits != ""
			x.mentions = l.mentions(x, segment)
		})
		if errors.Is(err, segments.ErrRule) {
			faulty(list, fmt.Errorf("segment %q: %w", name, err))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// mentions are the attributes on which the decision about a step hangs.
func (l *look) mentions(x *situated, segment segments.Segment) []mention {
	step := stepOf{x.key.Campaign, x.version, x.Step.Name}
	found, ok := l.mentioned[step]
	if !ok {
		found = mentionedBy(segment.Parents, segment.Rule, x.Step.If, x.definition.Goal)
		l.mentioned[step] = found
	}
	return found
}

// readRules asks the conditions of steps and the goals of campaigns.
func (l *look) readRules(ctx context.Context) error {
	type asked struct {
		rule *rule.Rule
		what string
		list []*situated
		note func(*situated, bool)
	}
	var all []*asked
	byRule := map[*rule.Rule]*asked{}
	ask := func(r *rule.Rule, what string, x *situated, note func(*situated, bool)) {
		if byRule[r] == nil {
			byRule[r] = &asked{rule: r, what: what, note: note}
			all = append(all, byRule[r])
		}
		byRule[r].list = append(byRule[r].list, x)
	}
	for _, x := range l.list {
		x.Condition = true
		if r := x.Step.If; r != nil {
			ask(r, fmt.Sprintf("if of step %q", x.Step.Name), x, func(x *situated, holds bool) { x.Condition = holds })
		}
		if r := x.definition.Goal; r != nil {
			ask(r, fmt.Sprintf("goal of campaign %q", x.key.Campaign), x, func(x *situated, holds bool) { x.Goal = holds })
		}
	}
	for _, a := range all {
		parents, err := segments.ParentsOf(ctx, l.tx, a.rule, l.settings.Currency)
		if err == nil {
			err = l.eval(ctx, a.rule, parents, a.list, a.note)
		}
		if errors.Is(err, workspace.ErrNotFound) || errors.Is(err, segments.ErrRule) {
			faulty(a.list, fmt.Errorf("%s: %w", a.what, err))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// eval evaluates a rule for the customers of some deliveries.
func (l *look) eval(ctx context.Context, r *rule.Rule, parents segments.Parents, list []*situated, note func(*situated, bool)) error {
	var keys []Key
	for _, x := range list {
		keys = append(keys, x.key)
	}
	holds, err := segments.HoldsFor(ctx, l.tx, r, parents, l.env, refsOf(keys))
	if err != nil {
		return err
	}
	for _, x := range list {
		note(x, holds[x.key.Ref()])
	}
	return nil
}

func faulty(list []*situated, err error) {
	for _, x := range list {
		x.fault = err
	}
}

// cardEpisode names the card a customer has now, as episodeSQL does.
func cardEpisode(p customers.Picture) string {
	expires, ok := p.Value("card_expires_at").(rule.Date)
	if !ok {
		return ""
	}
	return p.CardID + " " + expires.String()
}
