package sandbox

import (
	"slices"
	"strings"
	"testing"
)

// recorded gives a scene the records that agree with what was accepted.
func (s *scene) recorded() {
	s.Records = []Record{}
	for _, a := range s.Accepted {
		about := recognise(a)
		s.Records = append(s.Records, Record{
			Due:  Due{"cus_" + a.Contact, about.campaign, about.step},
			Kind: a.Kind, Contact: a.Contact, ID: a.ID, State: "sent",
		})
	}
}

// record returns one to change.
func (s *scene) record(campaign, step string) *Record {
	s.t.Helper()
	n := slices.IndexFunc(s.Records, func(r Record) bool { return r.Campaign == campaign && r.Step == step })
	return &s.Records[n]
}

// The records and Intercom agree one by one; an unknown is exactly: may or may
// not be there.
func TestJudge_Records(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*scene)
		want   int
		detail string
	}{
		{"agreed", func(*scene) {}, 0, ""},
		{"not judged", func(s *scene) { s.Records = nil }, 0, ""},
		{"sent, and not there", func(s *scene) { s.unsend("owes", "still open") }, 1, "the records call message 5 of payment-failed/second-nudge sent"},
		{"sent, and the tag was never set", func(s *scene) { s.unsend("card", "card-expired") }, 1, "the records call the tag of card-expiring/mark sent"},
		{"skipped, and there", func(s *scene) { r := s.record(paymentFailed, "nudge"); r.State, r.ID = "skipped", "" }, 1, "the records do not know message 4 (payment-failed/nudge)"},
		{"planned, and there", func(s *scene) { r := s.record(paymentFailed, "follow-up"); r.State, r.ID = "planned", "" }, 1, "the records do not know ticket 6"},
		{"not recorded at all", func(s *scene) { s.Records = s.Records[:6] }, 1, "the records do not know message 7 (annual-offer/offer)"},
		{"two records of one message", func(s *scene) { s.Records = append(s.Records, *s.record(paymentFailed, "nudge")) }, 1, "the records call message 4"},
		{"unknown, and there", func(s *scene) { r := s.record(paymentFailed, "nudge"); r.State, r.ID = "unknown", "" }, 0, ""},
		{"unknown, and not there", func(s *scene) {
			s.unsend("owes", "did not go through")
			r := s.record(paymentFailed, "nudge")
			r.State, r.ID = "unknown", ""
		}, 0, ""},
		{"an unknown stands for its own step alone", func(s *scene) {
			r := s.record(paymentFailed, "nudge")
			r.State, r.ID = "unknown", ""
			r = s.record(paymentFailed, "second-nudge")
			r.State, r.ID = "skipped", ""
		}, 1, "the records do not know message 5 (payment-failed/second-nudge)"},
		{"twice is for another verdict", func(s *scene) { s.accept("2026-03-10T07:00:00Z", "message", "card", cardNudge) }, 0, "duplicate"},
		{"a tag may be there in vain", func(s *scene) { r := s.record(annualOffer, "mark"); r.State, r.ID = "skipped", "" }, 0, ""},
		{"kept as a task of ours", func(s *scene) {
			s.unsend("owes", "Call Bo")
			s.record(paymentFailed, "follow-up").ID = ""
		}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.recorded()
			tt.change(s)
			v := Judge(s.Case)
			if lines := strings.Join(v.Details, "\n"); v.Disagreements != tt.want || !strings.Contains(lines, tt.detail) {
				t.Errorf("disagreements\n got %d\n%s\nwant %d with %q", v.Disagreements, lines, tt.want, tt.detail)
			}
		})
	}
}
