package campaigns

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// lease is how long a claimed call may take before its outcome counts as
// unknown: well above the client's longest timeout. Machine time.
const lease = 2 * time.Minute

// A Claim is permission to make one call, once.
type Claim struct {
	Key       Key
	Token     string    // of this attempt; Record wants it back
	Attempt   int       // from 1; more only after calls that surely did nothing, or were not made
	Failure   Failure   // the last one; empty: none yet
	Failures  int       // in a row; see Failed
	At        time.Time // business time of the claim; of an event see eventsApart
	Action    Action
	ContactID string // empty for what needs no contact and has none
	Role      string // user or lead
	Reference string // what the effect carries to be found by again: of a task dunlin-ID, else the delivery's own

	Channel   Channel
	Sender    int64  // message, note
	Traceable bool   // message
	Plain     bool   // e-mail
	Variant   string // message
	Subject   string // e-mail
	Body      string // message, note: HTML; task: text
	Title     string // task
	Team      string // task: Intercom's id of the team; empty when unknown
	Owner     int64  // task: Intercom admin; 0: nobody yet
	Tag       string // tag, untag
	Event     string // event
	Values    []Pair // event, attributes
	URL       string // webhook
	Secret    string // webhook: name of the environment variable
}

// A Pair is a name and its value.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Batch is what became of deliveries that were to be claimed. The others are
// settled: what must wait waits, with a reason, and what is not to be is skipped.
type Batch struct {
	Claims []Claim
	Ready  []Key // the verdict was to send, but no more claims were allowed
	Stale  []Key // the verdict hangs on a contact of whom nothing is known, or nothing fresh: Intercom can be asked
	Old    []Key // the account's data is older than the campaign puts up with: Stripe can be asked
	Busy   []Key // somebody else is at them, or at the person: to be asked for again
}

// A decided delivery is a situation and what was decided on it.
type decided struct {
	*situated
	Decision
	detail string // what is to be said beside a reason to fail
}

// logged is what the log keeps of a decision.
func (x *situated) logged(d Decision) Decided {
	out := Decided{
		Key: x.key, Version: x.version, Decision: d, Situation: &x.Situation,
		Holdout: x.definition.Holdout, Mentions: x.mentions, Picture: x.picture,
	}
	if len(x.Step.Variants) > 1 {
		out.Variant = x.Step.variant(x.key.Campaign, person(x.Contact, x.ref())).Name
	}
	return out
}

// decide is [Decide], and waits where there is nothing to decide by.
func (s *Store) decide(x *situated) Decision {
	if x.fault == nil {
		return Decide(x.Situation)
	}
	s.Logger.Error("delivery not decided", "delivery", x.key, "error", x.fault)
	return Decision{Verdict: Wait, Reason: Unreadable, Until: x.Now.Add(recheckSlow)}
}

// Claim decides under the persons' locks and claims up to so many deliveries whose
// verdict is to send, with a lease (one-contact, no-stale-contact). Any other
// verdict is recorded, but unless it is final what can be helped by asking Intercom
// or Stripe is left alone. The claims are committed when Claim returns: a crash
// from then on leaves claimed deliveries whose lease runs out, which [Store.Sweep]
// turns into unknown.
func (s *Store) Claim(ctx context.Context, keys []Key, now time.Time, atMost int, final bool) (out Batch, err error) {
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		list, busy, err := s.situations(ctx, tx, keys, now, true)
		if err != nil {
			return err
		}
		out = Batch{Busy: busy}
		var settled []decided
		var sends []*situated
		for _, x := range list {
			d := s.decide(x)
			switch {
			case !final && (d.Reason == ContactStale || d.Verdict == Send && x.Step.Action == Task && x.stale()):
				out.Stale = append(out.Stale, x.key) // whoever is linked gets the ticket of a task
			case !final && d.Reason == DataOld:
				out.Old = append(out.Old, x.key)
			case d.Verdict == Send && len(sends) == atMost:
				out.Ready = append(out.Ready, x.key)
			case d.Verdict == Send:
				c, err := s.prepare(x)
				if err == nil {
					out.Claims, sends = append(out.Claims, c), append(sends, x)
					continue
				}
				settled = append(settled, decided{x, Decision{Verdict: failing, Reason: Unrenderable}, "the text cannot be rendered: " + err.Error()})
			default:
				settled = append(settled, decided{x, d, ""})
			}
		}
		if err := s.settle(ctx, tx, settled, now); err != nil {
			return err
		}
		out.Claims, err = s.claim(ctx, tx, sends, out.Claims, now)
		return err
	})
	if err != nil {
		return Batch{}, fmt.Errorf("claim deliveries: %w", err)
	}
	return out, nil
}

// prepare fills in the texts.
func (s *Store) prepare(x *situated) (Claim, error) {
	step := x.Step
	c := Claim{
		Key: x.key, Action: step.Action, At: x.at(), Channel: step.Channel, Sender: step.Sender, Traceable: step.Traceable, Plain: step.Plain,
		Tag: step.Tag, Event: step.Event, URL: step.URL, Secret: step.Secret,
	}
	if c.Sender == 0 {
		c.Sender = x.Settings.Sender
	}
	if x.Contact.State == "linked" {
		c.ContactID, c.Role = x.Contact.ID, x.Contact.Role
	}
	var v Variant
	if len(step.Variants) > 0 {
		v = step.variant(x.key.Campaign, person(x.Contact, x.ref()))
	}
	said, err := step.render(v, x.picture, x.Contact, x.Settings)
	c.Variant, c.Subject, c.Body, c.Title, c.Values = said.Variant, said.Subject, said.Body, said.Title, said.Values
	if err != nil {
		return c, err
	}
	if x.Step.Team != "" {
		c.Team = x.Settings.Teams[x.Step.Team]
	}
	return c, nil
}

// claim writes claims. A task becomes a row of ours in the same transaction;
// without a contact to open a ticket for it is done with that, and its claim is
// not among those returned.
func (s *Store) claim(ctx context.Context, tx pgx.Tx, list []*situated, claims []Claim, now time.Time) ([]Claim, error) {
	var out []Claim
	var contacts []bool
	var kept []Key
	var details []string
	var logged []Decided
	for i, x := range list {
		c := claims[i]
		if x.Waited != IntercomAway && x.Waited != WebhookFails { // else it says again what was said before the last attempt
			logged = append(logged, x.logged(Decision{Verdict: Send}))
		}
		c.Token = rand.Text()
		c.Reference = referenceOf(c.Key)
		if c.Action == Task {
			id, err := s.openTask(ctx, tx, x, c, now)
			if err != nil {
				return nil, err
			}
			c.Reference = taskReference(id)
			var ticket string
			if c.Owner, ticket, err = keptTask(ctx, tx, id); err != nil {
				return nil, err
			}
			switch {
			case ticket != "":
				kept, details = append(kept, c.Key), append(details, "the task was open before: ticket "+ticket)
				continue
			case c.ContactID == "":
				kept, details = append(kept, c.Key), append(details, "kept as a task of ours: "+string(taskStays(x.Contact)))
				continue
			}
		}
		out, contacts = append(out, c), append(contacts, x.Step.Contact)
	}
	if err := s.logDecisions(ctx, tx, logged); err != nil {
		return nil, err
	}
	if err := sent(ctx, tx, kept, details, now); err != nil || len(out) == 0 {
		return nil, err
	}
	if err := eventsApart(ctx, tx, out); err != nil {
		return nil, err
	}
	keys, ats := make([]Key, len(out)), make([]time.Time, len(out))
	tokens, ids, variants := make([]string, len(out)), make([]string, len(out)), make([]string, len(out))
	for i, c := range out {
		keys[i], ats[i], tokens[i], ids[i], variants[i] = c.Key, c.At, c.Token, c.ContactID, c.Variant
	}
	rows, err := tx.Query(ctx, `
		with k as materialized (select k.*, w.at, w.token, w.contact_id, w.variant, w.contacts from `+keysSQL+`
			join unnest(@ats::timestamptz[], @tokens::text[], @contact_ids::text[], @variants::text[], @contacts::boolean[])
				with ordinality as w (at, token, contact_id, variant, contacts, place) using (place)),
		decided as (
			update dunlin.enrollments e set held_out = false
			from k where `+sameEnrollment("e")+` and e.held_out is null)
		update dunlin.deliveries d set state = 'claimed', reason = null, token = md5(k.token)::uuid, attempts = attempts + 1,
		       leased_until = clock_timestamp() + @lease::interval, decided_at = @now,
		       claimed_at = k.at, contact_id = k.contact_id, variant = nullif(k.variant, ''),
		       contacted_at = case when k.contacts then @now::timestamptz end
		from k where `+sameDelivery("d")+`
		returning k.place, d.attempts, coalesce(d.failure, ''), d.failures`,
		columns(keys, pgx.StrictNamedArgs{"ats": ats, "tokens": tokens, "contact_ids": ids, "variants": variants, "contacts": contacts, "lease": lease, "now": now}))
	if err != nil {
		return nil, fmt.Errorf("write claims: %w", err)
	}
	var place, attempt, failures, written int
	var failure Failure
	_, err = pgx.ForEachRow(rows, []any{&place, &attempt, &failure, &failures}, func() error {
		c := &out[place-1]
		c.Attempt, c.Failure, c.Failures = attempt, failure, failures
		written++
		return nil
	})
	if err == nil && written != len(out) {
		err = fmt.Errorf("%d of %d were there", written, len(out))
	}
	if err != nil {
		return nil, fmt.Errorf("write claims: %w", err)
	}
	return out, nil
}

// referenceOf is what the effect of a delivery can be found by again: the same in
// every attempt, short enough to be read out, and about nobody.
func referenceOf(k Key) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%d\x00%s\x00%s\x00%s", k.Account, k.Customer, k.Campaign, k.Episode, k.Step))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:10]
}

// taskReference is what the ticket of a task can be found by.
func taskReference(id int64) string { return fmt.Sprintf("dunlin-%d", id) }

func taskStays(c Contact) Reason {
	if c.State == "ambiguous" {
		return AmbiguousContact
	}
	return NoContact
}

// settle records decisions that are not to send.
func (s *Store) settle(ctx context.Context, tx pgx.Tx, list []decided, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	keys := make([]Key, len(list))
	verdicts, reasons, untils, details := make([]string, len(list)), make([]string, len(list)), make([]*time.Time, len(list)), make([]string, len(list))
	for i, d := range list {
		keys[i], verdicts[i], reasons[i], details[i] = d.key, string(d.Verdict), string(d.Reason), d.detail
		if d.Verdict == Wait {
			untils[i] = &d.Until
		}
	}
	args := columns(keys, pgx.StrictNamedArgs{
		"verdicts": verdicts, "reasons": reasons, "untils": untils, "details": details, "now": now, "held_out": HeldOut,
	})
	const decidedSQL = `with k as materialized (select k.*, w.verdict, w.reason, w.until, w.detail from ` + keysSQL + `
			join unnest(@verdicts::text[], @reasons::text[], @untils::timestamptz[], @details::text[])
				with ordinality as w (verdict, reason, until, detail, place) using (place))`
	var logged []Decided
	for _, d := range list {
		if !repeats(d.Waited, d.Decision) {
			logged = append(logged, d.logged(d.Decision))
		}
	}
	if err := s.logDecisions(ctx, tx, logged); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, decidedSQL+`,
		apart as (
			update dunlin.enrollments e set held_out = true
			from k where `+sameEnrollment("e")+` and k.reason = @held_out and e.held_out is null)
		update dunlin.deliveries d set
		       state = case k.verdict when 'wait' then 'planned' when 'fail' then 'failed' else 'skipped' end,
		       reason = k.reason, detail = coalesce(nullif(k.detail, ''), d.detail), decided_at = @now,
		       due_at = coalesce(k.until, d.due_at),
		       poked_until = case when k.verdict <> 'wait' then d.poked_until end,
		       ended_at = case when k.verdict <> 'wait' then @now::timestamptz end,
		       claimed_at = case when k.reason = @held_out then @now::timestamptz else d.claimed_at end
		from k where `+sameDelivery("d"), args)
	if err != nil {
		return fmt.Errorf("record decisions: %w", err)
	}
	if err := revive(ctx, tx, list, now); err != nil {
		return err
	}
	var stopped []Key
	var why []string
	var over []Key
	for i, d := range list {
		switch d.Verdict {
		case Stop:
			stopped, why = append(stopped, keys[i]), append(why, string(d.Reason))
		case Wait:
		default:
			over = append(over, keys[i])
		}
	}
	if err := stop(ctx, tx, stopped, why, now); err != nil {
		return err
	}
	return finish(ctx, tx, over, now)
}

// stop ends enrollments, and skips what is left of them.
func stop(ctx context.Context, tx pgx.Tx, keys []Key, why []string, now time.Time) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		with k as materialized (select k.*, w.reason from `+keysSQL+`
			join unnest(@reasons::text[]) with ordinality as w (reason, place) using (place)),
		ended as (
			update dunlin.enrollments e set state = 'exited', reason = k.reason, ended_at = @now,
			       goal_at = case when k.reason = @goal and e.goal_until > @now then @now::timestamptz end
			from k where `+sameEnrollment("e")+` and e.state = 'active')
		update dunlin.deliveries d set state = 'skipped', reason = k.reason, ended_at = @now, decided_at = @now
		from k where d.account_id = k.account_id and d.customer_id = k.customer_id and d.campaign = k.campaign and d.episode = k.episode
		  and d.state = 'planned'`, columns(keys, pgx.StrictNamedArgs{"reasons": why, "now": now, "goal": GoalReached}))
	if err != nil {
		return fmt.Errorf("record stops: %w", err)
	}
	return nil
}

// sameDelivery joins an alias of deliveries with the keys k, and sameEnrollment
// one of enrollments.
func sameDelivery(x string) string { return sameEnrollment(x) + ` and ` + x + `.step = k.step` }

func sameEnrollment(x string) string {
	return x + `.account_id = k.account_id and ` + x + `.customer_id = k.customer_id and ` + x + `.campaign = k.campaign and ` + x + `.episode = k.episode`
}

const oneDelivery = `account_id = @account and customer_id = @customer and campaign = @campaign and episode = @episode and step = @step`

// args are the key as named arguments, with more of them in pairs.
func (k Key) args(more ...any) pgx.StrictNamedArgs {
	a := k.argsWithoutStep(more...)
	a["step"] = k.Step
	return a
}

func (k Key) argsWithoutStep(more ...any) pgx.StrictNamedArgs {
	a := pgx.StrictNamedArgs{"account": k.Account, "customer": k.Customer, "campaign": k.Campaign, "episode": k.Episode}
	for i := 0; i+1 < len(more); i += 2 {
		a[more[i].(string)] = more[i+1]
	}
	return a
}
