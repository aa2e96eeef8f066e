package workspace_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/workspace"
)

var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func settingsDoc(t *testing.T, source string) workspace.Document {
	t.Helper()
	docs, faults := workspace.Parse("w.yaml", []byte(source))
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents\n%s", len(docs), faults.Explain())
	}
	return docs[0]
}

func TestParseSettings(t *testing.T) {
	t.Parallel()
	full := lines("kind: workspace", "name: Acme", "zone: America/New_York", "currency: EUR", `quiet_hours: {from: 9:05, to: "7:00"}`, "unknown_zone: hold",
		"timezone_attribute: tz", "opt_out: {tag: quiet, attribute: off}", "test_contacts: [Ann@Example.com, ABC]", "intercom: {sender: admin:7, region: eu}",
		"unusual_change: {customers: 20, share: 30%}", "contact_budget: {contacts: 5, within: 14 days, apart: 36 hours}", "retention: {decisions: 12 months}", `teams: {renewals: 8201, billing: ""}`)
	got, faults := workspace.ParseSettings(settingsDoc(t, full))
	if len(faults) > 0 {
		t.Fatal(faults.Explain())
	}
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	want := workspace.Settings{
		Name: "Acme", Zone: zone, Currency: "eur", Language: "en", Quiet: workspace.QuietSpan{From: 545, To: 420}, HoldUnknownZone: true, TimezoneAttribute: "tz",
		OptOutTag: "quiet", OptOutAttribute: "off", TestContacts: []string{"ann@example.com", "abc"}, Sender: 7, Region: "eu",
		UnusualCustomers: 20, UnusualShare: 30, KeepDecisions: 12,
		Budget: workspace.Budget{Contacts: 5, Within: 14 * 24 * time.Hour, Apart: 36 * time.Hour},
		Teams:  map[string]string{"renewals": "8201", "billing": ""},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	least, faults := workspace.ParseSettings(settingsDoc(t, "kind: workspace\nzone: Asia/Kathmandu\ncurrency: jpy\n"))
	d := workspace.Defaults()
	if len(faults) > 0 || least.Quiet != d.Quiet || least.Region != "us" || least.HoldUnknownZone || least.TimezoneAttribute != d.TimezoneAttribute || least.Sender != 0 {
		t.Errorf("the defaults of what is left out\n got %+v %s", least, faults.Explain())
	}
	off, faults := workspace.ParseSettings(settingsDoc(t, "kind: workspace\nzone: UTC\ncurrency: usd\ntimezone_attribute: \"\"\ntest_contacts: []\nteams: {}\n"))
	if len(faults) > 0 || off.TimezoneAttribute != "" || len(off.TestContacts) != 0 {
		t.Errorf("turned off\n got %+v %s", off, faults.Explain())
	}
}

func TestParseSettings_budget(t *testing.T) {
	t.Parallel()
	d := workspace.Defaults().Budget
	for _, tt := range []struct {
		written string
		want    workspace.Budget
	}{
		{"", d},
		{"contact_budget: none\n", workspace.Budget{}},
		{"contact_budget: {}\n", d},
		{"contact_budget: {contacts: 5, within: 2 weeks, apart: 36 hours}\n", workspace.Budget{Contacts: 5, Within: 14 * 24 * time.Hour, Apart: 36 * time.Hour}},
		{"contact_budget: {contacts: 1}\n", workspace.Budget{Contacts: 1, Within: d.Within, Apart: d.Apart}},
		{"contact_budget: {apart: 0 hours}\n", workspace.Budget{Contacts: d.Contacts, Within: d.Within}},
		{"contact_budget: {contacts: 24, within: 1 day, apart: 1 hour}\n", workspace.Budget{Contacts: 24, Within: 24 * time.Hour, Apart: time.Hour}},
		{"contact_budget: {contacts: 1000, within: 36500 days, apart: 0 days}\n", workspace.Budget{Contacts: 1000, Within: 36500 * 24 * time.Hour}},
	} {
		got, faults := workspace.ParseSettings(settingsDoc(t, "kind: workspace\nzone: UTC\ncurrency: usd\n"+tt.written))
		if len(faults) > 0 || got.Budget != tt.want {
			t.Errorf("%q\n got %+v %s\nwant %+v", tt.written, got.Budget, faults.Explain(), tt.want)
		}
	}
}

func TestLoadZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Local", "local", "LOCAL", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe/Berlin\x00", "CEST", "+02:00"} {
		if z, err := workspace.LoadZone(name); err == nil {
			t.Errorf("LoadZone(%q)\n got %s\nwant an error", name, z)
		}
	}
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Argentina/Ushuaia"} {
		if z, err := workspace.LoadZone(name); err != nil || z.String() != name {
			t.Errorf("LoadZone(%q)\n got %s, %v", name, z, err)
		}
	}
}

func save(t *testing.T, pool *pgxpool.Pool, source string) bool {
	t.Helper()
	var stored bool
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
		stored, err = workspace.Save(t.Context(), tx, settingsDoc(t, source), noon)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestStore_versions(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	s, err := workspace.Load(t.Context(), pool)
	if err != nil || s.Version != 0 || s.Currency != "usd" {
		t.Fatalf("before the first\n got version %d %s, %v", s.Version, s.Currency, err)
	}
	if source, err := workspace.Source(t.Context(), pool); err != nil || source != "" {
		t.Errorf("source before the first\n got %q, %v", source, err)
	}
	one, two := "# ours\nkind: workspace\nzone: UTC\ncurrency: eur\n", "kind: workspace\nzone: Europe/Berlin\ncurrency: eur\n"
	for i, step := range []struct {
		source  string
		stored  bool
		version int
	}{{one, true, 1}, {one, false, 1}, {two, true, 2}, {two, false, 2}, {one, true, 3}} {
		if got := save(t, pool, step.source); got != step.stored {
			t.Errorf("save %d\n got %v\nwant %v", i, got, step.stored)
		}
		s, err := workspace.Load(t.Context(), pool)
		if err != nil || s.Version != step.version || s.Currency != "eur" {
			t.Errorf("load %d\n got version %d %s, %v\nwant %d", i, s.Version, s.Currency, err, step.version)
		}
		if source, err := workspace.Source(t.Context(), pool); err != nil || source != step.source {
			t.Errorf("source %d\n got %q, %v\nwant %q", i, source, err, step.source)
		}
	}
}

// TestStore_broken holds that settings this version cannot read are an error,
// not the defaults: quiet hours must not fall back by themselves.
func TestStore_broken(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	for version, source := range []string{"kind: [", "kind: workspace\nzone: UTC\n", "# empty\n", "kind: workspace\nzone: UTC\ncurrency: usd\nfuture: 1\n"} {
		if _, err := pool.Exec(t.Context(), `insert into dunlin.workspace values ($1, $2, $3)`, version+1, source, noon); err != nil {
			t.Fatal(err)
		}
		if s, err := workspace.Load(t.Context(), pool); err == nil {
			t.Errorf("%q\n got %+v\nwant an error", source, s)
		}
	}
}

func TestStore_savesAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	doc := settingsDoc(t, "kind: workspace\nzone: UTC\ncurrency: eur\n")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			// Two versions with one number cannot be: whoever loses gets an error.
			_ = pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
				_, err := workspace.Save(context.Background(), tx, doc, noon)
				return err
			})
		})
	}
	wg.Wait()
	if s, err := workspace.Load(t.Context(), pool); err != nil || s.Version != 1 {
		t.Errorf("got version %d, %v\nwant 1", s.Version, err)
	}
}

func TestStopAndResume(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ctx := t.Context()
	want := func(when string, stopped bool) {
		t.Helper()
		if got, err := workspace.Stopped(ctx, pool); err != nil || got != stopped {
			t.Errorf("%s\n got %v, %v\nwant %v", when, got, err, stopped)
		}
	}
	want("at first", false)
	if lifted, err := workspace.Resume(ctx, pool, noon); err != nil || lifted {
		t.Errorf("resume without a stop\n got %v, %v", lifted, err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := workspace.Stop(ctx, pool, noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want("stopped six times", true)
	if lifted, err := workspace.Resume(ctx, pool, noon.Add(time.Hour)); err != nil || !lifted {
		t.Errorf("resume\n got %v, %v", lifted, err)
	}
	want("lifted once", false)
	if err := workspace.Stop(ctx, pool, noon); err != nil {
		t.Fatal(err)
	}
	want("stopped again", true)
	var rows int
	if err := pool.QueryRow(ctx, `select count(*) from dunlin.stops`).Scan(&rows); err != nil || rows != 2 {
		t.Errorf("stops kept\n got %d, %v\nwant 2", rows, err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, load := workspace.Load(ctx, pool)
	_, stopped := workspace.Stopped(ctx, pool)
	_, resume := workspace.Resume(ctx, pool, noon)
	for what, err := range map[string]error{"load workspace": load, "read stop": stopped, "resume": resume, "stop": workspace.Stop(ctx, pool, noon)} {
		if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), what+": ") {
			t.Errorf("%s\n got %v", what, err)
		}
	}
}
