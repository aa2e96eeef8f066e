package intercom

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Finding is one thing that was looked at, for people to read.
type Finding struct {
	OK   bool
	What string // what was looked at and how it is
	Fix  string // what to do about it; empty when OK
}

// Expected is what the workspace's settings say about Intercom. An empty one is
// not looked at.
type Expected struct {
	Sender string             // id of the teammate messages come from
	Teams  map[string]string  // ids by our name for the team
	Owners map[string][]int64 // ids of the teammates who get tasks, by our name for the team
	Import bool               // contacts are to carry [ImportedAttributes]
	Settings
}

// Check looks at everything Dunlin needs at Intercom and reports each, good and
// bad. It changes nothing. When the token does not work, that is the only finding.
func Check(ctx context.Context, client *Client, q Querier, want Expected) []Finding {
	ctx = Urgently(ctx)
	me, err := client.Me(ctx)
	if err != nil {
		return []Finding{failed("Intercom accepts the access token", err)}
	}
	findings := []Finding{
		{OK: true, What: fmt.Sprintf("Intercom accepts the access token (workspace %s, hosted in %s, zone %s)", me.AppID, me.Region, me.Timezone)},
		checkRegion(client.base.Hostname(), me.Region),
		checkSender(ctx, client, want.Sender),
	}
	findings = append(findings, checkTeams(ctx, client, want.Teams)...)
	findings = append(findings, checkOwners(ctx, client, want.Owners)...)
	findings = append(findings, checkTickets(ctx, client, q)...)
	if want.OptOutTag != "" {
		findings = append(findings, checkTag(ctx, client, want.OptOutTag))
	}
	if want.Import {
		findings = append(findings, checkImport(ctx, client)...)
	}
	return append(findings, checkAttributes(ctx, client, want.OptOutAttribute, want.TimezoneAttribute)...)
}

// hosts are the API hosts of the regions, as /me names them.
var hosts = map[string]string{"US": "api.intercom.io", "EU": "api.eu.intercom.io", "AU": "api.au.intercom.io"}

func checkRegion(host, region string) Finding {
	want, known := hosts[strings.ToUpper(region)]
	ours := slices.Contains(slices.Collect(maps.Values(hosts)), host)
	if known && ours && host != want {
		return Finding{
			What: fmt.Sprintf("the workspace is hosted in %s, but calls go to %s", region, host),
			Fix:  fmt.Sprintf("set INTERCOM_API_BASE=https://%s", want),
		}
	}
	return Finding{OK: true, What: "calls go to " + host}
}

func checkSender(ctx context.Context, client *Client, sender string) Finding {
	const fix = "choose a teammate with an inbox seat as sender in the settings: intercom: { sender: admin:ID }"
	if sender == "" {
		return Finding{What: "no teammate is set as sender of messages", Fix: fix}
	}
	admins, err := client.Admins(ctx)
	if err != nil {
		return failed("the sender of messages is a teammate", err)
	}
	for _, a := range admins {
		if a.ID != sender {
			continue
		}
		if !a.Seat {
			return Finding{What: fmt.Sprintf("the sender admin:%s has no inbox seat, so replies reach nobody", sender), Fix: "give the teammate an inbox seat, or " + fix}
		}
		return Finding{OK: true, What: fmt.Sprintf("the sender admin:%s is a teammate with an inbox seat", sender)}
	}
	return Finding{What: fmt.Sprintf("the sender admin:%s is not a teammate of this workspace", sender), Fix: fix}
}

func checkTeams(ctx context.Context, client *Client, want map[string]string) []Finding {
	if len(want) == 0 {
		return nil
	}
	teams, err := client.Teams(ctx)
	if err != nil {
		return []Finding{failed("the teams of the settings exist", err)}
	}
	var findings []Finding
	for _, name := range slices.Sorted(maps.Keys(want)) {
		i := slices.IndexFunc(teams, func(t Team) bool { return t.ID == want[name] })
		if i < 0 {
			findings = append(findings, Finding{
				What: fmt.Sprintf("the team %s (%s) does not exist at Intercom", name, want[name]),
				Fix:  "set the team's id in the settings; it is the number at the end of the address of the team's inbox",
			})
			continue
		}
		findings = append(findings, Finding{OK: true, What: fmt.Sprintf("the team %s is Intercom's team %q", name, teams[i].Name)})
	}
	return findings
}

// checkOwners looks for the owners of teams among the teammates. A task of one who
// is none has an owner here and nobody at Intercom.
func checkOwners(ctx context.Context, client *Client, want map[string][]int64) []Finding {
	if len(want) == 0 {
		return nil
	}
	admins, err := client.Admins(ctx)
	if err != nil {
		return []Finding{failed("the owners of tasks are teammates", err)}
	}
	var findings []Finding
	for _, team := range slices.Sorted(maps.Keys(want)) {
		for _, owner := range want[team] {
			i := slices.IndexFunc(admins, func(a Admin) bool { return a.ID == strconv.FormatInt(owner, 10) })
			if i < 0 {
				findings = append(findings, Finding{
					What: fmt.Sprintf("admin:%d, an owner of team %s, is not a teammate of this workspace", owner, team),
					Fix:  "correct owners: of the team in the settings",
				})
			}
		}
	}
	if len(findings) == 0 {
		findings = []Finding{{OK: true, What: "the owners of tasks are teammates"}}
	}
	return findings
}

func checkTickets(ctx context.Context, client *Client, q Querier) []Finding {
	const fix = "run dunlin intercom setup; until then follow-up tasks stay in dunlin tasks"
	stored, err := ReadObjects(ctx, q)
	if err != nil {
		return []Finding{failed("the ticket type of follow-up tasks is known", err)}
	}
	if !stored.Ready() {
		return []Finding{{What: "follow-up tickets have not been set up", Fix: fix}}
	}
	types, err := client.TicketTypes(ctx)
	if err != nil {
		return []Finding{failed("the ticket type of follow-up tasks exists", err)}
	}
	i := slices.IndexFunc(types, func(t TicketType) bool { return t.ID == stored.TicketType && !t.Archived })
	if i < 0 {
		return []Finding{{What: "the ticket type of follow-up tasks was deleted or archived at Intercom", Fix: fix}}
	}
	findings := []Finding{{OK: true, What: fmt.Sprintf("follow-up tasks become tickets of the type %q", types[i].Name)}}
	for _, a := range types[i].Attributes {
		switch {
		case a.Archived:
		case a.ID == stored.Reference && a.Name != stored.ReferenceAttribute:
			findings = append(findings, Finding{What: fmt.Sprintf("the attribute %q is called %q now", stored.ReferenceAttribute, a.Name), Fix: fix})
		case a.ID == stored.Reference:
			findings = append(findings, Finding{OK: true, What: fmt.Sprintf("its attribute %q holds our reference", a.Name)})
		case a.Required && a.Name != titleAttribute && a.Name != descriptionAttribute:
			findings = append(findings, Finding{
				What: fmt.Sprintf("tickets need a value for %q, which Dunlin does not set", a.Name),
				Fix:  "make the attribute optional in Intercom's settings for this ticket type",
			})
		}
	}
	if !slices.ContainsFunc(types[i].Attributes, func(a TicketAttribute) bool { return a.ID == stored.Reference && !a.Archived }) {
		findings = append(findings, Finding{What: fmt.Sprintf("the attribute %q was deleted or archived at Intercom", stored.ReferenceAttribute), Fix: fix})
	}
	return findings
}

func checkTag(ctx context.Context, client *Client, name string) Finding {
	tags, err := client.Tags(ctx)
	if err != nil {
		return failed("the opt-out tag exists", err)
	}
	if slices.ContainsFunc(tags, func(t Tag) bool { return strings.EqualFold(t.Name, name) }) {
		return Finding{OK: true, What: fmt.Sprintf("the opt-out tag %q exists", name)}
	}
	return Finding{
		What: fmt.Sprintf("the opt-out tag %q does not exist at Intercom, so nobody is opted out by it", name),
		Fix:  "create the tag at Intercom, or correct opt_out: { tag: … } in the settings",
	}
}

func checkAttributes(ctx context.Context, client *Client, optOut, timezone string) []Finding {
	if optOut == "" && timezone == "" {
		return nil
	}
	names, err := client.ContactAttributes(ctx)
	if err != nil {
		return []Finding{failed("the contact attributes of the settings exist", err)}
	}
	var findings []Finding
	for _, want := range []struct{ name, what, fix string }{
		{optOut, "the opt-out attribute", "opt_out: { attribute: … }"},
		{timezone, "the time zone attribute", "timezone_attribute: …"},
	} {
		switch {
		case want.name == "":
		case slices.Contains(names, want.name):
			findings = append(findings, Finding{OK: true, What: fmt.Sprintf("%s %q exists", want.what, want.name)})
		default:
			findings = append(findings, Finding{
				What: fmt.Sprintf("%s %q does not exist at Intercom (names respect case)", want.what, want.name),
				Fix:  "create it under Intercom's people data, or correct " + want.fix + " in the settings",
			})
		}
	}
	return findings
}

func checkImport(ctx context.Context, client *Client) []Finding {
	listed, err := client.attributes(ctx)
	if err != nil {
		return []Finding{failed("contacts can carry what is imported", err)}
	}
	var findings []Finding
	for _, want := range ImportedAttributes {
		a, there := named(listed, want.Name)
		if !there {
			continue // the import makes it
		}
		if f := unfit(a, want); !f.OK {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return []Finding{{OK: true, What: "contacts can carry what is imported"}}
	}
	return findings
}

// failed is the finding about something that could not be looked at.
func failed(what string, err error) Finding {
	f := Finding{What: fmt.Sprintf("could not see whether %s: %v", what, err), Fix: "try again in a moment"}
	if e := new(Error); errors.As(err, &e) && e.Fix() != "" {
		f.Fix = e.Fix()
	}
	return f
}
