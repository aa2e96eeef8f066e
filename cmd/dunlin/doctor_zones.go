package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/workspace"
)

// zonesWatched is how far back messages under the narrow hours are counted.
const zonesWatched = 30 * 24 * time.Hour

// examineZones shows how many contacts nobody knows the zone of, and what that
// means for them.
func (p *product) examineZones(ctx context.Context) ([]finding, error) {
	settings, err := workspace.Load(ctx, p.Pool)
	if err != nil {
		return nil, err
	}
	n, err := campaigns.NarrowHours(ctx, p.Pool, p.Now().Add(-zonesWatched))
	if err != nil || n.Linked == 0 {
		return nil, err
	}
	if n.Unknown == 0 {
		return []finding{{OK: true, Topic: "zones", What: fmt.Sprintf("a time zone is known of %s", of(n.Linked, "all", "contact"))}}, nil
	}
	f := finding{OK: true, Topic: "zones", What: fmt.Sprintf("no time zone is known of %s", of(n.Linked, fmt.Sprint(n.Unknown), "contact"))}
	if settings.HoldUnknownZone {
		f.Warn, f.What = true, f.What+fmt.Sprintf(", to whom no message goes: %d wait", n.Waiting)
	} else {
		f.Warn = n.Unknown*10 > n.Linked
		f.What += fmt.Sprintf(", who are written to from 11:00 to 16:00 %s: %d in 30 days, %d wait", settings.Zone, n.Contacted, n.Waiting)
	}
	f.Fix = "write a zone such as Europe/Berlin into a contact attribute at Intercom (timezone_attribute of the workspace), or a country into the billing address at Stripe"
	return []finding{f}, nil
}

// of is "3 of 10 contacts".
func of(total int64, part, noun string) string {
	return part + " of " + plural(total, noun)
}
