package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	sq "github.com/Masterminds/squirrel"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

type segmentsCmd struct {
	List    segmentsListCmd    `cmd:"" default:"1" help:"Every segment, with its members' number."`
	Check   segmentsCheckCmd   `cmd:"" help:"Check a rule; print it in canonical form, or what is wrong with it."`
	Count   segmentsCountCmd   `cmd:"" help:"How many customers a segment's rule is true for, now."`
	Members segmentsMembersCmd `cmd:"" help:"Who is in a segment."`
	Explain segmentsExplainCmd `cmd:"" help:"Why a customer is in a segment, or is not, and when time alone changes that."`
	Audit   segmentsAuditCmd   `cmd:"" help:"Compare members with the rules over every customer, repair what differs, and report it."`
	Accept  segmentsAcceptCmd  `cmd:"" help:"Accept an unusual change: the segment's campaigns go on."`
}

type segmentsListCmd struct{}

// A listedSegment is a line of dunlin segments list.
type listedSegment struct {
	Name        string     `json:"name"`
	Version     int        `json:"version"`
	Members     int64      `json:"members"`
	Description string     `json:"description"`
	EvaluatedAt *time.Time `json:"evaluated_at"` // when the list was built that every tick has kept exact since
	AuditedAt   *time.Time `json:"audited_at"`
	Drift       int64      `json:"drift"`              // what the last audit repaired
	Evaluate    string     `json:"evaluate,omitempty"` // its schedule
	Building    string     `json:"building,omitempty"` // why its list is being built
	Waits       string     `json:"waits,omitempty"`    // why its campaigns wait
	Fault       string     `json:"fault,omitempty"`
}

// state is what somebody has to know first.
func (s listedSegment) state() string {
	switch {
	case s.Fault != "":
		return "NOT EVALUATED: " + s.Fault
	case s.Waits != "":
		return "CAMPAIGNS WAIT: " + s.Waits + "; if that is right: dunlin segments accept " + s.Name
	case s.Drift != 0:
		return fmt.Sprintf("DRIFTED: the last audit repaired %s; please report it. %s", plural(s.Drift, "member"), s.Description)
	case s.Building != "":
		return "building (" + s.Building + ") " + s.Description
	}
	return s.Description
}

// Run lists.
func (segmentsListCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		stored, err := segments.List(ctx, db.Pool)
		if err != nil {
			return err
		}
		var rows []listedSegment
		for _, s := range stored {
			rows = append(rows, listedSegment{s.Name, s.Version, s.Members, s.Description, s.EvaluatedAt, s.AuditedAt, s.Drift,
				s.Evaluate, s.Building, s.Waits, s.Fault})
		}
		return list(a, rows, "SEGMENT VERSION MEMBERS DESCRIPTION", func(s listedSegment) []string {
			return []string{s.Name, strconv.Itoa(s.Version), strconv.FormatInt(s.Members, 10), strings.Join(strings.Fields(s.state()), " ")}
		})
	})
}

type segmentsCheckCmd struct {
	SQL      bool   `help:"Print the SQL it becomes, with its arguments." name:"sql"`
	Currency string `help:"The workspace's currency, for bare numbers beside money." default:"usd"`
	Rule     string `arg:"" help:"The rule; - reads standard input."`
}

// checkedRule is the answer of dunlin segments check --json.
type checkedRule struct {
	OK          bool             `json:"ok"`
	Rule        string           `json:"rule,omitempty"` // in canonical form
	SQL         *string          `json:"sql"`            // null for a wrong rule
	Args        []any            `json:"args"`
	Diagnostics []ruleDiagnostic `json:"diagnostics"`
}

type ruleDiagnostic struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// Run checks a rule. It needs no database.
func (c segmentsCheckCmd) Run(a *app) error {
	source, err := a.ruleText(c.Rule)
	if err != nil {
		return err
	}
	r, err := rule.New(source, segments.Known{}, c.Currency)
	if err != nil {
		return a.wrongRule(err)
	}
	cond, err := segments.Compile(r, rule.Env{Now: time.Now(), Zone: time.UTC, Currency: c.Currency}, nil)
	if err != nil {
		return err
	}
	sql, args, err := sq.Select("c.account_id", "c.customer_id").From("dunlin.customers c").Where(cond).PlaceholderFormat(sq.Dollar).ToSql()
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	canonical := strings.TrimRight(rule.Format(r.Tree()), "\n")
	switch {
	case a.json:
		return a.line(checkedRule{OK: true, Rule: canonical, SQL: &sql, Args: orEmpty(args), Diagnostics: []ruleDiagnostic{}})
	case c.SQL:
		fmt.Fprintln(a.out, sql)
		for i, arg := range args {
			fmt.Fprintf(a.out, "$%d = %v\n", i+1, arg)
		}
	default:
		fmt.Fprintln(a.out, canonical)
	}
	return nil
}

// ruleText is an argument, or standard input for a dash.
func (a *app) ruleText(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	data, err := io.ReadAll(io.LimitReader(a.in, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the rule: %w", err)
	}
	return string(data), nil
}

func (a *app) wrongRule(err error) error {
	var wrong *rule.Error
	if !a.json || !errors.As(err, &wrong) {
		return err
	}
	out := checkedRule{Args: []any{}}
	for _, d := range wrong.Diagnostics {
		line, column := wrong.Position(d)
		out.Diagnostics = append(out.Diagnostics, ruleDiagnostic{line, column, d.Msg, d.Hint})
	}
	if err := a.line(out); err != nil {
		return err
	}
	return &usageError{errors.New("the rule is wrong; see the diagnostics")}
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

type segmentsCountCmd struct {
	Name   string `arg:"" optional:"" help:"A segment."`
	Rule   string `help:"A rule that need not be anybody's segment; - reads standard input." placeholder:"RULE"`
	Sample int    `help:"Also list so many of the customers." placeholder:"N"`
}

// countedRule is the answer of dunlin segments count --json.
type countedRule struct {
	Segment string   `json:"segment,omitempty"`
	Count   int64    `json:"count"`
	Sample  []string `json:"sample,omitempty"`
}

// Run counts, at this moment.
func (c segmentsCountCmd) Run(ctx context.Context, a *app) error {
	if (c.Name == "") == (c.Rule == "") {
		return usagef("name a segment, or give a rule by --rule")
	}
	if c.Sample < 0 {
		return usagef("--sample is %d; write how many customers to list", c.Sample)
	}
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		s, err := c.segment(ctx, a, db, settings)
		if err != nil {
			return err
		}
		asking := segments.Asking{DB: db.Pool, Env: segments.Env(settings, time.Now()), Parents: s.Parents}
		out := countedRule{Segment: c.Name}
		if out.Count, err = asking.Count(ctx, s.Rule); err != nil {
			return err
		}
		if c.Sample > 0 {
			if out.Sample, err = asking.Sample(ctx, s.Rule, c.Sample); err != nil {
				return err
			}
		}
		if a.json {
			return a.line(out)
		}
		fmt.Fprintln(a.out, out.Count)
		for _, id := range out.Sample {
			fmt.Fprintln(a.out, id)
		}
		return nil
	})
}

// segment loads the one that was named, or makes one of the rule.
func (c segmentsCountCmd) segment(ctx context.Context, a *app, db *database, settings workspace.Settings) (segments.Segment, error) {
	if c.Name != "" {
		return segments.Load(ctx, db.Pool, c.Name, settings.Currency)
	}
	source, err := a.ruleText(c.Rule)
	if err != nil {
		return segments.Segment{}, err
	}
	known, parents, err := segments.LoadKnown(ctx, db.Pool, settings.Currency)
	if err != nil {
		return segments.Segment{}, err
	}
	r, err := rule.New(source, known, settings.Currency)
	if err != nil {
		return segments.Segment{}, a.wrongRule(err)
	}
	return segments.Segment{Rule: r, Parents: parents}, nil
}

type segmentsMembersCmd struct {
	Name  string `arg:"" help:"A segment."`
	Limit int    `help:"At most so many." default:"1000"`
}

// Run lists members, as the last tick left them.
func (c segmentsMembersCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		if _, err := segments.Load(ctx, db.Pool, c.Name, settings.Currency); errors.Is(err, workspace.ErrNotFound) {
			return fmt.Errorf("%w; see dunlin segments list", err)
		}
		members, err := segments.Members(ctx, db.Pool, c.Name, c.Limit)
		if err != nil {
			return err
		}
		return list(a, members, "ACCOUNT CUSTOMER SINCE", func(m segments.Member) []string {
			return []string{m.Account, m.StripeID, when(&m.JoinedAt, settings.Zone)}
		})
	})
}
