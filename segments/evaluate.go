package segments

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// An evaluation is one tick under way.
type evaluation struct {
	tx       pgx.Tx
	logger   *slog.Logger
	settings workspace.Settings
	was, env rule.Env // of the last tick, and of this one
	audit    func(string) bool
	budget   int // customers that lists may still take in, or be told of
	tick     Tick

	ready    []int // accounts, sorted
	news     news
	crossed  map[rule.Crossing]touched
	parents  map[string]bool            // segments that others name
	moved    map[string][]customers.Ref // of parents: who came and went
	rebuilt  map[customers.Ref]bool     // who moved because a list was built anew
	replaced map[string]bool            // of parents: so many that they have no names
	live     map[string]bool            // segments with a list in force
	touched  map[*rule.Rule]touched     // found already
	audited  bool

	last pgx.Batch // what nothing of the tick reads, written at its end
}

// run consumes the news and brings every segment up to the tick's instant.
func (e *evaluation) run(ctx context.Context) error {
	e.parents, e.moved, e.replaced, e.live = map[string]bool{}, map[string][]customers.Ref{}, map[string]bool{}, map[string]bool{}
	e.rebuilt = map[customers.Ref]bool{}
	e.touched = map[*rule.Rule]touched{}
	list, err := states(ctx, e.tx)
	if err != nil {
		return err
	}
	if wait, err := e.readAccounts(ctx); err != nil || wait {
		return err
	}
	if err := e.readNews(ctx); err != nil {
		return err
	}
	e.parse(list)
	list = inOrder(list)
	if err := e.readCrossings(ctx, list); err != nil {
		return err
	}
	for _, s := range list {
		if err := e.segment(ctx, s); err != nil {
			return fmt.Errorf("segment %q: %w", s.Name, err)
		}
		e.live[s.Name] = s.live != nil
	}
	if err := e.episodes(ctx); err != nil {
		return err
	}
	if err := e.sweep(ctx); err != nil {
		return err
	}
	if err := e.tx.SendBatch(ctx, &e.last).Close(); err != nil {
		return fmt.Errorf("record what is usual: %w", err)
	}
	return nil
}

// readAccounts reports that nobody can be looked at: no account is ready, or one
// that the lists know of is being projected again, as after an upgrade, and while
// half of its data is there nobody may leave for it (honest-mirror). The news
// stays; what time alone would have moved is found when the lists are built anew.
func (e *evaluation) readAccounts(ctx context.Context) (wait bool, err error) {
	err = e.tx.QueryRow(ctx, `select coalesce(array_agg(account_id order by account_id), '{}') from dunlin.accounts where ready_at is not null`).Scan(&e.ready)
	if err != nil {
		return false, fmt.Errorf("read accounts: %w", err)
	}
	again, err := ProjectedAgain(ctx, e.tx)
	if err != nil {
		return false, err
	}
	if len(again) > 0 {
		return true, e.missAll(ctx)
	}
	return len(e.ready) == 0, nil
}

func (e *evaluation) missAll(ctx context.Context) error {
	if _, err := e.tx.Exec(ctx, `update dunlin.generations set missed = $1, missed_at = $2 where state <> 'old' and missed is null`, whyAccounts, e.was.Now); err != nil {
		return fmt.Errorf("note what the lists have missed: %w", err)
	}
	return nil
}

// parse checks every rule, also those of lists that earlier versions made.
func (e *evaluation) parse(list []*state) {
	known := Known{Names: []string{}}
	for _, s := range list {
		known.Names = append(known.Names, s.Name)
	}
	for _, s := range list {
		s.hadFault, s.Fault = s.Fault, ""
		var err error
		if s.rule, err = e.checked(s.Source, known); err != nil {
			s.Fault = err.Error()
		}
		for _, g := range []*generation{s.live, s.building} {
			switch {
			case g == nil:
			case g.Source == s.Source:
				g.rule = s.rule
			default:
				g.rule, _ = e.checked(g.Source, known)
			}
		}
	}
	named := map[string][]string{}
	for _, s := range list {
		if s.rule != nil {
			named[s.Name] = s.rule.Segments()
		}
		for _, p := range s.names() {
			e.parents[p] = true
		}
	}
	for _, s := range list {
		if way := Cycle(s.Name, func(name string) []string { return named[name] }); way != "" {
			s.rule, s.Fault = nil, "its rule comes back to itself: "+way
		}
	}
}

// checked is the rule of a source. One that checks and cannot be evaluated, such as
// in the workspace's zone, is at fault like one that does not.
func (e *evaluation) checked(source string, known Known) (*rule.Rule, error) {
	r, err := rule.New(source, known, e.env.Currency)
	if err != nil {
		return nil, err
	}
	if _, err := compileProbe(r, e.env); err != nil {
		return nil, err
	}
	return r, nil
}

// segment brings one segment up to the tick. A rule that does not check any more
// keeps its members and says so; the others are not held up.
func (e *evaluation) segment(ctx context.Context, s *state) error {
	if s.rule == nil {
		return e.fault(ctx, s)
	}
	if err := e.prepare(ctx, s); err != nil {
		return err
	}
	if why := e.whyBuild(s); why != "" && s.building == nil {
		if p := e.parentToCome(s); p != "" {
			s.Fault = fmt.Sprintf("it waits for segment %q, of which it is not known yet who is in it", p)
		} else if err := e.open(ctx, s, why); err != nil {
			return err
		}
	}
	if err := e.recordFault(ctx, s); err != nil {
		return err
	}
	before := s.members()
	if s.building != nil {
		if err := e.build(ctx, s); err != nil {
			return err
		}
	}
	if s.live == nil {
		return nil
	}
	if !s.flipped {
		if err := e.keepUp(ctx, s); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, *state) error{e.tell, e.auditOne} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	return e.watch(ctx, s, before)
}

// prepare settles what was decided about the segment since the last tick.
func (e *evaluation) prepare(ctx context.Context, s *state) error {
	if s.accepted {
		e.tick.Whole[s.Name] = true
		s.Waits, s.usual = "", usual{}
	}
	for _, g := range []*generation{s.live, s.building} {
		if g == nil || g.Version == s.Version || g.Source != s.Source {
			continue
		}
		// Another description, the same rule: the list stays.
		g.Version = s.Version
		if _, err := e.tx.Exec(ctx, `update dunlin.generations set version = $2 where generation = $1`, g.ID, g.Version); err != nil {
			return fmt.Errorf("record the version: %w", err)
		}
	}
	if s.building != nil && !e.fits(s.building, s) {
		if err := e.giveUp(ctx, s); err != nil {
			return err
		}
	}
	if s.live != nil && s.Evaluate != "" {
		return e.miss(ctx, s.live, whySchedule) // what changes from now on is for its next time
	}
	return nil
}

// Why a list is built.
const (
	whyNew      = "new"
	whyEdited   = "edited"
	whySettings = "settings"
	whyAccounts = "accounts"
	whySchedule = "schedule"
	whyParent   = "another segment was built anew"
	whyMany     = "many changes"
	whyFault    = "its rule did not check"
)

// expected are the reasons after which a list may be of any size: apply has shown
// somebody who would enter and leave, or nobody was in it yet.
var expected = map[string]bool{whyNew: true, whyEdited: true, whySettings: true}

// whyBuild says why the segment needs another list than the one in force; empty
// when it does not.
func (e *evaluation) whyBuild(s *state) string {
	switch {
	case s.live == nil:
		return whyNew
	case s.live.Source != s.Source:
		return whyEdited
	case s.live.Zone != e.env.Zone.String() || s.live.Currency != e.env.Currency:
		return whySettings
	case !slices.Equal(s.live.Ready, e.ready):
		return whyAccounts
	case s.live.Missed != "" && (s.live.Missed != whySchedule || s.Evaluate == ""):
		return s.live.Missed
	case s.Evaluate != "":
		if every, err := parseSchedule(s.Evaluate); err == nil && every.due(s.live.Opened, e.tick.At, e.settings.Zone) {
			return whySchedule
		}
		return ""
	}
	for _, p := range s.rule.Segments() {
		if e.replaced[p] {
			return whyParent
		}
	}
	if e.candidates(s.rule).tooMany {
		return whyMany
	}
	return ""
}

// fits says whether a list that is being built is still the one that is wanted.
func (e *evaluation) fits(g *generation, s *state) bool {
	return g.Source == s.Source && g.Zone == e.env.Zone.String() && g.Currency == e.env.Currency && slices.Equal(g.Ready, e.ready)
}

// build goes on with the list that is being built: what changed since the last
// tick, then the next customers. When that was everybody, the list is exact as
// of this tick and takes the place of the one in force.
func (e *evaluation) build(ctx context.Context, s *state) error {
	g := s.building
	if g.Passed != silent {
		switch found := e.candidates(g.rule); {
		case found.tooMany || g.Missed != "": // it must not be put in force as it is
			if err := e.recordPass(ctx, g, silent); err != nil {
				return err
			}
		case len(found.refs) > 0:
			if _, err := e.amongRefs(ctx, s, g, found.refs, silent); err != nil {
				return err
			}
		}
	}
	if err := e.pass(ctx, s); err != nil {
		return err
	}
	if g.Passed == beyond && s.told == beyond {
		return e.flip(ctx, s)
	}
	e.tick.More = true
	return nil
}

// keepUp brings the list in force up to the tick, by the version of the rule that
// made it, and looks for that only at customers who may have come or gone. When
// it cannot be done any more the members stay, which is noted.
func (e *evaluation) keepUp(ctx context.Context, s *state) error {
	g := s.live
	switch {
	case g.Missed != "":
		return nil
	case g.rule == nil:
		return e.miss(ctx, g, whyFault)
	case g.Zone != e.env.Zone.String() || g.Currency != e.env.Currency:
		return e.miss(ctx, g, whySettings)
	}
	found := e.candidates(g.rule)
	if found.tooMany {
		return e.miss(ctx, g, whyMany)
	}
	if len(found.refs) == 0 {
		return nil
	}
	m, err := e.amongRefs(ctx, s, g, found.refs, s.told)
	if e.parents[s.Name] {
		e.moved[s.Name] = m.refs()
	}
	s.come, s.gone, s.byTime = m.joined, m.left, e.byTime(m)
	return err
}

// fault keeps the members of a segment whose rule does not check, and says why.
func (e *evaluation) fault(ctx context.Context, s *state) error {
	e.logger.Error("segment not evaluated", "segment", s.Name, "version", s.Version, "error", s.Fault)
	if err := e.recordFault(ctx, s); err != nil {
		return err
	}
	for _, g := range []*generation{s.live, s.building} {
		if g == nil {
			continue
		}
		if err := e.miss(ctx, g, whyFault); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) recordFault(ctx context.Context, s *state) error {
	if s.Fault == s.hadFault {
		return nil
	}
	if _, err := e.tx.Exec(ctx, `update dunlin.segments set fault = nullif($2, '') where name = $1`, s.Name, s.Fault); err != nil {
		return fmt.Errorf("record the fault: %w", err)
	}
	return nil
}

// parentToCome returns a segment that the rule names and that has no list yet;
// empty when there is none. Nobody is in a segment before it is known who is in
// those that it names.
func (e *evaluation) parentToCome(s *state) string {
	for _, p := range s.rule.Segments() {
		if !e.live[p] {
			return p
		}
	}
	return ""
}
