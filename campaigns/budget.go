package campaigns

import (
	"time"

	"github.com/dunlin/dunlin/workspace"
)

// budget is when a person may be contacted next, by how often and how recently
// that has happened (one-budget). Contacts are in order. An instant that is not
// after now: there is room.
func budget(b workspace.Budget, contacts []time.Time, now time.Time) (why Reason, next time.Time) {
	if n := len(contacts); n > 0 && b.Apart > 0 {
		why, next = TooClose, contacts[n-1].Add(b.Apart)
	}
	if b.Contacts == 0 || len(contacts) < b.Contacts {
		return why, next
	}
	// The window is rolling: there is room again when the oldest of the last so
	// many contacts has left it.
	if free := contacts[len(contacts)-b.Contacts].Add(b.Within); free.After(now) && free.After(next) {
		why, next = BudgetSpent, free
	}
	return why, next
}

// reach is how far back contacts count.
func reach(b workspace.Budget) time.Duration { return max(b.Within, b.Apart) }
