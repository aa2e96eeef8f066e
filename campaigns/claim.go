package campaigns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// lease is how long a claimed call may take before its outcome counts as
// unknown: well above the client's longest timeout. Machine time.
const lease = 2 * time.Minute

// A Claim is permission to make one call, once.
type Claim struct {
	Key       Key
	Token     string    // of this attempt; Record wants it back
	Attempt   int       // from 1; more only after calls that surely did nothing
	At        time.Time // business time of the claim
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

// A Consideration is a look at a delivery without claiming it.
type Consideration struct {
	Decision
	Ref      customers.Ref
	Email    string
	AskFirst bool // the verdict hangs on the contact, and what is stored of it is missing or old
	Settled  bool // it is not planned any more, or not due
}

// Consider decides without a lock and changes nothing: it tells the worker
// whether Intercom has to be asked about the contact before the claim.
func (s *Store) Consider(ctx context.Context, key Key, now time.Time) (Consideration, error) {
	var out Consideration
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		x, ok, err := s.situation(ctx, tx, key, now, false)
		if errors.As(err, &unreadable{}) {
			out.Decision = Decision{Verdict: Wait, Reason: Unreadable, Until: now.Add(recheckSlow)}
			return nil
		}
		if err != nil || !ok {
			out.Settled = !ok
			return err
		}
		out.Decision = Decide(x.Situation)
		out.Ref = x.picture.Ref
		out.Email, _ = x.picture.Value("email").(string)
		stale := x.Contact.State == "" || now.Sub(x.Contact.Checked) > contactFresh
		out.AskFirst = stale && (out.Verdict == Send || out.Reason == ContactStale)
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("consider delivery: %w", err)
	}
	return out, nil
}

// Claim decides under the person's lock and, when the verdict is to send,
// claims the delivery with a lease (one-contact, no-stale-contact). Any other
// verdict is recorded here, and ok is false. The claim is committed when Claim
// returns: a crash from then on leaves a claimed delivery whose lease runs out,
// which [Store.Sweep] turns into unknown.
func (s *Store) Claim(ctx context.Context, key Key, now time.Time) (claim Claim, ok bool, err error) {
	err = pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		x, due, err := s.situation(ctx, tx, key, now, true)
		if errors.As(err, &unreadable{}) {
			s.Logger.Error("delivery not decided", "delivery", key, "error", err)
			return s.settle(ctx, tx, key, Decision{Verdict: Wait, Reason: Unreadable, Until: now.Add(recheckSlow)}, now)
		}
		if err != nil || !due {
			return err
		}
		d := Decide(x.Situation)
		if d.Verdict != Send {
			return s.settle(ctx, tx, key, d, now)
		}
		if claim, err = s.prepare(x); err != nil {
			return fail(ctx, tx, key, now, "the text cannot be rendered: "+err.Error())
		}
		claim.Key = key
		ok = true
		return s.claim(ctx, tx, x, &claim, now)
	})
	if err != nil {
		return Claim{}, false, fmt.Errorf("claim delivery: %w", err)
	}
	return claim, ok && claim.Token != "", nil
}

// situated is a situation with what the claim itself needs beside it.
type situated struct {
	Situation
	campaign string
	picture  customers.Picture
	settings workspace.Settings
}

// situation reads everything a decision depends on. Under lock, the person's
// rows come first, so that all claims of one person queue up behind each other;
// then the enrollment's, before its deliveries', as in a tick, so that neither
// waits for what the other holds. due is false when there is nothing to decide.
func (s *Store) situation(ctx context.Context, tx pgx.Tx, key Key, now time.Time, lock bool) (x situated, due bool, err error) {
	ref := customers.Ref{Account: key.Account, Customer: key.Customer}
	contact, err := s.Contact(ctx, tx, ref)
	if err != nil {
		return x, false, err
	}
	forUpdate := ""
	if lock {
		forUpdate = "for update of d"
		_, err := tx.Exec(ctx, `
			select from dunlin.enrollments
			where account_id = @account and customer_id = @customer and campaign = @campaign and episode = @episode
			for update`, key.argsWithoutStep())
		if err != nil {
			return x, false, fmt.Errorf("lock enrollment: %w", err)
		}
	}
	var version int
	var state, campaign State
	var startsAt time.Time
	var waited Reason
	err = tx.QueryRow(ctx, `
		select e.version, e.state, e.starts_at, c.state, coalesce(d.reason, '')
		from dunlin.deliveries d
		join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
		join dunlin.campaigns c on c.name = d.campaign
		where d.account_id = @account and d.customer_id = @customer and d.campaign = @campaign and d.episode = @episode and d.step = @step
		  and d.state = 'planned' and d.due_at <= @now `+forUpdate, key.args("now", now)).
		Scan(&version, &state, &startsAt, &campaign, &waited)
	if errors.Is(err, pgx.ErrNoRows) {
		return x, false, nil
	}
	if err != nil {
		return x, false, fmt.Errorf("read delivery: %w", err)
	}
	settings, err := workspace.Load(ctx, tx)
	if err != nil {
		return x, false, err
	}
	d, err := s.definition(ctx, tx, settings, key.Campaign, version)
	if err != nil {
		return x, false, err
	}
	picture, err := customers.Load(ctx, tx, ref)
	if err != nil {
		return x, false, err
	}
	step, _ := d.Step(key.Step)
	x = situated{campaign: key.Campaign, picture: picture, settings: settings, Situation: Situation{
		Now: now, Settings: settings, DryRun: s.DryRun, NoIntercom: s.NoIntercom,
		Paused: campaign == Halted, Enrolled: state == "active", NeverExit: d.NeverExit,
		Step: step, Scheduled: schedule(d, step, picture, startsAt, settings.Zone), Contact: contact, Waited: waited,
	}}
	if x.Scheduled != nil {
		expires := x.Scheduled.Add(length(step.Expires))
		x.Expires = &expires
	}
	x.Contact.Place.Country, _ = picture.Value("country").(string)
	x.Contact.Place.Region = picture.State
	x.SameEpisode = d.Episode.Kind != EpisodeCard || key.Episode == cardEpisode(picture)
	if x.Stopped, err = workspace.Stopped(ctx, tx); err != nil {
		return x, false, err
	}
	if x.Unapplied, err = s.Unapplied(ctx, tx, key.Account, picture.StripeID); err != nil {
		return x, false, err
	}
	env := segments.Env(settings, now)
	segment, err := segments.Load(ctx, tx, d.Segment, settings.Currency)
	var fault *rule.Error
	switch {
	case errors.As(err, &fault), errors.Is(err, workspace.ErrNotFound):
		return x, true, unreadable{fmt.Errorf("segment %q: %w", d.Segment, err)}
	case err != nil:
		return x, false, err
	}
	x.SegmentWaits = segment.Waits != ""
	if x.Member, err = segments.Holds(ctx, tx, segment.Rule, segment.Parents, env, ref); errors.Is(err, segments.ErrRule) {
		return x, true, unreadable{fmt.Errorf("segment %q: %w", d.Segment, err)}
	} else if err != nil {
		return x, false, err
	}
	x.Condition = true
	if step.If != nil {
		parents, err := segments.ParentsOf(ctx, tx, step.If, settings.Currency)
		if err == nil {
			x.Condition, err = segments.Holds(ctx, tx, step.If, parents, env, ref)
		}
		if errors.Is(err, workspace.ErrNotFound) || errors.Is(err, segments.ErrRule) {
			return x, true, unreadable{fmt.Errorf("if of step %q: %w", step.Name, err)}
		}
		if err != nil {
			return x, false, err
		}
	}
	return x, true, nil
}

// cardEpisode names the card a customer has now, as episodeSQL does.
func cardEpisode(p customers.Picture) string {
	expires, ok := p.Value("card_expires_at").(rule.Date)
	if !ok {
		return ""
	}
	return p.CardID + " " + expires.String()
}

// prepare fills in the texts.
func (s *Store) prepare(x situated) (Claim, error) {
	step := x.Step
	c := Claim{
		Action: step.Action, At: x.Now, Channel: step.Channel, Sender: step.Sender, Traceable: step.Traceable, Plain: step.Plain,
		Tag: step.Tag, Event: step.Event, URL: step.URL, Secret: step.Secret,
	}
	if c.Sender == 0 {
		c.Sender = x.settings.Sender
	}
	if x.Contact.State == "linked" {
		c.ContactID, c.Role = x.Contact.ID, x.Contact.Role
	}
	var v Variant
	if len(step.Variants) > 0 {
		v = step.variant(x.campaign, person(x.Contact, x.picture.Ref))
	}
	said, err := step.render(v, x.picture, x.Contact, x.settings)
	c.Variant, c.Subject, c.Body, c.Title, c.Values = said.Variant, said.Subject, said.Body, said.Title, said.Values
	if err != nil {
		return c, err
	}
	if x.Step.Team != "" {
		c.Team = x.settings.Teams[x.Step.Team]
	}
	return c, nil
}

// claim writes the claim. A task becomes a row of ours in the same transaction;
// without a contact to open a ticket for it is done with that.
func (s *Store) claim(ctx context.Context, tx pgx.Tx, x situated, c *Claim, now time.Time) error {
	token := rand.Text()
	args := c.Key.args("now", now, "contact", c.ContactID, "token", token, "lease", lease)
	if c.Action == Task {
		id, err := s.openTask(ctx, tx, x, *c, now)
		if err != nil {
			return err
		}
		c.Reference = fmt.Sprintf("dunlin-%d", id)
		if c.ContactID == "" {
			return sent(ctx, tx, c.Key, now, "kept as a task of ours: "+string(taskStays(x.Contact)))
		}
	}
	err := tx.QueryRow(ctx, `
		update dunlin.deliveries set state = 'claimed', reason = null, token = md5(@token)::uuid, attempts = attempts + 1,
		       leased_until = clock_timestamp() + @lease::interval, claimed_at = @now, decided_at = @now, contact_id = @contact
		where `+oneDelivery+` returning attempts`, args).Scan(&c.Attempt)
	if err != nil {
		return fmt.Errorf("write claim: %w", err)
	}
	c.Token = token
	return nil
}

func taskStays(c Contact) Reason {
	if c.State == "ambiguous" {
		return AmbiguousContact
	}
	return NoContact
}

// settle records a decision that is not to send.
func (s *Store) settle(ctx context.Context, tx pgx.Tx, key Key, d Decision, now time.Time) error {
	if d.Verdict == Wait {
		_, err := tx.Exec(ctx, `
			update dunlin.deliveries set reason = @reason, due_at = @until, decided_at = @now, poked_until = null
			where `+oneDelivery, key.args("now", now, "reason", d.Reason, "until", d.Until))
		if err != nil {
			return fmt.Errorf("record wait: %w", err)
		}
		return nil
	}
	_, err := tx.Exec(ctx, `
		update dunlin.deliveries set state = 'skipped', reason = @reason, ended_at = @now, decided_at = @now
		where `+oneDelivery, key.args("now", now, "reason", d.Reason))
	if err != nil {
		return fmt.Errorf("record skip: %w", err)
	}
	if d.Verdict == Stop {
		_, err = tx.Exec(ctx, `
			with ended as (
				update dunlin.enrollments set state = 'exited', reason = @reason, ended_at = @now
				where account_id = @account and customer_id = @customer and campaign = @campaign and episode = @episode and state = 'active')
			update dunlin.deliveries set state = 'skipped', reason = @reason, ended_at = @now, decided_at = @now
			where account_id = @account and customer_id = @customer and campaign = @campaign and episode = @episode and state = 'planned'`,
			key.argsWithoutStep("now", now, "reason", d.Reason))
		if err != nil {
			return fmt.Errorf("record stop: %w", err)
		}
	}
	return finish(ctx, tx, key, now)
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
