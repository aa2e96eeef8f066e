package campaigns

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin/dunlin/workspace"
)

var weekly = workspace.Budget{Contacts: 3, Within: 7 * 24 * time.Hour, Apart: 20 * time.Hour}

func TestBudget(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 2, 11, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name   string
		budget workspace.Budget
		ago    []time.Duration // of the contacts before now, the oldest first
		why    Reason
		wait   time.Duration // 0: there is room
	}{
		{"never contacted", weekly, nil, "", 0},
		{"an hour ago", weekly, []time.Duration{time.Hour}, TooClose, 19 * time.Hour},
		{"at this instant", weekly, []time.Duration{0}, TooClose, 20 * time.Hour},
		{"exactly far enough", weekly, []time.Duration{20 * time.Hour}, "", 0},
		{"two, long ago", weekly, []time.Duration{6 * day, 2 * day}, "", 0},
		{"three within the week", weekly, []time.Duration{6 * day, 4 * day, 2 * day}, BudgetSpent, day},
		{"the oldest leaves the window now", weekly, []time.Duration{7 * day, 4 * day, 2 * day}, "", 0},
		{"a nanosecond before it does", weekly, []time.Duration{7*day - 1, 4 * day, 2 * day}, BudgetSpent, 1},
		{"spent, and too close for longer", weekly, []time.Duration{7*day - time.Hour, 4 * day, time.Hour}, TooClose, 19 * time.Hour},
		{"spent for longer than too close", weekly, []time.Duration{3 * day, 2 * day, time.Hour}, BudgetSpent, 4 * day},
		{"more than the budget, which was larger then", weekly, []time.Duration{6 * day, 5 * day, 4 * day, 3 * day, 2 * day}, BudgetSpent, 3 * day},
		{"one for ever", workspace.Budget{Contacts: 1, Within: 100 * day}, []time.Duration{day}, BudgetSpent, 99 * day},
		{"any number, but not at once", workspace.Budget{Apart: time.Hour}, []time.Duration{5, 4, 3, 2, 1}, TooClose, time.Hour - 1},
		{"no budget", workspace.Budget{}, []time.Duration{3, 2, 1, 0}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var contacts []time.Time
			for _, ago := range tt.ago {
				contacts = append(contacts, now.Add(-ago))
			}
			why, next := budget(tt.budget, contacts, now)
			wait := max(0, next.Sub(now))
			if wait == 0 {
				why = ""
			}
			if why != tt.why || wait != tt.wait {
				t.Errorf("\n got %q for %s\nwant %q for %s", why, wait, tt.why, tt.wait)
			}
		})
	}
}

// room is the budget once more, as its definition says it: fewer than so many
// contacts in the window that ends at t, and the last one long enough ago.
func room(b workspace.Budget, contacts []time.Time, t time.Time) bool {
	within := 0
	for _, c := range contacts {
		if b.Apart > 0 && t.Sub(c) < b.Apart {
			return false
		}
		if t.Sub(c) < b.Within {
			within++
		}
	}
	return b.Contacts == 0 || within < b.Contacts
}

// TestBudget_rolling sends all that random campaigns want to send to one person,
// as far as the budget lets them (one-budget): in no window of its length there
// are more contacts than it says, no two are closer than it says, a wait ends at
// the first instant with room, and older contacts than reach play no part.
func TestBudget_rolling(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		minutes := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(rt, name)) * time.Minute
		}
		b := workspace.Budget{Contacts: rapid.IntRange(0, 5).Draw(rt, "contacts"), Within: minutes("within", 600) + time.Minute, Apart: minutes("apart", 120)}
		now := time.Date(2026, time.March, 2, 11, 0, 0, 0, time.UTC)
		var contacts []time.Time
		for range rapid.IntRange(1, 60).Draw(rt, "messages") {
			now = now.Add(minutes("pause", 90))
			var lately []time.Time
			for _, c := range contacts {
				if now.Sub(c) < reach(b) {
					lately = append(lately, c)
				}
			}
			why, next := budget(b, lately, now)
			if _, all := budget(b, contacts, now); all.After(now) != next.After(now) || next.After(now) && !all.Equal(next) {
				rt.Fatalf("with older contacts than reach: %s, without: %s", all, next)
			}
			if next.After(now) {
				if why != TooClose && why != BudgetSpent {
					rt.Fatalf("waits because of %q", why)
				}
				if room(b, contacts, next.Add(-1)) || !room(b, contacts, next) {
					rt.Fatalf("waits until %s at %s after %s", next, now, contacts)
				}
				if rapid.Bool().Draw(rt, "does something else first") {
					continue
				}
				now = next
			}
			contacts = append(contacts, now)
		}
		for i, c := range contacts {
			if i > 0 && c.Sub(contacts[i-1]) < b.Apart {
				rt.Fatalf("%s and %s are not %s apart", contacts[i-1], c, b.Apart)
			}
			if n := b.Contacts; n > 0 && i >= n && c.Sub(contacts[i-n]) < b.Within {
				rt.Fatalf("%d contacts within %s, from %s to %s", n+1, b.Within, contacts[i-n], c)
			}
		}
	})
}
