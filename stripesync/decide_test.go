package stripesync

import (
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	const (
		old = `{"id":"sub_1","status":"active"}`
		now = `{"id":"sub_1","status":"past_due"}`
		aft = `{"id":"sub_1","status":"canceled"}`
	)
	at := func(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }
	ours := func(seconds float64, object string) news {
		return news{created: at(seconds), version: ourVersion, object: []byte(object)}
	}
	foreign := func(seconds float64, object string) news {
		return news{created: at(seconds), version: "2020-08-27", object: []byte(object)}
	}
	none := held{}
	have := held{found: true, raw: []byte(old), asOf: at(0)}

	tests := []struct {
		name   string
		events []news
		have   held
		want   verdict
		winner int
	}{
		{"nothing is mirrored, our version", []news{ours(0, now)}, none, payload, 0},
		{"nothing is mirrored, a foreign version", []news{foreign(0, now)}, none, refetch, 0},
		{"more than two seconds newer", []news{ours(3, now)}, have, payload, 0},
		{"exactly two seconds newer is a tie", []news{ours(2, now)}, have, refetch, 0},
		{"the same second", []news{ours(0, now)}, have, refetch, 0},
		{"exactly two seconds older is a tie", []news{ours(-2, now)}, have, refetch, 0},
		{"more than two seconds older", []news{ours(-3, now)}, have, superseded, 0},
		{"older than a read within the second", []news{ours(-2, now)}, held{found: true, raw: []byte(old), asOf: at(0.5)}, superseded, 0},
		{"newer, of a foreign version", []news{foreign(60, now)}, have, refetch, 0},
		{"older, of a foreign version", []news{foreign(-60, now)}, have, superseded, 0},
		{"no version at all", []news{{created: at(60), object: []byte(now)}}, have, refetch, 0},
		{"a tie that is what the mirror has", []news{ours(0, old)}, have, payload, 0},
		{"a tie that is what the mirror has, indented otherwise", []news{ours(0, "{\n \"id\": \"sub_1\",\n \"status\": \"active\"}")}, have, payload, 0},
		{"a foreign version of what the mirror has", []news{foreign(60, old)}, have, payload, 0},
		{"what the mirror has, but there it is deleted", []news{ours(0, old)}, held{found: true, raw: []byte(old), asOf: at(0), deleted: true}, refetch, 0},

		{"same second, other payloads", []news{ours(60, now), ours(60, aft)}, have, refetch, 1},
		{"same second, one payload", []news{ours(60, now), ours(60, now)}, have, payload, 1},
		{"two event objects for one change", []news{ours(60, now), ours(61, now)}, have, payload, 1},
		{"created and updated far apart", []news{ours(60, now), ours(90, aft)}, have, payload, 1},
		{"an earlier one was foreign", []news{foreign(60, now), ours(90, aft)}, have, payload, 1},
		{"the newest is foreign", []news{ours(60, now), foreign(90, aft)}, have, refetch, 1},
		{"stale ones and a tie", []news{ours(-60, now), ours(1, aft)}, have, refetch, 1},

		{"a hint is never the object", []news{{created: at(60), version: ourVersion, change: hint, object: []byte(now)}}, have, refetch, 0},
		{"a hint from before the mirror", []news{{created: at(-60), version: ourVersion, change: hint, object: []byte(now)}}, have, superseded, 0},
		{"a hint, then the object", []news{{created: at(60), version: ourVersion, change: hint}, ours(90, aft)}, have, payload, 1},
		{"a hint within the same second", []news{ours(60, aft), {created: at(60), version: ourVersion, change: hint}}, have, refetch, 1},

		{"a removal", []news{{created: at(60), version: ourVersion, change: removal, object: []byte(now)}}, have, payload, 0},
		{"a removal in the same second is final", []news{{created: at(0), version: ourVersion, change: removal, object: []byte(now)}}, have, payload, 0},
		{"a removal and an update of one second", []news{{created: at(60), version: ourVersion, change: removal, object: []byte(now)}, ours(60, now)}, have, payload, 0},
		{"a removal of a foreign version", []news{{created: at(60), version: "2020-08-27", change: removal, object: []byte(now)}}, have, refetch, 0},
		{"a removal from before the mirror", []news{{created: at(-60), version: ourVersion, change: removal, object: []byte(now)}}, have, superseded, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, winner := decide(tt.events, tt.have)
			if got != tt.want || winner != tt.winner {
				t.Errorf("decide\n got %s by event %d\nwant %s by event %d", got, winner, tt.want, tt.winner)
			}
		})
	}
}

func TestStripeInstant(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	tests := []struct {
		name                       string
		sent, received, date, want time.Time
	}{
		{"clocks agree", at(300), at(400), at(0), at(300)},
		{"no Date header", at(300), at(400), time.Time{}, at(300)},
		{"the second turned while Stripe answered", at(900), at(1100), at(1000), at(900)},
		{"we are a minute behind", at(300), at(400), at(60_000), at(59_900)},
		{"we are a minute ahead", at(60_300), at(60_400), at(0), at(1_000)},
		{"behind by less than the answer took", at(900), at(1100), at(1000), at(900)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := stripeInstant(tt.sent, tt.received, tt.date); !got.Equal(tt.want) {
				t.Errorf("stripeInstant\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}
