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

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

type segmentsCmd struct {
	List    segmentsListCmd    `cmd:"" default:"1" help:"Every segment, with its members' number."`
	Check   segmentsCheckCmd   `cmd:"" help:"Check a rule; print it in canonical form, or what is wrong with it."`
	Count   segmentsCountCmd   `cmd:"" help:"How many customers a segment's rule is true for, now."`
	Members segmentsMembersCmd `cmd:"" help:"Who is in a segment."`
}

type segmentsListCmd struct{}

// A listedSegment is a line of dunlin segments list.
type listedSegment struct {
	Name        string     `json:"name"`
	Version     int        `json:"version"`
	Members     int64      `json:"members"`
	Description string     `json:"description"`
	EvaluatedAt *time.Time `json:"evaluated_at"`
	Fault       string     `json:"fault,omitempty"`
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
			rows = append(rows, listedSegment{s.Name, s.Version, s.Members, s.Description, s.EvaluatedAt, s.Fault})
		}
		return list(a, rows, "SEGMENT VERSION MEMBERS DESCRIPTION", func(s listedSegment) []string {
			description := s.Description
			if s.Fault != "" {
				description = "NOT EVALUATED: " + s.Fault
			}
			return []string{s.Name, strconv.Itoa(s.Version), strconv.FormatInt(s.Members, 10), description}
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
	source := c.Rule
	if source == "-" {
		data, err := io.ReadAll(io.LimitReader(a.in, 1<<20))
		if err != nil {
			return fmt.Errorf("read the rule: %w", err)
		}
		source = string(data)
	}
	r, err := rule.New(source, customers.Attributes, c.Currency)
	if err != nil {
		return a.wrongRule(err)
	}
	cond, err := segments.Compile(r, rule.Env{Now: time.Now(), Zone: time.UTC, Currency: c.Currency})
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
	Name string `arg:"" help:"A segment."`
}

// Run counts.
func (c segmentsCountCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		settings, err := workspace.Load(ctx, db.Pool)
		if err != nil {
			return err
		}
		s, err := segments.Load(ctx, db.Pool, c.Name, settings.Currency)
		if err != nil {
			return err
		}
		n, err := segments.Count(ctx, db.Pool, s.Rule, segments.Env(settings, time.Now()))
		if err != nil {
			return err
		}
		if a.json {
			return a.line(map[string]any{"segment": s.Name, "count": n})
		}
		fmt.Fprintln(a.out, n)
		return nil
	})
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
