package sandbox

import "time"

// A Budget is how many messages one person may get: at most Contacts within any
// window of the length Within, and two no nearer than Apart. A zero is no limit.
type Budget struct {
	Contacts      int
	Within, Apart time.Duration
}

// judgeBudgets counts what each contact got, whatever the campaigns
// (one-budget).
func (j *judge) judgeBudgets() {
	got := map[string][]*sent{}
	for n := range j.sent {
		s := &j.sent[n]
		if s.Kind != "message" || s.repeat {
			continue
		}
		before := got[s.Contact]
		switch n := len(before); {
		case n > 0 && s.At.Sub(before[n-1].At) < j.Budget.Apart:
			last := before[n-1]
			j.found(&j.verdict.BudgetBreaches, s.At, "budget: %s came %s after %s", s, s.At.Sub(last.At), last.ID)
		case j.Budget.Contacts > 0 && n >= j.Budget.Contacts && s.At.Sub(before[n-j.Budget.Contacts].At) < j.Budget.Within:
			j.found(&j.verdict.BudgetBreaches, s.At, "budget: %s is one more than %d within %s", s, j.Budget.Contacts, j.Budget.Within)
		}
		got[s.Contact] = append(before, s)
	}
}
