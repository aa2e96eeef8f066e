package archtest

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// promiseNames are the promises of the design, section 2, by the names that code,
// tests and docs use.
var promiseNames = []string{
	"exact-membership", "one-contact", "nothing-lost", "decent-hours", "no-stale-contact", "one-budget",
	"honest-mirror", "safe-webhooks", "closed-language", "honest-money", "no-surprise-blast", "every-why",
}

// A place holds a promise, or a part of it: some file that matches files has a
// line that matches text.
type place struct {
	files string // a glob, from the root; test files match only if it says _test
	text  string // a regular expression
}

// promises says where each promise is held: the constraint, the code that relies
// on it, the tests that try to break it. Whoever moves one of these moves the
// row; whoever builds a promise adds it.
var promises = map[string][]place{
	"one-contact": {
		{"migrations/*.sql", `constraint deliveries_one_contact primary key \(account_id, customer_id, campaign, episode, step\)`},
		{"campaigns/*.go", `deliveries_one_contact`},
		{"campaigns/reconcile.go", `exception of one-contact`},
		{"jobs/reconcile_test.go", `one-contact`},
		{"jobs/*.go", `one-contact`},
		{"campaigns/*_test.go", `one-contact`},
		{"cmd/dunlin/kill_test.go", `one-contact`},
		{"cmd/dunlin/chaos_test.go", `one-contact`},
	},
	"nothing-lost": {
		{"migrations/*.sql", `create index deliveries_claimed on dunlin.deliveries \(leased_until\)`},
		{"jobs/*.go", `nothing-lost`},
		{"campaigns/*_test.go", `nothing-lost`},
		{"cmd/dunlin/kill_test.go", `nothing-lost`},
		{"cmd/dunlin/chaos_test.go", `nothing-lost`},
	},
	"decent-hours": {
		{"campaigns/*.go", `decent-hours`},
		{"campaigns/*_test.go", `decent-hours`},
		{"cmd/dunlin/chaos_test.go", `decent-hours`},
	},
	"no-stale-contact": {
		{"campaigns/*.go", `no-stale-contact`},
		{"campaigns/*_test.go", `no-stale-contact`},
		{"cmd/dunlin/chaos_test.go", `no-stale-contact`},
	},
	"one-budget": {
		{"migrations/*.sql", `one-budget`},
		{"workspace/*.go", `one-budget`},
		{"campaigns/budget.go", `one-budget`},
		{"campaigns/budget_test.go", `one-budget`},
		{"campaigns/decide_test.go", `one-budget`},
		{"cmd/dunlin/chaos_test.go", `one-budget`},
	},
	"honest-mirror": {
		{"migrations/*.sql", `ready_at .*honest-mirror`},
		{"stripesync/*.go", `honest-mirror`},
		{"segments/*.go", `honest-mirror`},
		{"segments/*_test.go", `honest-mirror`},
		{"stripesync/*_test.go", `honest-mirror`},
	},
	"safe-webhooks": {
		{"migrations/*.sql", `safe-webhooks`},
		{"stripesync/*.go", `safe-webhooks`},
		{"stripesync/*_test.go", `safe-webhooks`},
	},
	"exact-membership": {
		{"migrations/*.sql", `create unique index generations_one_live on dunlin.generations \(segment\)`},
		{"segments/*.go", `exact-membership`},
		{"segments/rule/crossings.go", `exact-membership`},
		{"segments/rule/*_test.go", `exact-membership`},
		{"segments/history_test.go", `exact-membership`},
	},
	"closed-language": {
		{"segments/rule/catalog.go", `closed-language`},
		{"segments/rule/injection_test.go", `closed-language`},
		{"segments/compile*.go", `closed-language`},
		{"segments/ask.go", `closed-language`},
		{"segments/ask_test.go", `closed-language`},
	},
	"every-why": {
		{"segments/explain.go", `every-why`},
		{"cmd/dunlin/segments_test.go", `every-why`},
		{"migrations/*.sql", `create trigger decisions_append_only`},
		{"campaigns/decisions.go", `every-why`},
		{"campaigns/why.go", `every-why`},
		{"campaigns/*_test.go", `every-why`},
	},
	"no-surprise-blast": {
		{"segments/unusual.go", `no-surprise-blast`},
		{"segments/*_test.go", `no-surprise-blast`},
		{"campaigns/*.go", `no-surprise-blast`},
		{"cmd/dunlin/campaigns_start.go", `no-surprise-blast`},
		{"cmd/dunlin/campaigns_start_test.go", `no-surprise-blast`},
		{"campaigns/*_test.go", `no-surprise-blast`},
	},
	"honest-money": {
		{"customers/*.go", `honest-money`},
		{"segments/rule/eval_sets.go", `honest-money`},
		{"internal/archtest/tables_test.go", `honest-money`},
	},
}

// checkPromises returns a line for each place that does not hold what it is said
// to hold, and for each promise that the design does not know.
func checkPromises(tree fs.FS, promises map[string][]place) ([]string, error) {
	var faults []string
	for name, places := range promises {
		if !slices.Contains(promiseNames, name) {
			faults = append(faults, fmt.Sprintf("%q is no promise of the design", name))
		}
		for _, p := range places {
			found, err := holds(tree, p)
			if err != nil {
				return nil, err
			}
			if !found {
				faults = append(faults, fmt.Sprintf("%s: nothing in %s matches %q; it was moved, or the promise is no longer held", name, p.files, p.text))
			}
		}
	}
	slices.Sort(faults)
	return faults, nil
}

func holds(tree fs.FS, p place) (bool, error) {
	text, err := regexp.Compile(p.text)
	if err != nil {
		return false, err
	}
	names, err := fs.Glob(tree, p.files)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") && !strings.Contains(p.files, "_test") {
			continue
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(strings.Split(string(content), "\n"), text.MatchString) {
			return true, nil
		}
	}
	return false, nil
}

func TestPromises(t *testing.T) {
	t.Parallel()
	faults, err := checkPromises(root(t), promises)
	if err != nil {
		t.Fatal(err)
	}
	report(t, faults)
}

func TestCheckPromises(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"migrations/0001_a.sql": {Data: []byte("-- nothing\n")},
		"migrations/0002_b.sql": {Data: []byte("constraint held primary key (id)\n")},
		"jobs/deliver_test.go":  {Data: []byte("// one-contact\n")},
	}
	faults, err := checkPromises(tree, map[string][]place{
		"one-contact":  {{"migrations/*.sql", `constraint held`}, {"migrations/0001_*.sql", `constraint held`}, {"jobs/*.go", `.`}, {"jobs/*_test.go", `one-contact`}},
		"best-effort":  {{"migrations/*.sql", `nothing`}},
		"nothing-lost": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFaults(t, faults, `"best-effort" is no promise`, "nothing in jobs/*.go", "nothing in migrations/0001_*.sql")
	if _, err := checkPromises(tree, map[string][]place{"one-contact": {{"migrations/*.sql", `(`}}}); err == nil {
		t.Error("a broken expression was taken for one that does not match")
	}
}
