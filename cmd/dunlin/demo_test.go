package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
)

// machineWork are the fields of a report that differ from run to run.
var machineWork = []string{"http_requests", "river_jobs", "ticks", "stripe_events", "seconds"}

// TestDemo: the last line has what it promises, and the same seed is the same
// life, whatever is done at once.
func TestDemo(t *testing.T) {
	t.Parallel()
	reports := make([]map[string]any, 2)
	t.Run("workers", func(t *testing.T) {
		for i, workers := range []int{1, 8} {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				a, out, errs := quiet(true)
				c := demoCmd{Once: true, Days: 4, Customers: 60, Seed: 1, Workers: workers}
				if status := a.report(c.on(t.Context(), a, connected(t, pgtest.URL(t)), time.Now())); status != exitDone {
					t.Fatalf("demo --workers %d\n got status %d\n%s\nwant 0", workers, status, errs)
				}
				lines := strings.Split(strings.TrimSpace(out.String()), "\n")
				if err := json.Unmarshal([]byte(lines[len(lines)-1]), &reports[i]); err != nil || len(lines) != 1 {
					t.Fatalf("demo --json\n got %s (%v)\nwant one JSON object", out, err)
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	r := reports[0]
	for _, key := range []string{
		"customers", "days", "segments", "enrollments", "messages_sent", "tasks_opened", "tags_added", "skipped", "unknown", "recovered",
		"http_requests", "river_jobs", "ticks", "duplicates", "quiet_hour_violations", "contacted_after_recovery", "forgotten",
	} {
		if _, there := r[key]; !there {
			t.Errorf("the report lacks %s", key)
		}
	}
	for _, key := range []string{"duplicates", "quiet_hour_violations", "contacted_after_recovery", "forgotten", "disagreements", "drift", "unknown", "failed"} {
		if r[key] != 0.0 {
			t.Errorf("%s\n got %v\nwant 0", key, r[key])
		}
	}
	for _, key := range []string{"enrollments", "messages_sent", "http_requests", "river_jobs", "ticks"} {
		if n, _ := r[key].(float64); n < 1 {
			t.Errorf("%s\n got %v\nwant some", key, r[key])
		}
	}
	for _, r := range reports {
		for key := range r {
			if slices.Contains(machineWork, key) {
				delete(r, key)
			}
		}
	}
	if diff := cmp.Diff(reports[0], reports[1]); diff != "" {
		t.Errorf("one worker and eight differ (-1 +8)\n%s", diff)
	}
}

// TestDemo_upset: where Stripe goes wrong the judge finds no more than where it
// does not.
func TestDemo_upset(t *testing.T) {
	t.Parallel()
	a, out, errs := quiet(true)
	c := demoCmd{Once: true, Days: 4, Customers: 60, Seed: 1, Workers: 8, Drop: 0.2, Double: 0.2, Shuffle: 40 * time.Minute, APIFaults: 0.02}
	if status := a.report(c.on(t.Context(), a, connected(t, pgtest.URL(t)), time.Now())); status != exitDone {
		t.Fatalf("demo --drop 20%% …\n got status %d\n%s\nwant 0", status, errs)
	}
	var r demoReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("demo --json\n got %s (%v)\nwant one JSON object", out, err)
	}
	if r.Messages < 1 || r.Lost < 1 || r.Unknown+r.Failed > 0 {
		t.Errorf("the report\n got %+v\nwant messages, events that only the list had, and all outcomes known", r)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]share{"20%": 0.2, "0%": 0, "100%": 1, "2.5%": 0.025} {
		var got share
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q\n got %v %v\nwant %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "20", "0.2", "-1%", "101%", "NaN%", "twenty%"} {
		var got share
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q\n got %v\nwant an error", text, got)
		}
	}
}

// TestDemo_show: for people, and with a status that says whether the judge found
// anything.
func TestDemo_show(t *testing.T) {
	t.Parallel()
	r := demoReport{
		Customers: 60, Days: 4, Seconds: 1.6, Segments: map[string]int64{"delinquent": 3, "cards-expiring-soon": 5}, Enrollments: 8, Messages: 6,
		Tasks: 1, Tags: 2, Skipped: map[string]int64{"left_segment": 2, "expired": 1}, Recovered: 1, StripeEvents: 100, HTTPRequests: 300, RiverJobs: 90, Ticks: 50,
	}
	a, out, errs := quiet(false)
	if err := (&demo{app: a}).show(r); err != nil || errs.Len() > 0 {
		t.Errorf("a good report\n got %v, %q\nwant neither", err, errs)
	}
	golden(t, "demo_report.txt", out.String())
	for name, bad := range map[string]demoReport{
		"duplicates": {Duplicates: 1}, "quiet hours": {QuietHours: 1}, "after recovery": {AfterRecovery: 1}, "forgotten": {Forgotten: 1}, "disagreements": {Disagreements: 1}, "drift": {Drift: 1},
	} {
		a, _, errs := quiet(true)
		if status := a.report((&demo{app: a}).show(bad)); status != exitFailed || !strings.Contains(errs.String(), "the judge found something") {
			t.Errorf("%s\n got status %d, %q\nwant 1", name, status, errs)
		}
	}
}
