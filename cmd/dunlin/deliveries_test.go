package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestDeliveries tells the story of deliveries of unknown outcome and of failed
// ones: doctor leads to them, people settle them, and nobody else's are touched.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	environ, pool := chased(t)
	stand := func(customer, set string) {
		execSQL(t, pool, `update dunlin.deliveries d set action = 'message', claimed_at = now(), contacted_at = now(), ended_at = now(), token = gen_random_uuid(), `+set+`
			from dunlin.customers c where c.account_id = d.account_id and c.customer_id = d.customer_id and c.stripe_id = '`+customer+`'`)
	}
	stand("cus_01", `state = 'unknown', reason = 'not_found'`)
	stand("cus_02", `state = 'unknown', reason = 'no_clear_answer', doubted_at = now(), look_at = now() + interval '1 hour', detail = 'timeout'`)
	stand("cus_03", `state = 'failed', reason = 'refused', detail = '422'`)
	stand("cus_04", `state = 'failed', reason = 'template'`)
	stand("cus_05", `state = 'sent'`)
	stand("cus_06", `state = 'unknown', reason = 'untraceable'`)
	stand("cus_07", `state = 'unknown', reason = 'worker_lost', doubted_at = now() - interval '2 hours', look_at = now()`)
	execSQL(t, pool, `
		update dunlin.enrollments e set state = 'exited', reason = 'left_segment', ended_at = now()
		from dunlin.customers c where c.account_id = e.account_id and c.customer_id = e.customer_id and c.stripe_id = 'cus_04'`)

	var story strings.Builder
	for _, line := range []string{
		"doctor",
		"deliveries --state unknown",
		"deliveries --state failed",
		"why cus_01 chase",
		"deliveries settle cus_01 chase mark --sent --id 77 --by ann",
		"deliveries settle cus_01 chase mark --not-sent --by ann",
		"deliveries settle cus_02 chase mark --not-sent --by ann --json",
		"deliveries settle cus_05 chase mark --sent --by ann",
		"deliveries settle cus_06 chase mark --by ann",
		"deliveries settle cus_06 chase mark --sent --not-sent --by ann",
		"deliveries settle cus_06 chase mark --not-sent --id 78 --by ann",
		"deliveries settle cus_06 chase mark --sent --account eu --by ann",
		"deliveries settle cus_none chase mark --sent --by ann",
		"deliveries settle cus_06 chase nudge --sent --by ann",
		"deliveries retry cus_03 chase mark --by bob",
		"deliveries retry cus_03 chase mark --by bob",
		"deliveries retry cus_04 chase mark --by bob",
		"deliveries retry cus_06 chase mark --by bob",
		"why cus_03 chase",
		"deliveries --customer cus_01",
		"deliveries list --customer cus_02",
	} {
		p := dunlin(t, environ, "", words(line)...)
		out := p.out + p.errs
		if line == "doctor" {
			out = about(out, "work", "deliver")
		}
		fmt.Fprintf(&story, "$ dunlin %s\n%s", line, out)
		if p.status != exitDone && line != "doctor" {
			fmt.Fprintf(&story, "status %d\n", p.status)
		}
	}
	golden(t, "deliveries.txt", timeless(story.String()))

	if n := count(t, pool, `select count(*) from dunlin.decisions where verdict = 'settle' and inputs->>'by' in ('ann', 'bob')`); n != 3 {
		t.Errorf("log of who said what\n got %d\nwant 3", n)
	}
	ok(t, environ, "", "deliveries", "settle", "cus_06", "chase", "mark", "--sent")
	if n := count(t, pool, `select count(*) from dunlin.decisions where verdict = 'settle' and reason = 'said_sent' and inputs->>'by' not in ('', 'ann')`); n != 1 {
		t.Errorf("settled by whoever is logged in\n got %d\nwant 1", n)
	}
}

// about are the lines that have any of some words.
func about(text string, words ...string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for _, w := range words {
			if strings.Contains(line, w) {
				b.WriteString(line)
				break
			}
		}
	}
	return b.String()
}
