package segments

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// news is what customers told since the last tick: who changed, and in what.
type news struct {
	refs     []customers.Ref // without duplicates
	names    [][]string      // of each: attributes, fields and collections
	place    map[customers.Ref]int
	overflow bool // they were too many to read
}

// everything is what a new customer names.
const everything = "*"

// readNews consumes the news. That of accounts which are not ready tells nothing:
// the lists are built anew when they are.
func (e *evaluation) readNews(ctx context.Context) error {
	rows, err := e.tx.Query(ctx, `
		with news as (delete from dunlin.changed_customers returning account_id, customer_id, attributes)
		select account_id, customer_id, attributes from news where account_id = any($2) limit $1`, maxNews+1, e.ready)
	if err != nil {
		return fmt.Errorf("take the news: %w", err)
	}
	e.news.place = map[customers.Ref]int{}
	var ref customers.Ref
	var names []string
	lines := 0
	_, err = pgx.ForEachRow(rows, []any{&ref.Account, &ref.Customer, &names}, func() error {
		lines++
		if i, known := e.news.place[ref]; known {
			e.news.names[i] = append(e.news.names[i], names...)
		} else {
			e.news.place[ref] = len(e.news.refs)
			e.news.refs, e.news.names = append(e.news.refs, ref), append(e.news.names, slices.Clone(names))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("take the news: %w", err)
	}
	if lines > maxNews {
		e.news = news{overflow: true}
		e.tick.Everyone = true
	}
	e.tick.Changed = e.news.refs
	return nil
}

// touched are customers who may have come or gone.
type touched struct {
	refs    []customers.Ref
	tooMany bool // to look at one by one
}

// readCrossings finds, in one round trip, whom time alone may have moved: for
// every bound of every rule the owners of what it passed over since the last
// tick, by a range scan of the column's index.
func (e *evaluation) readCrossings(ctx context.Context, list []*state) error {
	e.crossed = map[rule.Crossing]touched{}
	batch := &pgx.Batch{}
	for _, s := range list {
		if s.Evaluate != "" && s.building == nil {
			continue
		}
		for _, r := range s.rules() {
			for _, x := range r.Crossings(e.was, e.env) {
				if _, known := e.crossed[x]; known {
					continue
				}
				e.crossed[x] = touched{}
				sql, args := crossingSQL(x)
				batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
					refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[customers.Ref])
					e.crossed[x] = touched{refs, len(refs) > maxCandidates}
					return err
				})
			}
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := e.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("find whom time has moved: %w", err)
	}
	return nil
}

// crossingSQL has the names of a catalog in it, and the values as arguments.
func crossingSQL(x rule.Crossing) (string, []any) {
	table := "customers"
	if x.Collection != "" {
		table = x.Collection
	}
	arg := func(b rule.Bound) any {
		if b.IsDate() {
			return time.Date(b.Date.Year, b.Date.Month, b.Date.Day, 0, 0, 0, 0, time.UTC)
		}
		return b.Instant
	}
	column, cast := pgx.Identifier{x.Name}.Sanitize(), "timestamptz"
	if x.From.IsDate() {
		cast = "date"
	}
	return fmt.Sprintf(`select account_id, customer_id from %s where %s >= $1::%s and %s <= $2::%s limit %d`,
		pgx.Identifier{"dunlin", table}.Sanitize(), column, cast, column, cast, maxCandidates+1), []any{arg(x.From), arg(x.To)}
}

// candidates are the customers, without duplicates and in order, whose answer to
// a rule may be another than at the last tick: those of whom something changed
// that the rule reads, those over whom a bound has passed, and those who came
// into or went from a segment that it names.
func (e *evaluation) candidates(r *rule.Rule) touched {
	if found, known := e.touched[r]; known {
		return found
	}
	found := e.find(r)
	slices.SortFunc(found.refs, compare)
	found.refs = slices.Compact(found.refs)
	found.tooMany = found.tooMany || len(found.refs) > maxCandidates
	e.touched[r] = found
	return found
}

func (e *evaluation) find(r *rule.Rule) (found touched) {
	found.tooMany = e.news.overflow
	reads := map[string]bool{everything: true}
	for _, name := range r.Reads() {
		reads[name] = true
	}
	for i, names := range e.news.names {
		if slices.ContainsFunc(names, func(n string) bool { return reads[n] }) {
			found.refs = append(found.refs, e.news.refs[i])
		}
	}
	for _, x := range r.Crossings(e.was, e.env) {
		found.refs = append(found.refs, e.crossed[x].refs...)
		found.tooMany = found.tooMany || e.crossed[x].tooMany
	}
	for _, p := range r.Segments() {
		found.refs = append(found.refs, e.moved[p]...)
		found.tooMany = found.tooMany || e.replaced[p]
	}
	return found
}

// rules are those of the segment and of its lists, without duplicates.
func (s *state) rules() (list []*rule.Rule) {
	add := func(r *rule.Rule) {
		if r != nil && !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	add(s.rule)
	for _, g := range []*generation{s.live, s.building} {
		if g != nil {
			add(g.rule)
		}
	}
	return list
}
