package campaigns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/workspace"
)

// LookAfter is when an effect whose outcome is unknown is looked for at Intercom:
// so long after the outcome became unknown, at the earliest. What none of these
// looks finds, the last of which comes after Intercom's index has had time, counts
// as not to be found. Machine time.
var LookAfter = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}

const (
	lookLease = 2 * time.Minute  // for one look: nobody else looks meanwhile. Machine time
	lookRest  = 30 * time.Second // after a look that Intercom did not answer. Machine time
)

// A Trace is what an effect can be found by at Intercom.
type Trace string

// The traces.
const (
	NoTraceLeft  Trace = ""        // nothing tells whether it is there
	TraceMessage Trace = "message" // the reference in a conversation
	TraceTicket  Trace = "ticket"  // the reference attribute of a ticket
	TraceNote    Trace = "note"    // the reference in a note of the contact
)

// A Doubt is a delivery of which nobody knows whether Intercom has it.
type Doubt struct {
	Key       Key
	Trace     Trace
	Reference string        // what the claim gave it to be found by
	ContactID string        // it was claimed for
	Since     time.Time     // business time of the claim
	Age       time.Duration // machine time since its outcome became unknown, when the look began
	Resend    bool          // its campaign says on_unknown: resend, and that was not done yet
	token     string        // of the attempt
}

// A Settling is what becomes of a doubt after a look.
type Settling string

// The ways to settle a doubt.
const (
	Found     Settling = "found"      // Intercom has it: sent
	LookAgain Settling = "look_again" // not there yet
	AskPerson Settling = "ask"        // unknown until a person says
	SendAgain Settling = "resend"     // planned again
)

// settling answers what becomes of a doubt after a look that Intercom answered,
// and after which age it is looked for again. It is pure.
func (d Doubt) settling(found bool, looks []time.Duration) (s Settling, again time.Duration) {
	if found {
		return Found, 0
	}
	if d.Trace != NoTraceLeft {
		for _, at := range looks {
			if at > d.Age {
				return LookAgain, at
			}
		}
	}
	if d.Resend {
		return SendAgain, 0
	}
	return AskPerson, 0
}

// TakeDoubts takes up to so many deliveries whose outcome is unknown and for which
// a look at Intercom is due. Nobody else takes them until a lease ends, so that a
// look whose process died is made again. Whoever took one ends it with
// [Store.SettleDoubt], or with [Store.PutOffLook] when Intercom did not answer.
func (s *Store) TakeDoubts(ctx context.Context, limit int) ([]Doubt, error) {
	settings, err := workspace.Load(ctx, s.Pool)
	if err != nil {
		return nil, err
	}
	rows, err := s.Pool.Query(ctx, `
		with due as (
			select account_id, customer_id, campaign, episode, step from dunlin.deliveries
			where state = 'unknown' and look_at <= clock_timestamp()
			order by look_at limit @limit for update skip locked)
		update dunlin.deliveries d set look_at = clock_timestamp() + @lease::interval
		from due k join dunlin.enrollments e using (account_id, customer_id, campaign, episode)
		where `+sameDelivery("d")+`
		returning d.account_id, d.customer_id, d.campaign, d.episode, d.step, d.action, coalesce(d.contact_id, ''), d.claimed_at,
		          clock_timestamp() - d.doubted_at, d.resent, d.token::text, e.version,
		          coalesce((select task_id from dunlin.tasks t where `+oneTask+`), 0)`,
		pgx.StrictNamedArgs{"limit": limit, "lease": lookLease})
	if err != nil {
		return nil, fmt.Errorf("find what to look for: %w", err)
	}
	type row struct {
		Doubt
		action  Action
		resent  bool
		version int
		task    int64
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (x row, err error) {
		err = r.Scan(&x.Key.Account, &x.Key.Customer, &x.Key.Campaign, &x.Key.Episode, &x.Key.Step, &x.action, &x.ContactID, &x.Since,
			&x.Age, &x.resent, &x.token, &x.version, &x.task)
		return x, err
	})
	if err != nil {
		return nil, fmt.Errorf("find what to look for: %w", err)
	}
	out := make([]Doubt, len(list))
	for i, x := range list {
		// A definition that does not parse any more resends nothing, and its message
		// may have been traceable.
		d, err := s.definition(ctx, s.Pool, settings, x.Key.Campaign, x.version)
		if err != nil && !errors.As(err, &unreadable{}) {
			return nil, err
		}
		step, _ := d.Step(x.Key.Step)
		x.Resend = d.Resend && !x.resent
		x.Trace, x.Reference = trace(x.action, step.Traceable || err != nil, x.Key, x.task)
		out[i] = x.Doubt
	}
	return out, nil
}

// oneTask joins tasks t with their deliveries d.
const oneTask = `t.account_id = d.account_id and t.customer_id = d.customer_id and t.campaign = d.campaign and t.episode = d.episode and t.step = d.step`

// trace is what an action leaves to be found by, and the reference that its claim
// carried.
func trace(action Action, traceable bool, k Key, task int64) (Trace, string) {
	switch {
	case action == Message && traceable:
		return TraceMessage, referenceOf(k)
	case action == Note:
		return TraceNote, referenceOf(k)
	case action == Task && task != 0:
		return TraceTicket, taskReference(task)
	}
	return NoTraceLeft, ""
}

// PutOffLook is for a look that Intercom did not answer: it does not count, is made
// again after a rest, and what Intercom said stands where people see it.
func (s *Store) PutOffLook(ctx context.Context, d Doubt, detail string) error {
	_, err := s.Pool.Exec(ctx, `
		update dunlin.deliveries set look_at = clock_timestamp() + @rest::interval, detail = @detail
		where `+oneDelivery+` and state = 'unknown' and look_at is not null and token = @token::uuid`,
		d.Key.args("rest", lookRest, "detail", detail, "token", d.token))
	if err != nil {
		return fmt.Errorf("put off look: %w", err)
	}
	return nil
}

// SettleDoubt records what a look found: Intercom's id of the effect, or nothing.
// What was found is sent. What was not is looked for again, and after the last look
// left to a person or, where the campaign says so, planned again (see [planAgain]).
// It is fenced by the attempt's token: an answer that was recorded meanwhile, or
// what a person said, stands, and the settling is empty.
func (s *Store) SettleDoubt(ctx context.Context, d Doubt, externalID string, now time.Time) (Settling, error) {
	settling, again := d.settling(externalID != "", s.LookAfter)
	ours := false
	err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		var err error
		if ours, err = lockDelivery(ctx, tx, d.Key, `state = 'unknown' and look_at is not null and token = @token::uuid`, "token", d.token); !ours {
			return err
		}
		switch settling {
		case Found:
			return found(ctx, tx, d.Key, externalID, "found at Intercom after its answer was lost", said{FoundThere, ""}, now)
		case SendAgain:
			return planAgain(ctx, tx, d.Key, said{SentAgain, ""}, now)
		case AskPerson:
			return ask(ctx, tx, d, now)
		}
		_, err = tx.Exec(ctx, `update dunlin.deliveries set looks = looks + 1, look_at = greatest(doubted_at + @again::interval, clock_timestamp()) where `+oneDelivery,
			d.Key.args("again", again))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("settle unknown delivery: %w", err)
	}
	if !ours {
		return "", nil
	}
	return settling, nil
}

// lockDelivery locks a delivery of which a condition holds, and its enrollment
// first, as a tick and a claim do, so that none of them holds what another waits
// for. It reports whether there is such a delivery.
func lockDelivery(ctx context.Context, tx pgx.Tx, k Key, condition string, args ...any) (bool, error) {
	if err := lockEnrollment(ctx, tx, k); err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, `select from dunlin.deliveries where `+oneDelivery+` and `+condition+` for update`, k.args(args...))
	if err != nil {
		return false, fmt.Errorf("lock delivery: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// ask leaves a doubt to a person, for whom its reason says so.
func ask(ctx context.Context, tx pgx.Tx, d Doubt, now time.Time) error {
	why, looks := NotFound, 1
	if d.Trace == NoTraceLeft {
		why, looks = Untraceable, 0
	}
	_, err := tx.Exec(ctx, `update dunlin.deliveries set reason = @why, looks = looks + @looks, look_at = null where `+oneDelivery,
		d.Key.args("why", why, "looks", looks))
	if err != nil {
		return err
	}
	return logSaid(ctx, tx, d.Key, said{why, ""}, now)
}

// found ends a delivery of which it turned out that Intercom has it. externalID may
// be empty when a person says so.
func found(ctx context.Context, tx pgx.Tx, k Key, externalID, detail string, why said, now time.Time) error {
	var action Action
	err := tx.QueryRow(ctx, `
		update dunlin.deliveries set state = 'sent', reason = null, ended_at = @now, external_id = nullif(@external, ''), detail = @detail, look_at = null
		where `+oneDelivery+` returning action`, k.args("now", now, "external", externalID, "detail", detail)).Scan(&action)
	if err != nil {
		return err
	}
	if action == Task && externalID != "" {
		if err := ticketOpened(ctx, tx, k, externalID, 0, now); err != nil {
			return err
		}
	}
	if err := logSaid(ctx, tx, k, why, now); err != nil {
		return err
	}
	return finish(ctx, tx, []Key{k}, now)
}

// planAgain plans a delivery afresh: it is due, and decided like any other. It does
// not count in the contact budget any more, and its enrollment, if it had finished,
// goes on. After on_unknown: resend this is the one exception of one-contact: what
// leaves next may be there already. The attempt goes on counting, what it failed
// by does not, and its token is gone, so that no late answer speaks for the next one.
//
// Its time stays what it was, and so it may be too late by now, unless somebody
// wants it to be tried again: then its time is now, and it expires from now on.
func planAgain(ctx context.Context, tx pgx.Tx, k Key, why said, now time.Time) error {
	var anew *time.Time
	if why.reason == TriedAgain {
		anew = &now
	}
	_, err := tx.Exec(ctx, `
		update dunlin.deliveries set state = 'planned', reason = null, detail = null, ended_at = null, external_id = null, token = null,
		       contacted_at = null, look_at = null, doubted_at = null, looks = 0, poked_until = null, resent = resent or @resent,
		       failure = null, failures = 0, scheduled_at = coalesce(@anew, scheduled_at), due_at = coalesce(@anew, due_at),
		       not_before = coalesce(@anew, not_before), expires_at = coalesce(@anew + (expires_at - scheduled_at), expires_at)
		where `+oneDelivery, k.args("resent", why.reason == SentAgain, "anew", anew))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		update dunlin.enrollments set state = 'active', ended_at = null
		where account_id = @account and customer_id = @customer and campaign = @campaign and episode = @episode and state = 'finished'`, k.argsWithoutStep())
	if err != nil {
		return err
	}
	return logSaid(ctx, tx, k, why, now)
}

// A said is what the decision log keeps of a settling.
type said struct {
	reason Reason
	by     string // who said so; empty: it was found out
}

// logSaid appends to the decision log what became of a delivery outside a decision
// (every-why).
func logSaid(ctx context.Context, tx pgx.Tx, k Key, what said, now time.Time) error {
	_, err := tx.Exec(ctx, `
		insert into dunlin.decisions (account_id, customer_id, campaign, episode, step, decided_at, verdict, reason, version, inputs)
		select account_id, customer_id, campaign, episode, @step, @now, @verdict, @reason, version, jsonb_strip_nulls(jsonb_build_object('by', nullif(@by::text, '')))
		from dunlin.enrollments where account_id = @account and customer_id = @customer and campaign = @campaign and episode = @episode`,
		k.args("now", now, "verdict", settled, "reason", what.reason, "by", what.by))
	if err != nil {
		return fmt.Errorf("log settling: %w", err)
	}
	return nil
}
