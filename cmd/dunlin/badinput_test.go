package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const wrongRule = "plan > 3 and card_expire_at within next 30 days"

func TestSegmentsCheck_wrongRule(t *testing.T) {
	t.Parallel()
	p := dunlin(t, nil, "", "segments", "check", wrongRule)
	if p.status != exitUsage || p.out != "" {
		t.Errorf("segments check\n got status %d, %q on standard output\nwant 2 and nothing", p.status, p.out)
	}
	golden(t, "wrong_rule.txt", p.errs)

	fromInput := dunlin(t, nil, wrongRule, "segments", "check", "-")
	if fromInput != p {
		t.Errorf("segments check -\n got %+v\nwant %+v", fromInput, p)
	}

	p = dunlin(t, nil, "", "--json", "segments", "check", wrongRule)
	if p.status != exitUsage {
		t.Errorf("segments check --json\n got status %d\nwant 2", p.status)
	}
	golden(t, "wrong_rule.json", p.out)
}

func TestSegmentsCheck(t *testing.T) {
	t.Parallel()
	golden(t, "check.txt", ok(t, nil, "", "segments", "check", "mrr>=200 usd AND Plan in ('Pro','Team')"))
	golden(t, "check_sql.txt", ok(t, nil, "", "segments", "check", "--sql", "mrr >= 200 usd and plan = 'Pro'"))
	golden(t, "check.json", ok(t, nil, "", "segments", "check", "--json", "mrr >= 200 usd and plan = 'Pro'"))
}

// TestWrongDefinitions: each fault has a place, and nothing of a set that has one
// is stored, the parts before it neither.
func TestWrongDefinitions(t *testing.T) {
	t.Parallel()
	environ, pool := on(t)
	const good = "kind: segment\nname: good\nrule: delinquent\n---\n"
	tests := []struct{ name, source, want string }{
		{"unknown key", good + "kind: segment\nname: s\nrulez: delinquent\n", "standard input:7:1: "},
		{"unknown segment", good + "kind: campaign\nname: c\nsegment: goood\nepisode: entry\nexisting: enroll\nsteps:\n  - {name: a, at: 0 days, tag: x}\n", `"goood"`},
		{"defined twice", good + "kind: segment\nname: good\nrule: deleted\n", "segment good is defined twice"},
		{"wrong rule", good + "kind: segment\nname: s\nrule: " + wrongRule + "\n", `did you mean "card_expires_at"?`},
		{"not YAML", good + "kind: [segment\n", "standard input:"},
		{"unknown kind", good + "kind: segmant\nname: s\n", "segmant"},
		{"everybody held out", good + "kind: campaign\nname: c\nsegment: good\nholdout: 100%\nepisode: entry\nexisting: enroll\nsteps:\n  - {name: a, at: 0 days, tag: x}\n", "standard input:8:10: holdout cannot be \"100%\""},
		{"keys that exclude each other", good + "kind: campaign\nname: c\ntrigger: first_payment\nexisting: enroll\nsteps:\n  - {name: a, at: 0 days, tag: x}\n", "standard input:8:11: with a trigger"},
		{"a budget that cannot be", good + "kind: workspace\nzone: UTC\ncurrency: usd\ncontact_budget: {contacts: 3, within: 1 day}\n", "do not fit into 24 hours"},
		{"key of a later version", good + "kind: workspace\nzone: UTC\ncurrency: usd\nretention: {history: 6 months}\n", `"history" is not supported yet`},
		{"key that belongs elsewhere", good + "kind: workspace\nzone: UTC\ncurrency: usd\nholdout: 5%\n", `"holdout" stands in the wrong place`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, command := range []string{"plan", "apply"} {
				p := dunlin(t, environ, tt.source, command, "-f", "-")
				if p.status != exitUsage || !strings.Contains(p.errs, tt.want) || p.out != "" {
					t.Errorf("%s\n got status %d, %q, %q on standard output\nwant 2 and %q", command, p.status, p.errs, p.out, tt.want)
				}
			}
			if n := count(t, pool, `select count(*) from dunlin.segments`) + count(t, pool, `select count(*) from dunlin.campaigns`); n != 0 {
				t.Errorf("stored\n got %d definitions\nwant none", n)
			}
		})
	}
	t.Run("missing file", func(t *testing.T) {
		p := dunlin(t, environ, "", "apply", "-f", filepath.Join(t.TempDir(), "none.yaml"))
		if p.status != exitUsage || !strings.Contains(p.errs, "none.yaml") {
			t.Errorf("apply\n got status %d, %q\nwant 2, naming the file", p.status, p.errs)
		}
	})
	t.Run("the place in a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "card.yaml")
		if err := os.WriteFile(path, []byte("kind: segment\nname: s\n  # a remark\nrule: delinquent\ncolour: red\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		p := dunlin(t, environ, "", "apply", "-f", path)
		if want := path + ":5:1: "; p.status != exitUsage || !strings.HasPrefix(p.errs, want) {
			t.Errorf("apply\n got status %d, %q\nwant 2, %q", p.status, p.errs, want)
		}
	})
}

func TestUsedWrongly(t *testing.T) {
	t.Parallel()
	environ, _ := on(t)
	with := func(more ...string) []string { return append(environ[:1:1], more...) }
	tests := []struct {
		name    string
		environ []string
		args    string
		status  int
		want    []string
	}{
		{"up without keys names all", environ, "up", exitUsage, []string{"STRIPE_API_KEY is not set", "STRIPE_WEBHOOK_SECRET is not set", "INTERCOM_ACCESS_TOKEN is not set", "DRY_RUN=true"}},
		{"up with DRY_RUN needs no token", with("DRY_RUN=1"), "up", exitUsage, []string{"STRIPE_API_KEY is not set"}},
		{"work without keys", environ, "work --once", exitUsage, []string{"STRIPE_API_KEY is not set", "INTERCOM_ACCESS_TOKEN is not set"}},
		{"serve without a secret", with("STRIPE_API_KEY=sk_test_1"), "serve", exitUsage, []string{"STRIPE_WEBHOOK_SECRET is not set"}},
		{"sync without a key", environ, "sync", exitUsage, []string{"STRIPE_API_KEY is not set"}},
		{"sync of no such account", with("STRIPE_API_KEY=sk_test_1"), "sync --account other", exitUsage, []string{`there is no account "other"; there is "main"`}},
		{"intercom setup without a token", environ, "intercom setup", exitUsage, []string{"INTERCOM_ACCESS_TOKEN is not set"}},
		{"everything wrong in the environment", with("DRY_RUN=maybe", "TICK_EVERY=often", "LISTEN_ADDR=8080", "STRIPE_API_BASE=nowhere"), "up", exitUsage,
			[]string{`DRY_RUN is "maybe"; use true or false`, `TICK_EVERY is "often"; use a duration from 1s to 10m`, `LISTEN_ADDR is "8080"; use host:port`, "STRIPE_API_BASE is not an address"}},
		{"a tick too often", with("TICK_EVERY=1ms"), "doctor", exitUsage, []string{"TICK_EVERY"}},
		{"unknown subcommand", environ, "send", exitUsage, []string{"send"}},
		{"unknown flag", environ, "tick --loud", exitUsage, []string{"--loud", "tick --help"}},
		{"apply without files", environ, "apply", exitUsage, []string{"--file"}},
		{"tick at nonsense", environ, "tick --now tomorrow", exitUsage, []string{`--now is "tomorrow"; write an instant such as 2026-03-01T09:00:00Z`}},
		{"demo of no days", environ, "demo --days 0", exitUsage, []string{"--days is 0; use 1 to 3650"}},
		{"demo of nobody", environ, "demo --customers 0", exitUsage, []string{"--customers is 0"}},
		{"demo without workers", environ, "demo --workers 0", exitUsage, []string{"--workers is 0"}},
		{"deliveries in no such state", environ, "deliveries --state lost", exitUsage, []string{"--state"}},
		{"snoozed for ever", environ, "tasks snooze 1 2999-01-01", exitUsage, []string{"more than a year away"}},
		{"snoozed until whenever", environ, "tasks snooze 1 soon", exitUsage, []string{`"soon" is neither a day nor an instant`, "2026-03-05"}},
		{"tasks of somebody", environ, "tasks --owner anna", exitUsage, []string{"admin:991267716"}},
		{"an instant that is none", environ, "customers show --at yesterday cus_none", exitUsage, []string{`--at is "yesterday"`, "2026-03-01T09:00:00Z"}},
		{"unknown customer", environ, "customers show cus_none", exitFailed, []string{`customer "cus_none"`, "dunlin doctor"}},
		{"unknown segment", environ, "segments members none", exitFailed, []string{`"none"`, "dunlin segments list"}},
		{"unknown segment, counted", environ, "segments count none", exitFailed, []string{`"none"`}},
		{"unknown campaign", environ, "campaigns start none", exitFailed, []string{`campaign "none"`}},
		{"unknown campaign, paused", environ, "campaigns pause none", exitFailed, []string{`campaign "none"`}},
		{"unknown task", environ, "tasks done 7", exitFailed, []string{"7"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := dunlin(t, tt.environ, "", strings.Fields(tt.args)...)
			if p.status != tt.status || p.out != "" {
				t.Errorf("dunlin %s\n got status %d, %q on standard output\nwant %d and nothing", tt.args, p.status, p.out, tt.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(p.errs, want) {
					t.Errorf("dunlin %s\n got %q\nwant %q", tt.args, p.errs, want)
				}
			}
		})
	}
}

func TestUnreachableDatabase(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	p := dunlin(t, []string{"DATABASE_URL=postgres://ann:secretword@" + port + "/dunlin"}, "", "segments", "list")
	for _, want := range []string{"no answer from Postgres at " + port, "check DATABASE_URL"} {
		if p.status != exitFailed || !strings.Contains(p.errs, want) {
			t.Errorf("got status %d, %q\nwant 1 and %q", p.status, p.errs, want)
		}
	}
	if strings.Contains(p.errs, "secretword") {
		t.Errorf("the password is shown: %q", p.errs)
	}
	p = dunlin(t, []string{"DATABASE_URL=my database"}, "", "segments", "list")
	if p.status != exitFailed && p.status != exitUsage || !strings.Contains(p.errs, "DATABASE_URL is not a Postgres address") {
		t.Errorf("got status %d, %q\nwant one that names DATABASE_URL", p.status, p.errs)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	p := dunlin(t, nil, "")
	for _, want := range []string{"demo", "apply", "Run it:", "Segments and campaigns:"} {
		if p.status != exitDone || !strings.Contains(p.out, want) {
			t.Errorf("dunlin\n got status %d, %s\nwant help with %q", p.status, p.out, want)
		}
	}
}
