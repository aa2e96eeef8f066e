package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// TestHolds tells the story of some holds, and what is said of each command.
func TestHolds(t *testing.T) {
	t.Parallel()
	environ, pool := chased(t)
	ok(t, environ, strings.Replace(bandedWorkspace, "UTC", "Europe/Berlin", 1), "apply", "-f", "-")
	execSQL(t, pool, `insert into dunlin.accounts (name, created_at, mirrored_at, ready_at) values ('also', now(), now(), now())`)
	execSQL(t, pool, `insert into dunlin.customers (account_id, stripe_id, projected_at) select account_id, 'cus_12', now() from dunlin.accounts where name = 'also'`)
	execSQL(t, pool, `
		insert into dunlin.links (account_id, customer_id, state, contact_id, role, checked_at)
		select account_id, customer_id, 'linked', case when stripe_id < 'cus_04' then 'c1' else stripe_id end, 'user', now()
		from dunlin.customers where stripe_id < 'cus_10'`)
	execSQL(t, pool, `
		insert into dunlin.disputes (account_id, customer_id, id, created_at, status)
		select account_id, customer_id, 'dp_1', '2026-01-10T09:00:00Z', 'needs_response' from dunlin.customers where stripe_id = 'cus_04'`)
	held := func() {
		execSQL(t, pool, `update dunlin.deliveries set reason = 'on_hold', due_at = '2126-03-01Z', poked_until = '2126-03-01Z'`)
	}
	held()

	var story strings.Builder
	for _, line := range []string{
		"holds",
		"holds add cus_01 --reason 'waits for a refund' --by ann",
		"holds add cus_02 --reason 'pays on Monday' --promise --until 2126-03-10 --by ann",
		"holds add cus_05 --reason 'talks to us' --until 2126-07-10T17:00:00+02:00 --by bob",
		"holds add cus_12 --reason 'is in two accounts' --until 2126-03-10 --by ann --json",
		"holds",
		"holds cus_03",
		"holds cus_04 --json",
		"holds add cus_02 --reason 'pays on Friday' --promise --until 2126-03-05 --by ann",
		"holds lift 1 --by bob",
		"holds lift 1 --by bob",
		"holds lift cus_03 --by bob",
		"holds lift cus_04 --by bob",
		"holds lift cus_02 --by bob",
		"holds lift cus_06 --by bob",
		"holds lift 77 --by bob",
		"holds list cus_01",
		"holds list --all",
		"holds add cus_none --reason x --by ann",
		"holds cus_none",
		"holds add cus_01 --reason '' --by ann",
		"holds add cus_01 --by ann",
		"holds add cus_01 --reason x --by ann --promise",
		"holds add cus_01 --reason x --by ann --until 2026-01-01",
		"holds add cus_01 --reason x --by ann --until tomorrow",
	} {
		p := dunlin(t, environ, "", words(line)...)
		fmt.Fprintf(&story, "$ dunlin %s\n%s%s", line, p.out, p.errs)
		if p.status != exitDone {
			fmt.Fprintf(&story, "status %d\n", p.status)
		}
	}
	golden(t, "holds.txt", anInstant.ReplaceAllStringFunc(story.String(), func(s string) string {
		if strings.HasPrefix(s, "2126-") || strings.HasPrefix(s, "2026-0") {
			return s
		}
		return "<now>"
	}))

	if n := count(t, pool, `select count(*) from dunlin.holds where set_by = '' or set_at > now()`); n > 0 {
		t.Errorf("%d holds are from nobody or from the future", n)
	}
	held()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	today := rule.DateOf(time.Now(), berlin).String()
	ok(t, environ, "", "holds", "add", "cus_07", "--reason", "by whoever is logged in", "--until", today)
	if n := count(t, pool, `select count(*) from dunlin.holds where reason like 'by whoever%' and set_by <> '' and until between now() and now() + interval '2 days'`); n != 1 {
		t.Errorf("a hold for today, by whoever is logged in\n got %d\nwant 1", n)
	}
	ok(t, environ, "", "holds", "lift", "cus_07")
	if n := count(t, pool, `select count(*) from dunlin.deliveries d join dunlin.customers c using (account_id, customer_id)
		where poked_until is null and due_at between now() - interval '1 minute' and now() and stripe_id = 'cus_07'`); n != 1 {
		t.Errorf("deliveries that are decided afresh\n got %d\nwant 1", n)
	}
}

// words splits a command line; single quotes hold words together.
func words(line string) (args []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		args = append(args, strings.Fields(part)...)
	}
	return args
}

func TestParseUntil(t *testing.T) {
	t.Parallel()
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	for _, tt := range []struct{ name, until, zone, want, words string }{
		{"a day is included", "2026-03-10", "Europe/Berlin", "2026-03-10T23:00:00Z", "the end of 2026-03-10"},
		{"whose midnight is left out", "2024-03-30", "Asia/Beirut", "2024-03-30T22:00:00Z", "the end of 2024-03-30"},
		{"an instant", "2026-03-10T09:00:00+05:30", "Europe/Berlin", "2026-03-10T03:30:00Z", "2026-03-10 04:30"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseUntil(tt.until, zone(tt.zone))
			if err != nil || got.UTC().Format(time.RFC3339) != tt.want || endsAt(got, zone(tt.zone)) != tt.words {
				t.Errorf("%s in %s\n got %s (%s), %v\nwant %s (%s)", tt.until, tt.zone, got.UTC(), endsAt(got, zone(tt.zone)), err, tt.want, tt.words)
			}
		})
	}
	if got, err := parseUntil("", time.UTC); err != nil || !got.IsZero() {
		t.Errorf("no end\n got %s, %v", got, err)
	}
	for _, wrong := range []string{"2026-02-30", "10.3.2026", "2026-03-10T09:00:00", "2026-03-10 09:00"} {
		if got, err := parseUntil(wrong, time.UTC); err == nil {
			t.Errorf("%q\n got %s\nwant an error", wrong, got)
		}
	}
}
