package sandbox

import (
	"strings"
	"testing"
	"time"
)

// Budgets are judged per contact, on a rolling window (one-budget).
func TestJudge_Budget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*scene)
		want   int
		detail string
	}{
		{"within it", func(*scene) {}, 0, ""},
		{"exactly apart", func(s *scene) { s.accept("2026-03-11T03:00:00Z", "message", "card", "Hello!") }, 0, ""},
		{"too soon", func(s *scene) { s.accept("2026-03-11T02:59:59Z", "message", "card", "Hello!") }, 1, "came 19h59m59s after 1"},
		{"one too many", func(s *scene) {
			s.accept("2026-03-11T09:00:00Z", "message", "card", "Hello!")
			s.accept("2026-03-17T06:59:59Z", "message", "card", "Are you there?")
		}, 1, "is one more than 2 within 168h0m0s"},
		{"as the window has passed", func(s *scene) {
			s.accept("2026-03-11T09:00:00Z", "message", "card", "Hello!")
			s.accept("2026-03-17T07:00:00Z", "message", "card", "Are you there?")
		}, 0, ""},
		{"a ticket is no contact", func(s *scene) { s.accept("2026-03-10T07:00:00Z", "ticket", "card", "Hello!") }, 0, ""},
		{"somebody else is somebody else", func(s *scene) { s.accept("2026-03-10T07:00:00Z", "message", "year", "Hello!") }, 0, ""},
		{"a duplicate is counted as one", func(s *scene) { s.accept("2026-03-10T07:00:00Z", "message", "card", cardNudge) }, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.Budget = Budget{Contacts: 2, Within: 7 * judgeDay, Apart: 20 * time.Hour}
			tt.change(s)
			v := Judge(s.Case)
			if lines := strings.Join(v.Details, "\n"); v.BudgetBreaches != tt.want || !strings.Contains(lines, tt.detail) {
				t.Errorf("budget breaches\n got %d\n%s\nwant %d with %q", v.BudgetBreaches, lines, tt.want, tt.detail)
			}
		})
	}
}
