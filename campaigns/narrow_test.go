package campaigns

import (
	"testing"
	"time"
)

// TestNarrowHours holds the count in SQL to what decisions say of the same
// places, and counts what was decided under the narrow hours (decent-hours).
func TestNarrowHours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := Narrow{}
	for i, place := range []Place{
		{},
		{Zone: "Asia/Tokyo"},
		{Country: "DE"},
		{Country: " us "},
		{Country: "ZZ"},
		{Country: "Germany", LocationCountry: "de"},
		{LocationCountry: "XX"},
		{Region: "CA"},
		{Zone: "Europe/Berlin", Country: "ZZ"},
	} {
		name := string(rune('a' + i))
		id := w.customer(name, map[string]any{"country": place.Country, "state": place.Region})
		w.join(id, "owing", noon)
		w.link(id, "c"+name, noon)
		w.exec(`update dunlin.links set timezone = nullif($2, ''), country = nullif($3, '') where customer_id = $1`, id, place.Zone, place.LocationCountry)
		want.Linked++
		if len(place.Zones()) == 0 {
			want.Unknown++
		}
	}
	w.customer("elsewhere", map[string]any{"country": "ZZ"}) // who is no contact gets nothing
	if want.Unknown != 4 {
		t.Fatalf("%d places without a zone", want.Unknown)
	}

	w.campaign("dun", onEntry, nudge, call, mark)
	w.start("dun", noon)
	check := func(what string, since time.Time) {
		t.Helper()
		got, err := NarrowHours(t.Context(), w.pool, since)
		if err != nil || got != want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", what, got, err, want)
		}
	}
	check("nothing decided", noon)
	w.exec(`update dunlin.deliveries set reason = 'quiet_hours' where step = 'nudge'`)
	w.exec(`update dunlin.deliveries set reason = 'zone_unknown' where step = 'mark'`)
	want.Waiting = 8
	check("waiting", noon)
	w.exec(`update dunlin.deliveries set state = 'sent', contacted_at = $1 where step = 'nudge'`, noon)
	want.Waiting, want.Contacted = 4, 4
	check("contacted", noon)
	want.Contacted = 0
	check("contacted before", noon.Add(time.Second))
}
