package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/stripesync"
)

// A meter on a terminal has one line for the lists and one for the projection;
// elsewhere it has a line every ten seconds, and one at the end of each.
func TestMeter(t *testing.T) {
	t.Parallel()
	reports := []struct {
		at time.Duration
		p  stripesync.Progress
	}{
		{0, stripesync.Progress{Class: "products", Objects: 12, Done: true, Step: 1, Steps: 10, Sum: 12}},
		{time.Second, stripesync.Progress{Class: "customers", Objects: 4000, Step: 4, Steps: 10, Sum: 4012, Share: 0.1}},
		{2 * time.Second, stripesync.Progress{Class: "invoices", Objects: 1000, Step: 6, Steps: 10, Sum: 5012, Share: 0.2}},
		{2*time.Second + time.Millisecond, stripesync.Progress{Class: "charges", Objects: 1, Step: 7, Steps: 10, Sum: 5013, Share: 0.2}},
		{12 * time.Second, stripesync.Progress{Class: "charges", Objects: 100, Step: 7, Steps: 10, Sum: 1234512, Share: 0.4}},
		{13 * time.Second, stripesync.Progress{Class: "customers", Objects: 8000, Done: true, Step: 4, Steps: 10, Sum: 1238512, Share: 1}},
		{14 * time.Second, stripesync.Progress{Class: "attributes", Objects: 500, Step: 10, Steps: 10, Share: 1}},
		{16 * time.Second, stripesync.Progress{Class: "attributes", Objects: 4000, Step: 10, Steps: 10, Share: 1}},
		{17 * time.Second, stripesync.Progress{Class: "attributes", Objects: 8000, Done: true, Step: 10, Steps: 10, Share: 1}},
	}
	tests := []struct {
		name     string
		terminal bool
		want     []string
	}{
		{"a terminal", true, []string{
			"\r[--------------------]   0%  12 objects  0/s",
			"\r[##------------------]  10%  4,012 objects  4,000/s  customers",
			"\r[####----------------]  20%  5,012 objects  2,500/s  customers, invoices",
			"\r[########------------]  40%  1,234,512 objects  102,875/s  30s left  charges...",
			"\r[####################] 100%  1,238,512 objects  95,269/s  charges, invoices    \n",
			"\r[#-------------------]   6%  500 customers projected  0/s",
			"\r[##########----------]  50%  4,000 customers projected  1,750/s",
			"\r[####################] 100%  8,000 customers projected  2,500/s\n",
		}},
		{"a file", false, []string{
			"[########------------]  40%  1,234,512 objects  102,875/s  30s left  charges, customers, invoices\n",
			"[####################] 100%  1,238,512 objects  88,464/s  charges, invoices\n",
			"[####################] 100%  8,000 customers projected  2,500/s\n",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			start := time.Now()
			at := start
			m := newMeter(&out, func() time.Time { return at })
			m.terminal = tt.terminal
			for _, r := range reports {
				at = start.Add(r.at)
				m.draw(r.p)
			}
			m.end()
			if diff := cmp.Diff(strings.Join(tt.want, ""), out.String()); diff != "" {
				t.Errorf("meter (-want +got)\n%s", diff)
			}
		})
	}
}

// A sync that goes on where it was broken off counts its speed from there.
func TestMeter_goesOn(t *testing.T) {
	t.Parallel()
	start := time.Now()
	m := meter{start: start, before: 500_000, marks: []mark{{start, 0.5}}, underWay: []string{"charges"},
		last: stripesync.Progress{Class: "charges", Step: 7, Steps: 10, Sum: 600_000, Share: 0.75}}
	const want = "[###############-----]  75%  600,000 objects  1,000/s  1m left  charges"
	if got := m.line(start.Add(100 * time.Second)); got != want {
		t.Errorf("line\n got %s\nwant %s", got, want)
	}
	m.last = stripesync.Progress{Class: "attributes", Step: 10, Steps: 10, Sum: 600_000}
	if got, want := m.line(start.Add(100*time.Second)), "600,000 customers projected  1,000/s"; got != want {
		t.Errorf("the projection of who knows how many\n got %s\nwant %s", got, want)
	}
}

// How long it takes is judged by how fast it went of late: what is far back in
// time is read quickly, because there is little of it.
func TestMeter_timeLeft(t *testing.T) {
	t.Parallel()
	start := time.Now()
	m := meter{start: start, marks: []mark{{start, 0}}}
	for second := 1; second <= 40; second++ {
		share := 0.75 * float64(second) / 10
		if second > 10 {
			share = 0.75 + 0.005*float64(second-10)
		}
		m.remember(mark{start.Add(time.Duration(second) * time.Second), share})
	}
	if got, want := timeLeft(m.marks[0], mark{start.Add(40 * time.Second), 0.9}), "20s"; got != want {
		t.Errorf("time left at half a percent a second, a tenth being left\n got %s\nwant %s", got, want)
	}
	if len(m.marks) > 12 {
		t.Errorf("marks\n got %d\nwant those of the last ten seconds", len(m.marks))
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d)\n got %s\nwant %s", n, got, want)
		}
	}
}

// TestSync_catchUp: what no webhook brought is found in Stripe's own list.
func TestSync_catchUp(t *testing.T) {
	t.Parallel()
	stripe := newStubbornStripe(t, time.Now)
	environ, pool := on(t, "STRIPE_API_BASE="+stripe.URL, "STRIPE_API_KEY=sk_test_1")
	if p := dunlin(t, environ, "", "sync"); p.status != exitDone || strings.Contains(p.errs, "no webhook") {
		t.Fatalf("sync of an empty account\n got status %d: %s\nwant 0", p.status, p.errs)
	}
	stripe.answer("sk_test_1", "GET /v1/events", fmt.Sprintf(`{"object": "list", "has_more": false, "data": [{"id": "evt_1", "object": "event", "type": "customer.created",
		"created": %d, "api_version": "2023-10-16", "data": {"object": {"id": "cus_1", "object": "customer", "email": "anna@example.com"}}}]}`, time.Now().Add(-90*time.Second).Unix()))
	p := dunlin(t, environ, "", "sync")
	if p.status != exitDone || !strings.Contains(p.errs, "account main: 1 event found that no webhook had brought") || !strings.Contains(p.errs, "1 stored event applied") {
		t.Errorf("sync\n got status %d: %s\nwant 0, and the event found and applied", p.status, p.errs)
	}
	if n := count(t, pool, `select count(*) from dunlin.customers where stripe_id = 'cus_1'`); n != 1 {
		t.Errorf("customers\n got %d\nwant 1", n)
	}
}
