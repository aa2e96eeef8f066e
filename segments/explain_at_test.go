package segments_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/workspace"
)

// TestExplainAt holds every-why for past instants: the rule, its parents, the
// membership and the customer are those of then.
func TestExplainAt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"owing"}
	f.save(f.parse("owing", "delinquent"))
	f.save(f.parse("failing", "in segment 'owing' and count(charges) >= 2"))
	id := f.customer(f.account, "ann", map[string]any{"delinquent": true, "known_since": monday})
	charge := func(name string, at time.Time) {
		f.exec(`insert into dunlin.charges (account_id, customer_id, id, created_at) values ($1, $2, $3, $4)`, f.account, id, name, at)
		f.changed(f.account, id)
	}
	charge("ch_1", monday.Add(-time.Hour))
	f.tick()
	first := f.now

	f.now = monday.Add(24 * time.Hour)
	charge("ch_2", f.now)
	f.tick()
	second := f.now

	f.now = monday.Add(48 * time.Hour)
	f.exec(`insert into dunlin.customer_history (account_id, customer_id, changed_at, was) values ($1, $2, $3, '{"delinquent": true}')`, f.account, id, f.now)
	f.set(id, "delinquent", false)
	f.tick()
	third := f.now
	f.save(f.parse("owing", "mrr > 1 usd"))

	at := func(instant time.Time, name string) segments.Answer {
		t.Helper()
		s, err := segments.LoadAt(t.Context(), f.pool, name, "usd", instant)
		if err != nil {
			t.Fatal(err)
		}
		env := segments.Env(workspace.Settings{Zone: time.UTC, Currency: "usd"}, instant)
		a, err := segments.Asking{Env: env, Parents: s.Parents}.ExplainAt(t.Context(), f.pool, s, customers.Ref{Account: f.account, Customer: id})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, tt := range []struct {
		name         string
		at           time.Time
		segment      string
		version      int
		member, true bool
		says         string
	}{
		{"a charge that was not made yet", first, "failing", 1, false, false, "count(charges) is 1"},
		{"the instant it was made", second, "failing", 1, true, true, "count(charges) is 2"},
		{"between", second.Add(time.Hour), "failing", 1, true, true, "count(charges) is 2"},
		{"after the customer paid", third, "failing", 1, false, false, "the customer is not in it"},
		{"the version before", third.Add(-time.Hour), "owing", 1, true, true, "delinquent is true"},
		{"the version of now", third, "owing", 2, false, false, "mrr is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := at(tt.at, tt.segment)
			if a.Version != tt.version || a.Member != tt.member || a.True != tt.true || !strings.Contains(a.Rule.String(), tt.says) {
				t.Errorf("%s at %s\n got %+v\n%s\nwant version %d, member %t, rule %t, %q", tt.segment, tt.at, a, a.Rule, tt.version, tt.member, tt.true, tt.says)
			}
		})
	}
	if a := at(second.Add(time.Hour), "failing"); a.Since == nil || !a.Since.Equal(second) || a.Customer != "cus_ann" {
		t.Errorf("a member since\n got %v\nwant %s", a.Since, second)
	}
	f.exec(`update dunlin.customers set known_since = $1`, third)
	if a := at(second, "failing"); a.Rule != nil || !a.Member || !strings.Contains(a.Unknown, "it is known since 2026-03-04T12:00:00Z") {
		t.Errorf("before it was known\n got %+v\nwant the membership and no rule", a)
	}
	if _, err := segments.LoadAt(t.Context(), f.pool, "failing", "usd", monday.Add(-time.Minute)); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("before it was stored\n got %v\nwant ErrNotFound", err)
	}
	f.exec(`update dunlin.segment_versions set rule = 'gone_attribute' where name = 'owing' and version = 1`)
	if _, err := segments.LoadAt(t.Context(), f.pool, "failing", "usd", second); !errors.Is(err, workspace.ErrNotFound) || !strings.Contains(err.Error(), `"owing"`) {
		t.Errorf("a parent that does not check\n got %v\nwant ErrNotFound", err)
	}
}
