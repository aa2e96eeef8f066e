package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/segments/rule"
)

// againstHand counts who each rule is true for, by the compiled rule and by hand,
// in turns, and returns how long the compiled ones took in all: a full evaluation.
func (w *benchWorld) againstHand() (full time.Duration) {
	const turns = 3
	ask := segments.Asking{DB: w.db.Pool, Env: w.env(w.now), Parents: w.parents(), Timeout: time.Hour, MaxCost: -1}
	var s strings.Builder
	s.WriteString("## Compiled rules against SQL written by hand\n\nThe best of three counts each, in turns and in alternating order.\n\n| rule | customers | compiled, ms | by hand, ms | ratio |\n|---|---|---|---|---|\n")
	var ratios []float64
	for _, b := range benchSegments {
		var compiled, byHand []time.Duration
		var counted, expected int64
		byRule := func() {
			var err error
			counted, err = ask.Count(w.Context(), w.rules[b.name])
			w.check(err)
		}
		for turn := range turns {
			if turn%2 == 0 {
				compiled = append(compiled, timed(byRule))
			}
			byHand = append(byHand, timed(func() { expected = w.countByHand(b.hand) }))
			if turn%2 == 1 {
				compiled = append(compiled, timed(byRule))
			}
		}
		if counted != expected {
			w.Errorf("%s\n got %d by the rule\nwant %d as by hand", b.rule, counted, expected)
		}
		a, h := slices.Min(compiled), slices.Min(byHand)
		full += a
		ratios = append(ratios, ratio(a, h))
		fmt.Fprintf(&s, "| `%s` | %s | %.1f | %.1f | %.2f |\n", b.rule, thousands(counted), a.Seconds()*1000, h.Seconds()*1000, ratio(a, h))
		w.progress("%s: %s is %s, by hand %s", w.name, b.name, ms(a), ms(h))
	}
	w.figure(fmt.Sprintf("full count by a compiled rule against SQL written by hand, median of %d, %s customers", len(ratios), thousands(w.size)),
		fmt.Sprintf("%.2f (worst %.2f)", median(ratios), slices.Max(ratios)), "at most 1.15", median(ratios) <= 1.15)
	w.note("%s", strings.TrimSuffix(s.String(), "\n"))
	return full
}

// countByHand wraps a count as segments.Asking wraps one, so that what differs is
// the query.
func (w *benchWorld) countByHand(from string) (n int64) {
	w.check(pgx.BeginTxFunc(w.Context(), w.db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(w.Context(), `set local statement_timeout = 3600000`); err != nil {
			return err
		}
		return tx.QueryRow(w.Context(), `select count(*) from `+literals(from, w.now), pgx.QueryExecModeCacheDescribe).Scan(&n)
	}))
	return n
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

var placeholder = regexp.MustCompile(`\{(now|today)(?:([+-]\d+)([hd]))?\}`)

// literals writes instants and dates into SQL.
func literals(sql string, now time.Time) string {
	return placeholder.ReplaceAllStringFunc(sql, func(found string) string {
		m := placeholder.FindStringSubmatch(found)
		at := now
		if m[2] != "" {
			var n int
			fmt.Sscanf(m[2], "%d", &n)
			at = at.Add(time.Duration(n) * map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour}[m[3]])
		}
		if m[1] == "today" {
			return "date '" + at.Format(time.DateOnly) + "'"
		}
		return "timestamptz '" + at.Format(time.RFC3339Nano) + "'"
	})
}

// plans looks whether Postgres uses an index where one helps.
func (w *benchWorld) plans() {
	var s strings.Builder
	s.WriteString("## Plans\n\nOf a count over everybody. An index is used when no table of customers or elements is read whole.\n\n| rule | plan | index used |\n|---|---|---|\n")
	used := 0
	for _, source := range selective {
		p := w.explain(source)
		answer := "no"
		if len(p.whole) == 0 {
			used++
			answer = "yes"
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s |\n", source, strings.Join(p.nodes, ", "), answer)
	}
	w.figure(fmt.Sprintf("selective rules that use an index, %s customers", thousands(w.size)), fmt.Sprintf("%d of %d", used, len(selective)), "all", used == len(selective))
	w.note("%s", strings.TrimSuffix(s.String(), "\n"))
}

// A countPlan is how Postgres would count the customers of a rule.
type countPlan struct {
	nodes []string        // from the top
	whole map[string]bool // tables that are read from one end to the other
}

func (w *benchWorld) explain(source string) (p countPlan) {
	r, err := rule.New(source, segments.Known{}, "usd")
	w.check(err)
	cond, err := segments.Compile(r, w.env(w.now), w.parents())
	w.check(err)
	// As segments.Asking does.
	sql, args, err := sq.Select("count(*)").From("dunlin.customers c").
		Where("c.account_id in (select account_id from dunlin.accounts where ready_at is not null)").Where(cond).
		PlaceholderFormat(sq.Dollar).ToSql()
	w.check(err)
	var text []byte
	w.row(&text, `explain (format json) `+sql, args...)
	var plans []struct{ Plan planNode }
	w.check(json.Unmarshal(text, &plans))
	p.whole = map[string]bool{}
	for _, top := range plans {
		p.walk(top.Plan)
	}
	w.progress("%s: %s: %s; whole: %v", w.name, source, strings.Join(p.nodes, ", "), slices.Sorted(maps.Keys(p.whole)))
	return p
}

type planNode struct {
	Type  string `json:"Node Type"`
	Table string `json:"Relation Name"`
	Index string `json:"Index Name"`
	Cond  string `json:"Index Cond"`
	Plans []planNode
}

func (p *countPlan) walk(n planNode) {
	name := n.Type
	if n.Index != "" {
		name += " (" + n.Index + ")"
	} else if n.Table != "" {
		name += " (" + n.Table + ")"
	}
	p.nodes = append(p.nodes, name)
	if n.Table != "" && n.Table != "accounts" && (n.Type == "Seq Scan" || strings.HasPrefix(n.Type, "Index") && n.Cond == "") {
		p.whole[n.Table] = true
	}
	for _, c := range n.Plans {
		p.walk(c)
	}
}

// parsing measures a rule from its source to SQL.
func (f *figures) parsing() {
	const batch = 500
	env := rule.Env{Now: benchStart, Zone: time.UTC, Currency: "usd"}
	var took []time.Duration
	for range 21 {
		took = append(took, timed(func() {
			for range batch {
				r, err := rule.New(tenPredicates, segments.Known{}, "usd")
				f.check(err)
				cond, err := segments.Compile(r, env, nil)
				f.check(err)
				_, _, err = cond.ToSql()
				f.check(err)
			}
		})/batch)
	}
	each := median(took)
	f.figure("parse, check and compile a rule of ten predicates", fmt.Sprintf("%.1f µs", each.Seconds()*1e6), "at most 100 µs", each <= 100*time.Microsecond)
}
