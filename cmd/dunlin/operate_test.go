package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/sandbox"
)

// TestDefinitions: what is applied can be exported and applied again, and
// nothing starts by itself.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	environ, pool := on(t)
	planned := dunlin(t, environ, "", "plan", "-f", "../../examples")
	if planned.status != exitDone || count(t, pool, `select count(*) from dunlin.segments`) != 0 {
		t.Errorf("plan\n got status %d, %d segments stored\nwant 0 and none", planned.status, count(t, pool, `select count(*) from dunlin.segments`))
	}
	golden(t, "plan.txt", planned.out+planned.errs)
	golden(t, "apply.txt", ok(t, environ, "", "apply", "-f", "../../examples"))

	exported := ok(t, environ, "", "export")
	for _, o := range objects(t, ok(t, environ, exported, "apply", "--json", "-f", "-")) {
		if o["change"] != "unchanged" {
			t.Errorf("export | apply -f -\n got %v\nwant unchanged", o)
		}
	}
	if again := ok(t, environ, "", "export"); again != exported {
		t.Errorf("a second export differs (-first +second)\n%s", cmp.Diff(exported, again))
	}

	golden(t, "segments.txt", ok(t, environ, "", "segments", "list"))
	golden(t, "segments.json", ok(t, environ, "", "segments", "--json"))
	golden(t, "campaigns.txt", ok(t, environ, "", "campaigns"))
	if source := ok(t, environ, "", "campaigns", "show", "payment-failed"); !strings.Contains(source, "second-nudge") {
		t.Errorf("campaigns show\n got %s\nwant the definition", source)
	}
	for _, list := range []string{"deliveries", "tasks", "segments members delinquent"} {
		p := dunlin(t, environ, "", strings.Fields(list)...)
		if p.status != exitDone || p.out != "" || p.errs != "none\n" {
			t.Errorf("%s of nothing\n got %+v\nwant none, said on standard error", list, p)
		}
	}
}

func TestCampaigns(t *testing.T) {
	t.Parallel()
	environ, pool := on(t)
	ok(t, environ, "", "apply", "-f", "../../examples")
	state := func() (s string) {
		if err := pool.QueryRow(t.Context(), `select state from dunlin.campaigns where name = 'payment-failed'`).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	steps := []struct {
		args   string
		status int
		state  string
		says   string
	}{
		{"campaigns pause payment-failed", exitFailed, "draft", "is draft, not running"},
		{"campaigns start --dry-run payment-failed", exitDone, "draft", "0 would be enrolled"},
		{"campaigns start payment-failed", exitDone, "running", "0 enrolled"},
		{"campaigns start payment-failed", exitFailed, "running", "is running already"},
		{"campaigns resume payment-failed", exitFailed, "running", ""},
		{"campaigns pause payment-failed", exitDone, "paused", "is paused"},
		{"campaigns start payment-failed", exitFailed, "paused", "dunlin campaigns resume payment-failed"},
		{"campaigns resume payment-failed", exitDone, "running", "goes on"},
		{"stop", exitDone, "running", "nothing leaves until dunlin resume"},
		{"resume", exitDone, "running", "resumed"},
		{"resume", exitDone, "running", "nothing was stopped"},
	}
	for _, s := range steps {
		p := dunlin(t, environ, "", strings.Fields(s.args)...)
		if got := state(); p.status != s.status || got != s.state || !strings.Contains(p.errs, s.says) {
			t.Errorf("dunlin %s\n got status %d, campaign %s, %q\nwant status %d, campaign %s, %q", s.args, p.status, got, p.errs, s.status, s.state, s.says)
		}
	}
	for _, x := range []struct{ args, want string }{
		{"campaigns pause --json payment-failed", `{"campaign":"payment-failed","state":"paused"}`},
		{"campaigns resume --json payment-failed", `{"campaign":"payment-failed","woken":0,"enrolled":0}`},
		{"stop --json", `{"stopped":true}`},
		{"resume --json", `{"stopped":false,"was_stopped":true}`},
	} {
		if got := ok(t, environ, "", strings.Fields(x.args)...); got != x.want+"\n" {
			t.Errorf("dunlin %s\n got %s\nwant %s", x.args, got, x.want)
		}
	}
}

func TestMigrate_emptyDatabase(t *testing.T) {
	t.Parallel()
	environ, pool := on(t)
	execSQL(t, pool, `drop schema dunlin cascade`)
	execSQL(t, pool, `drop schema river cascade`)
	for range 2 {
		ok(t, environ, "", "migrate")
	}
	if n := count(t, pool, `select count(*) from pg_tables where schemaname in ('dunlin', 'river') and tablename in ('deliveries', 'river_job')`); n != 2 {
		t.Errorf("migrate\n got %d of the tables\nwant 2", n)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := ok(t, nil, "", "version"); !regexp.MustCompile(`^dunlin \S+ .*go1\.\d+`).MatchString(got) {
		t.Errorf("version\n got %q", got)
	}
	for _, o := range objects(t, ok(t, nil, "", "version", "--json")) {
		if o["version"] == "" || !strings.HasPrefix(o["go"].(string), "go1.") {
			t.Errorf("version --json\n got %v", o)
		}
	}
}

const twoCampaigns = `kind: workspace
zone: UTC
currency: usd
quiet_hours: {from: "21:00", to: "08:00"}
intercom: {sender: admin:991267716}
teams: {billing: "8202"}
---
kind: segment
name: everybody
rule: not deleted
---
kind: campaign
name: rehearsed
segment: everybody
episode: entry
existing: enroll
steps:
  - {name: mark, at: 0 days, tag: seen}
---
kind: campaign
name: meant
segment: everybody
episode: entry
existing: enroll
steps:
  - {name: call, at: 0 days, task: {title: "Call {{ customer.name }}", body: now, team: billing, due: 1 day}}
`

// onTime answers with the machine's clock in the Date header; a sandbox has a
// clock of its own.
func onTime(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// TestWork: from the first sync to tasks, with commands alone. With DRY_RUN
// everything is decided and nothing is sent; without, it is.
func TestWork(t *testing.T) {
	t.Parallel()
	world, err := sandbox.New(sandbox.Config{Seed: 1, Customers: 12, Start: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	stripe, intercom := httptest.NewServer(onTime(world.Stripe())), httptest.NewServer(world.Intercom())
	t.Cleanup(stripe.Close)
	t.Cleanup(intercom.Close)
	environ, pool := on(t, "STRIPE_API_KEY="+sandbox.StripeKey, "STRIPE_WEBHOOK_SECRET="+sandbox.WebhookSecret, "STRIPE_API_BASE="+stripe.URL,
		"INTERCOM_ACCESS_TOKEN="+sandbox.IntercomToken, "INTERCOM_API_BASE="+intercom.URL)
	dry := append(environ[:len(environ):len(environ)], "DRY_RUN=true")

	bare := dunlin(t, environ[:1], "", "doctor")
	if bare.status != exitFailed || !strings.Contains(bare.out, "MEND  workspace") || !strings.Contains(bare.out, "STRIPE_API_KEY is not set") || !strings.Contains(bare.out, "set INTERCOM_ACCESS_TOKEN") {
		t.Errorf("doctor of a bare set-up\n got status %d\n%s\nwant 1, and what to mend", bare.status, bare.out)
	}

	ok(t, environ, twoCampaigns, "apply", "-f", "-")
	ok(t, dry, "", "work", "--once")
	var members string
	for _, o := range objects(t, ok(t, environ, "", "segments", "--json")) {
		members = fmt.Sprint(o["members"])
	}
	if members == "0" || members != strings.TrimSpace(ok(t, environ, "", "segments", "count", "everybody")) {
		t.Fatalf("members of everybody\n got %s\nwant as many as are counted", members)
	}
	started := objects(t, ok(t, dry, "", "campaigns", "start", "--json", "rehearsed"))
	if got := fmt.Sprint(started[0]["enrolled"]); got != members {
		t.Errorf("enrolled\n got %s\nwant %s", got, members)
	}
	ok(t, dry, "", "work", "--once")
	if n := len(world.Accepted()); n != 0 {
		t.Errorf("with DRY_RUN Intercom accepted\n got %d requests\nwant none", n)
	}
	if n := count(t, pool, `select count(*) from dunlin.deliveries where state <> 'skipped' and reason is null or state in ('claimed', 'sent', 'unknown', 'failed')`); n != 0 {
		t.Errorf("with DRY_RUN\n got %d deliveries neither skipped nor waiting\nwant none", n)
	}
	skipped := objects(t, ok(t, environ, "", "deliveries", "--json", "--campaign", "rehearsed", "--state", "skipped"))
	if len(skipped) == 0 || skipped[0]["reason"] != "dry_run" {
		t.Errorf("deliveries --state skipped\n got %v\nwant some, because of dry_run", skipped)
	}
	customer := skipped[0]["customer"].(string)
	shown := ok(t, environ, "", "customers", "show", customer)
	for _, want := range []string{customer + " in account main", "everybody", "DRY_RUN: decided, not sent", " invoice_created "} {
		if !strings.Contains(shown, want) {
			t.Errorf("customers show\n got %s\nwant %q", shown, want)
		}
	}
	then := objects(t, ok(t, environ, "", "customers", "show", "--json", "--at", "2100-01-01T00:00:00Z", customer))
	if attributes, _ := then[0]["attributes"].(map[string]any); attributes["stripe_id"] != customer || then[0]["at"] != "2100-01-01T00:00:00Z" {
		t.Errorf("customers show --at\n got %v\nwant %s as of then", then, customer)
	}
	if o := objects(t, ok(t, environ, "", "tick", "--now", "2030-01-01T00:00:00Z", "--json")); o[0]["rolled_back"] != true {
		t.Errorf("tick --now\n got %v\nwant it rolled back", o)
	}

	ok(t, environ, "", "intercom", "setup")
	ok(t, environ, "", "campaigns", "start", "meant")
	ok(t, environ, "", "stop")
	ok(t, environ, "", "work", "--once")
	if n := len(world.Accepted()); n != 0 {
		t.Errorf("while stopped Intercom accepted\n got %d requests\nwant none", n)
	}
	stopped := dunlin(t, environ, "", "doctor")
	if stopped.status != exitFailed || !strings.Contains(stopped.out, "dunlin is stopped: nothing leaves") {
		t.Errorf("doctor while stopped\n got status %d\n%s\nwant 1, and that it is stopped", stopped.status, stopped.out)
	}
	ok(t, environ, "", "resume")
	ok(t, environ, "", "work", "--once")
	tasks := objects(t, ok(t, environ, "", "tasks", "--json"))
	if len(tasks) == 0 || fmt.Sprint(len(tasks)) != members {
		t.Fatalf("tasks\n got %d\nwant %s", len(tasks), members)
	}
	tickets := 0
	for _, x := range world.Accepted() {
		if x.Kind == "ticket" {
			tickets++
		}
	}
	if with := count(t, pool, `select count(*) from dunlin.tasks where ticket_id is not null`); tickets != with {
		t.Errorf("tickets\n got %d\nwant %d, as our tasks say", tickets, with)
	}
	ok(t, environ, "", "tasks", "done", fmt.Sprint(tasks[0]["id"]))
	ok(t, environ, "", "tasks", "snooze", fmt.Sprint(tasks[1]["id"]), time.Now().AddDate(0, 0, 2).Format(time.DateOnly))
	if n := len(objects(t, ok(t, environ, "", "tasks", "--json"))); n != len(tasks)-2 {
		t.Errorf("tasks, one done and one snoozed\n got %d\nwant %d", n, len(tasks)-2)
	}
	if n := len(objects(t, ok(t, environ, "", "tasks", "list", "--all", "--json"))); n != len(tasks) {
		t.Errorf("tasks --all\n got %d\nwant %d", n, len(tasks))
	}
	if p := dunlin(t, environ, "", "sync", "--full"); p.status != exitDone || !strings.Contains(p.errs, "account main is in sync") {
		t.Errorf("sync --full\n got %+v", p)
	}

	// There is an endpoint and a webhook has come, so doctor has nothing left to say.
	if secret := ok(t, environ, "", "stripe", "endpoint", "create", "--url", "https://dunlin.example.com"); !strings.HasPrefix(secret, "whsec_") {
		t.Errorf("stripe endpoint create\n got %s\nwant the signing secret alone", secret)
	}
	execSQL(t, pool, `
		insert into dunlin.stripe_events (account_id, customer, id, type, api_version, class, object_id, created, raw, received_at, state)
		select account_id, '', 'evt_1', 'customer.updated', '', '', '', now(), '{}', now(), 'ignored' from dunlin.accounts`)
	well := dunlin(t, environ, "", "doctor")
	if well.status != exitDone || strings.Contains(well.out, "MEND") || strings.Contains(well.out, "WARN") {
		t.Errorf("doctor of a healthy set-up\n got status %d\n%s%s\nwant 0", well.status, well.out, well.errs)
	}
}
