package campaigns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// A Question asks why a customer hears from a campaign, or does not.
type Question struct {
	Ref      customers.Ref
	Campaign string
	Now      time.Time // business time
	At       time.Time // as of this instant; zero: now
}

// An Answer says why a customer was contacted by a campaign, or why not, and
// what would change that (every-why).
type Answer struct {
	Account  string    `json:"account"`
	Customer string    `json:"customer"` // id at Stripe
	Campaign string    `json:"campaign"`
	At       time.Time `json:"at"`

	Summary     string           `json:"summary"`      // one sentence, or two
	Contacted   bool             `json:"contacted"`    // a step that reaches the customer was taken
	Because     []string         `json:"because"`      // why there is no enrollment; empty when there is one
	Change      []string         `json:"would_change"` // what would change it, and when time alone does
	Version     int              `json:"version"`      // of the campaign, in force; 0: it was not stored yet
	State       State            `json:"state"`        // of the campaign; empty: it was started, and whether it was paused then is not known
	StartedAt   *time.Time       `json:"started_at"`
	StoppedAt   *time.Time       `json:"stopped_at,omitempty"` // dunlin stop: since when nothing left
	Trigger     string           `json:"trigger,omitempty"`    // the event that enrolls; empty: joining the segment does
	Segment     *segments.Answer `json:"segment"`              // null without a segment, or when it cannot be evaluated
	Enrollments []Passage        `json:"enrollments"`          // oldest first
	Remarks     []string         `json:"remarks,omitempty"`    // what cannot be said, and why

	definition Definition
	settings   workspace.Settings
	past       bool
	scopedAt   *time.Time // since when it enrolls whom it enrolls
	unready    bool       // the account's first sync has not finished; of now alone
	waits      string     // why the segment's campaigns wait; empty when they do not
	again      bool       // a member, not enrolled again: what it would be about was taken up before
}

// A Passage is one enrollment in an [Answer].
type Passage struct {
	Episode    string     `json:"episode"`
	Version    int        `json:"version"`
	State      string     `json:"state"`
	Reason     string     `json:"reason,omitempty"`
	Words      string     `json:"words,omitempty"` // the reason, for people
	EnrolledAt time.Time  `json:"enrolled_at"`
	StartsAt   time.Time  `json:"starts_at"`
	EndedAt    *time.Time `json:"ended_at"`
	HeldOut    *bool      `json:"held_out"` // null: not decided yet
	GoalAt     *time.Time `json:"goal_at"`
	Steps      []Taken    `json:"steps"` // in the order of their times
}

// A Taken is one step of an enrollment: its delivery, and what was decided of it.
type Taken struct {
	Step        string          `json:"step"`
	Action      Action          `json:"action"`
	State       string          `json:"state"`
	Reason      string          `json:"reason,omitempty"`
	Words       string          `json:"words,omitempty"`
	Variant     string          `json:"variant,omitempty"`
	Detail      string          `json:"detail,omitempty"` // what Intercom said
	Contacts    bool            `json:"contacts"`         // it reaches the customer
	ScheduledAt *time.Time      `json:"scheduled_at"`
	DueAt       *time.Time      `json:"due_at"` // of what is planned: when it is decided (again)
	ExpiresAt   *time.Time      `json:"expires_at"`
	ClaimedAt   *time.Time      `json:"claimed_at"`
	EndedAt     *time.Time      `json:"ended_at"`
	Decisions   []Verdicted     `json:"decisions"`    // oldest first
	If          *rule.Explained `json:"if,omitempty"` // the step's condition, when it was not met
}

// A Verdicted is a line of the decision log.
type Verdicted struct {
	At         time.Time       `json:"at"`
	Verdict    Verdict         `json:"verdict"`
	Reason     Reason          `json:"reason,omitempty"`
	Words      string          `json:"words"`
	Arithmetic string          `json:"arithmetic,omitempty"` // what the reason was reckoned from
	Until      *time.Time      `json:"until"`
	Version    int             `json:"version"`
	Inputs     json.RawMessage `json:"inputs"`

	inputs inputs
}

// Explain answers a question from one snapshot. A campaign or customer that is
// not there is an error wrapping [workspace.ErrNotFound] or
// [customers.ErrNotFound].
func Explain(ctx context.Context, db segmentsDB, question Question) (Answer, error) {
	out := Answer{Campaign: question.Campaign, At: question.At.UTC(), Because: []string{}, Change: []string{}, Enrollments: []Passage{}, past: !question.At.IsZero()}
	if !out.past {
		out.At = question.Now.UTC()
	}
	err := pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return out.read(ctx, tx, question.Ref)
	})
	if err != nil {
		return Answer{}, fmt.Errorf("explain campaign %q: %w", question.Campaign, err)
	}
	return out, nil
}

// segmentsDB begins transactions, as a pool does.
type segmentsDB interface {
	BeginTx(context.Context, pgx.TxOptions) (pgx.Tx, error)
}

func (a *Answer) read(ctx context.Context, tx pgx.Tx, ref customers.Ref) (err error) {
	err = tx.QueryRow(ctx, `
		select a.name, c.stripe_id, a.ready_at is null and not $4, (select min(stopped_at) from dunlin.stops where stopped_at <= $3 and (lifted_at is null or lifted_at > $3))
		from dunlin.customers c join dunlin.accounts a using (account_id)
		where c.account_id = $1 and c.customer_id = $2`, ref.Account, ref.Customer, a.At, a.past).Scan(&a.Account, &a.Customer, &a.unready, &a.StoppedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return customers.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read customer %d: %w", ref.Customer, err)
	}
	if a.settings, err = workspace.Load(ctx, tx); err != nil {
		return err
	}
	if err := a.readCampaign(ctx, tx); err != nil {
		return err
	}
	if err := a.readSegment(ctx, tx, ref); err != nil {
		return err
	}
	if a.Enrollments, err = a.passages(ctx, tx, ref); err != nil {
		return err
	}
	if err := a.readDecisions(ctx, tx, ref); err != nil {
		return err
	}
	if len(a.Enrollments) == 0 {
		if err := a.neverEnrolled(ctx, tx, ref); err != nil {
			return err
		}
	}
	if err := a.readAgain(ctx, tx, ref); err != nil {
		return err
	}
	a.conclude()
	return nil
}

// readCampaign reads the campaign and the version in force at the instant.
func (a *Answer) readCampaign(ctx context.Context, tx pgx.Tx) error {
	var version int
	err := tx.QueryRow(ctx, `
		select c.state, c.started_at, c.scoped_at, coalesce(
			case when $3 then (select max(v.version) from dunlin.campaign_versions v where v.name = c.name and v.created_at <= $2) else c.version end, 0)
		from dunlin.campaigns c where c.name = $1`, a.Campaign, a.At, a.past).Scan(&a.State, &a.StartedAt, &a.scopedAt, &version)
	if errors.Is(err, pgx.ErrNoRows) {
		return workspace.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read campaign: %w", err)
	}
	if a.StartedAt = inUTC(a.StartedAt); a.past && (a.StartedAt == nil || a.StartedAt.After(a.At)) {
		a.State, a.StartedAt = Draft, nil
	} else if a.past {
		if err := a.readState(ctx, tx); err != nil {
			return err
		}
	}
	if a.Version = version; version == 0 {
		return nil
	}
	a.definition, err = definitionOf(ctx, tx, a.settings, a.Campaign, version)
	if errors.As(err, &unreadable{}) {
		a.remark("version %d of the campaign cannot be read any more: apply it again", version)
		return nil
	}
	a.Trigger = a.definition.Trigger
	return err
}

// readState reads whether the campaign ran or was paused at the instant.
func (a *Answer) readState(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, `
		select coalesce((select state from dunlin.campaign_states where campaign = $1 and since <= $2 order by since desc, state_id desc limit 1), '')`,
		a.Campaign, a.At).Scan(&a.State)
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}

// definitionOf is one version of a campaign, for who has no [Store].
func definitionOf(ctx context.Context, q customers.Querier, settings workspace.Settings, name string, version int) (Definition, error) {
	return (&Store{parsed: map[versionKey]Definition{}}).definition(ctx, q, settings, name, version)
}

// readSegment asks the segment's rule about the customer.
func (a *Answer) readSegment(ctx context.Context, tx pgx.Tx, ref customers.Ref) error {
	name := a.definition.Segment
	if name == "" {
		return nil
	}
	load := func() (segments.Segment, error) { return segments.Load(ctx, tx, name, a.settings.Currency) }
	if a.past {
		load = func() (segments.Segment, error) { return segments.LoadAt(ctx, tx, name, a.settings.Currency, a.At) }
	}
	s, err := load()
	var fault *rule.Error
	switch {
	case errors.As(err, &fault):
		a.remark("the rule of segment %s has a fault: apply it again", name)
		return nil
	case errors.Is(err, workspace.ErrNotFound):
		a.remark("segment %s, or one that its rule names, was not stored at that time, or cannot be evaluated", name)
		return nil
	case err != nil:
		return err
	}
	answer, err := a.ask(ctx, tx, s, ref, a.At, a.past)
	if err != nil {
		return err
	}
	if answer.Unknown != "" {
		a.remark("what its attributes were is not known: %s", answer.Unknown)
	}
	a.waits = s.Waits
	answer.Version = s.Version
	a.Segment = &answer
	return nil
}

func (a *Answer) ask(ctx context.Context, tx pgx.Tx, s segments.Segment, ref customers.Ref, at time.Time, past bool) (segments.Answer, error) {
	asking := segments.Asking{Env: segments.Env(a.settings, at), Parents: s.Parents}
	if past {
		return asking.ExplainAt(ctx, tx, s, ref)
	}
	return asking.Explain(ctx, tx, s, ref)
}

func (a *Answer) remark(format string, args ...any) {
	a.Remarks = append(a.Remarks, fmt.Sprintf(format, args...))
}
