package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDoctor_zones(t *testing.T) {
	t.Parallel()
	environ, pool := stocked(t)
	a, out, _ := quiet(false)
	url, _ := strings.CutPrefix(environ[0], "DATABASE_URL=")
	p := &product{wiring: wiring{Pool: connected(t, url).Pool, Now: func() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }}}
	var shown strings.Builder
	look := func(what, sql string) {
		t.Helper()
		if sql != "" {
			execSQL(t, pool, sql)
		}
		out.Reset()
		found, err := p.examineZones(t.Context())
		if err == nil {
			err = a.tell(found)
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&shown, "# %s\n%s", what, out)
	}
	look("no contacts", "")
	look("ten, with a country each", `
		with someone as (update dunlin.customers set country = 'DE' where stripe_id < 'cus_11' returning account_id, customer_id, stripe_id)
		insert into dunlin.links (account_id, customer_id, state, contact_id, checked_at) select account_id, customer_id, 'linked', stripe_id, now() from someone`)
	look("one without", `update dunlin.customers set country = null where stripe_id = 'cus_01'`)
	look("five without", `update dunlin.customers set country = null where stripe_id < 'cus_06'`)
	ok(t, environ, bandedWorkspace+"unknown_zone: hold\n", "apply", "-f", "-")
	look("five without, who are held", "")
	golden(t, "doctor_zones.txt", shown.String())
}
