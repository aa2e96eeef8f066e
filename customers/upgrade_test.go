package customers

import (
	"strings"
	"testing"

	"github.com/dunlin/dunlin/migrations"
)

// honest-mirror: customers of before lack the attributes and cards of migration
// 0009. What was ready is not until a run of the projection alone has filled
// them in, and a first projection under way starts again.
func TestUpgrade_ProjectsEverybodyAgain(t *testing.T) {
	t.Parallel()
	pool, ready := newAccount(t)
	text, err := migrations.Files.ReadFile("0009_attributes.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, statements, ok := strings.Cut(string(text), "-- Customers of before lack all of this")
	if !ok {
		t.Fatal("0009_attributes.sql has no such part")
	}
	storeMirror(t, pool, ready, "cus_1", fullMirror("cus_1"))
	projectAll(t, pool, ready, "cus_1")
	for _, sql := range []string{
		`update dunlin.customers set account = null, livemode = null, plans = '{}', subscription_count = 0, last_payment_at = null`,
		`delete from dunlin.cards`,
		`delete from dunlin.changed_customers`,
		`update dunlin.accounts set mirrored_at = created_at, ready_at = created_at`,
		`insert into dunlin.accounts (name, created_at, mirrored_at) values ('fresh', now(), now()), ('empty', now(), null)`,
		`insert into dunlin.sync_runs (account_id, started_at) select account_id, now() from dunlin.accounts where name <> 'empty'`,
		`insert into dunlin.sync_progress (account_id, run_id, class, cursor, objects, finished_at)
			select account_id, run_id, c.class, c.cursor, 7, case when a.name = 'shop' or c.class = 'charges' then now() end
			from dunlin.sync_runs r join dunlin.accounts a using (account_id), (values ('charges', 'ch_7'), ('attributes', 'cus_7')) as c (class, cursor)`,
		"--" + statements,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}

	var got string
	if err := pool.QueryRow(t.Context(), `
		select string_agg(concat_ws(' ', a.name, case when a.ready_at is null then 'waits' else 'ready' end, p.class, nullif(p.cursor, ''), p.objects,
		                            case when p.class is not null and p.finished_at is null then 'open' end), ', ' order by a.account_id, p.run_id, p.class)
		from dunlin.accounts a left join dunlin.sync_progress p using (account_id)`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	want := "shop waits attributes cus_7 7, shop waits charges ch_7 7, shop waits attributes 0 open, " +
		"fresh waits attributes 0 open, fresh waits charges ch_7 7, empty waits"
	if got != want {
		t.Errorf("runs\n got %s\nwant %s", got, want)
	}

	if n := projectAll(t, pool, ready, "cus_1"); n != 1 {
		t.Errorf("changed\n got %d\nwant 1", n)
	}
	if told := news(t, pool, ready); len(told) != 1 || strings.Join(told[0], " ") != "account livemode subscription_count plans last_payment_at cards" {
		t.Errorf("news %v", told)
	}
	if lost := differences(fullMirror("cus_1").picture(t), load(t, pool, ready, "cus_1")); lost != nil {
		t.Errorf("projected again, and not as derived: %v", lost)
	}
}
