package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/segments"
	"github.com/dunlin/dunlin/stripesync"
)

const (
	skewNoticed = 10 * time.Second // more is a warning
	skewRefused = 5 * time.Minute  // more, and signatures of webhooks are too old

	aged   = time.Hour        // data that is older is a warning
	stale  = 24 * time.Hour   // older still, and nobody comes to mend it
	lateBy = 10 * time.Minute // an event that waits longer to be applied is stuck
)

// An accountExam is one account being examined.
type accountExam struct {
	*product
	account stripeAccount
	sync    *stripesync.Sync
	found   []finding
	owner   string // the Stripe account and mode of its key; empty when not known
}

func (x *accountExam) ok(format string, args ...any) {
	x.found = append(x.found, finding{OK: true, Topic: "stripe", What: x.what(format, args...)})
}

// warn adds what may be right, or will do for now.
func (x *accountExam) warn(fix, format string, args ...any) {
	x.found = append(x.found, finding{OK: true, Warn: true, Topic: "stripe", What: x.what(format, args...), Fix: fix})
}

func (x *accountExam) mend(fix, format string, args ...any) {
	x.found = append(x.found, finding{Topic: "stripe", What: x.what(format, args...), Fix: fix})
}

func (x *accountExam) what(format string, args ...any) string {
	return "account " + x.account.Name + ": " + fmt.Sprintf(format, args...)
}

// examineStripe looks at each account, and at how they are together.
func (p *product) examineStripe(ctx context.Context) ([]finding, error) {
	var found []finding
	owners := map[string]string{} // to the account that has a key of it
	var names []string
	for _, account := range p.Env.accounts() {
		names = append(names, account.Name)
		x := &accountExam{product: p, account: account, sync: p.stripeOf(account.Name)}
		if x.sync == nil {
			waiting, err := p.waitForNews(ctx, account.Name)
			if err != nil {
				return nil, err
			}
			x.mend("create a restricted key with read access in Stripe's dashboard and set it", "%s is not set%s", account.keyVar(), waiting)
			found = append(found, x.found...)
			continue
		}
		if err := x.examine(ctx); err != nil {
			return nil, err
		}
		if other := owners[x.owner]; x.owner != "" && other != "" {
			x.mend("take one of the two out of STRIPE_ACCOUNTS: each customer is there twice", "its key is of the same Stripe account as that of %s, in the same mode", other)
		} else {
			owners[x.owner] = account.Name
		}
		found = append(found, x.found...)
	}
	left, err := p.leftAccounts(ctx, names)
	return append(found, left...), err
}

// examine makes the findings of one account. What is in the database is looked at
// although Stripe should be out of reach.
func (x *accountExam) examine(ctx context.Context) error {
	if len(x.account.Secrets) == 0 {
		x.mend("it is the signing secret of the webhook endpoint; dunlin stripe endpoint create"+x.account.flag()+" makes one and prints it",
			"%s is not set: webhooks are refused", x.account.secretVar())
	}
	for _, look := range []func(context.Context) error{x.lookAtStripe, x.lookAtSync, x.lookAtFeed, x.lookAtEvents, x.lookAtReads, x.lookAtComparison} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lookAtStripe asks Stripe about the key and the endpoint, and is brief when
// Stripe does not answer.
func (x *accountExam) lookAtStripe(ctx context.Context) error {
	c, err := x.sync.Check(ctx)
	var asked *stripesync.AskError
	switch {
	case errors.As(err, &asked) && asked.Status == http.StatusUnauthorized:
		x.mend("put a key that is in force into "+x.account.keyVar(), "%v", err)
		return nil
	case errors.As(err, &asked):
		x.mend("can this machine reach Stripe? Look at the network, a proxy (HTTPS_PROXY), STRIPE_API_BASE and status.stripe.com", "Stripe is out of reach: %v", err)
		return nil
	case err != nil:
		return err
	}
	x.tellKey(c)
	x.tellClock(c.Skew)
	return x.lookAtEndpoint(ctx)
}

func (x *accountExam) tellKey(c stripesync.Checkup) {
	kind := "a key"
	switch {
	case c.Mode != "" && c.Restricted:
		kind = "a restricted " + c.Mode + " key"
	case c.Mode != "":
		kind = "a " + c.Mode + " key"
	}
	switch {
	case c.ID != "" && c.Title != "":
		x.ok("%s of %s (%s)", kind, c.Title, c.ID)
	case c.ID != "":
		x.ok("%s of %s", kind, c.ID)
	default:
		x.ok("%s; whose it is it may not ask", kind)
	}
	if c.ID != "" {
		x.owner = c.ID + " " + c.Mode
	}
	if c.ID != "" && c.Pinned != "" && c.ID != c.Pinned {
		x.mend("put a key of "+c.Pinned+" into "+x.account.keyVar()+", or give "+c.ID+" a name of its own in STRIPE_ACCOUNTS",
			"its name stands for the Stripe account %s: with this key nothing is read", c.Pinned)
	} else if c.Stranger != "" {
		x.mend("put the right key into "+x.account.keyVar()+", or give the new account a name of its own in STRIPE_ACCOUNTS; stop dunlin up and work until then",
			"Stripe does not know %s, who is in the mirror: the key is of another Stripe account, or of the other mode", c.Stranger)
	}
	if len(c.Denied) > 0 {
		var lacks []string
		for _, p := range c.Denied {
			lacks = append(lacks, fmt.Sprintf("%s (%s)", p.Resource, p.Name))
		}
		x.mend("let the restricted key read them: Developers, API keys in Stripe's dashboard; then dunlin sync"+x.account.flag(),
			"the key may not read %s", strings.Join(lacks, ", "))
	}
	for _, err := range c.Unsure {
		x.warn("run dunlin doctor again in a minute", "%v", err)
	}
	if len(c.Readable) > 0 {
		x.ok("the key may read %s", strings.Join(c.Readable, ", "))
	}
}

func (x *accountExam) tellClock(skew time.Duration) {
	way := "behind"
	if skew < 0 {
		way = "ahead of"
	}
	off := skew.Abs().Round(time.Second)
	const fix = "let this machine keep time (NTP)"
	switch {
	case skew.Abs() > skewRefused && skew < 0:
		x.mend(fix, "this machine's clock is %s ahead of Stripe's: webhooks are refused, because their signatures seem too old", off)
	case skew.Abs() > skewRefused:
		x.mend(fix, "this machine's clock is %s behind Stripe's: what is due is done too late", off)
	case skew.Abs() > skewNoticed:
		x.warn(fix+": from 5m ahead on webhooks are refused", "this machine's clock is %s %s Stripe's", off, way)
	default:
		x.ok("this machine's clock agrees with Stripe's")
	}
}

// lookAtEndpoint looks for an endpoint that sends to the account's path, the
// best when there are several, and for an event that did not come.
func (x *accountExam) lookAtEndpoint(ctx context.Context) error {
	all, err := x.sync.Endpoints(ctx)
	var asked *stripesync.AskError
	switch {
	case errors.As(err, &asked) && asked.Status == http.StatusForbidden:
		x.warn("give the key the permission Webhook Endpoints: read (rak_webhook_read), or look in Stripe's dashboard for one that sends to "+x.account.hook()+" in API version "+stripesync.Version,
			"the key may not read webhook endpoints, so that nobody knows whether Stripe sends here")
		return nil
	case err != nil:
		x.warn("look in Stripe's dashboard for an endpoint that sends to "+x.account.hook()+" in API version "+stripesync.Version, "%v", err)
		return nil
	}
	ours := slices.DeleteFunc(all, func(e stripesync.Endpoint) bool { return !sendsTo(e, x.account) })
	if len(ours) == 0 {
		x.mend("dunlin stripe endpoint create"+x.account.flag()+" --url https://YOUR-HOST"+x.account.hook(), "no endpoint at Stripe sends to %s", x.account.hook())
		return nil
	}
	best := slices.MinFunc(ours, func(a, b stripesync.Endpoint) int { return worth(a) - worth(b) })
	x.tellEndpoint(best)
	if !best.Enabled {
		return nil
	}
	return x.lookForUnheard(ctx, best)
}

// worth is less for a better endpoint.
func worth(e stripesync.Endpoint) int {
	n := len(e.Missing())
	if !e.Pinned() {
		n += 1000
	}
	if !e.Enabled {
		n += 10000
	}
	return n
}

func (x *accountExam) tellEndpoint(e stripesync.Endpoint) {
	missing := e.Missing()
	if !e.Enabled {
		x.mend("enable it in Stripe's dashboard, and find out who disabled it: Stripe does after days of failures", "endpoint %s, which sends to %s, is disabled", e.ID, e.URL)
		return
	}
	if len(missing) > 0 {
		x.mend("add them to the endpoint in Stripe's dashboard", "endpoint %s does not send %s", e.ID, strings.Join(missing, ", "))
	}
	switch {
	case e.Version == "":
		x.warn(mendEndpoint(e, x.account), "endpoint %s is not pinned to API version %s: what it sends may change with the account's settings", e.ID, stripesync.Version)
	case !e.Pinned():
		x.warn(mendEndpoint(e, x.account), "endpoint %s sends API version %s instead of %s: every object is read again, which counts against Stripe's limits", e.ID, e.Version, stripesync.Version)
	case len(missing) == 0:
		x.ok("endpoint %s sends all that is needed to %s", e.ID, e.URL)
	}
}

func (x *accountExam) lookForUnheard(ctx context.Context, e stripesync.Endpoint) error {
	told, lost, err := x.sync.Unheard(ctx, e.Created)
	var asked *stripesync.AskError
	switch {
	case errors.As(err, &asked): // the key's own findings say why
		return nil
	case err != nil:
		return err
	case lost:
		x.mend("look at the deliveries of "+e.ID+" in Stripe's dashboard: is the host reached, is "+x.account.secretVar()+" the secret of this endpoint?",
			"%s (%s) of %s ago has not come", told.ID, told.Type, age(x.Now().Sub(told.Created)))
	}
	return nil
}

// lookAtSync tells whether the mirror is whole.
func (x *accountExam) lookAtSync(ctx context.Context) error {
	ready, err := x.sync.Ready(ctx)
	if err != nil {
		return err
	}
	unfinished, err := x.sync.Unfinished(ctx)
	if err != nil {
		return err
	}
	var left []string
	for _, part := range unfinished {
		left = append(left, fmt.Sprintf("%s (%d so far)", part.Class, part.Objects))
	}
	incomplete := ""
	if len(left) > 0 {
		incomplete = "; incomplete are " + strings.Join(left, ", ")
	}
	again, err := segments.ProjectedAgain(ctx, x.Pool)
	if err != nil {
		return err
	}
	switch {
	case !ready && slices.Contains(again, x.account.Name):
		x.mend("dunlin sync"+x.account.flag()+", or leave dunlin up running", "is being projected again, as after an upgrade: until that is done nobody joins or leaves a segment")
	case !ready:
		x.mend("dunlin sync"+x.account.flag()+", or leave dunlin up running", "was never synced to the end: nobody is in a segment%s", incomplete)
	case len(left) > 0:
		x.warn("dunlin sync --full"+x.account.flag()+" goes on with it, unless it is running", "a further sync has not come to its end%s", incomplete)
	default:
		x.ok("the first sync is complete")
	}
	return nil
}

// lookAtFeed tells up to when the mirror follows Stripe. Before the first sync
// there is nothing to tell.
func (x *accountExam) lookAtFeed(ctx context.Context) error {
	feed, err := x.sync.Feed(ctx)
	if err != nil {
		return err
	}
	again := "dunlin up or dunlin work does that by itself; or dunlin sync" + x.account.flag()
	if feed.Resync != "" {
		x.mend(again, "the lists have to be read again: %s", feed.Resync)
	}
	known := feed.Known()
	if known.IsZero() {
		return nil
	}
	old := x.Now().Sub(known)
	following := fmt.Sprintf("the data is %s old: what happened at Stripe until %s is in the mirror", age(old), known.Format("2006-01-02 15:04:05 MST"))
	fix := "is dunlin up or dunlin work running, and may the key read events? dunlin sync" + x.account.flag() + " catches up"
	if known.Before(feed.Until) {
		following += fmt.Sprintf("; heard until %s, and %s not applied", feed.Until.Format("2006-01-02 15:04:05 MST"), plural(feed.Waiting, "event"))
		fix = "is dunlin up or dunlin work running? dunlin sync" + x.account.flag() + " applies what is stored"
	}
	switch {
	case old > stale:
		x.mend(fix, "%s", following)
	case old > aged:
		x.warn(fix, "%s", following)
	default:
		x.ok("%s", following)
	}
	return nil
}

// lookAtReads tells what is left of the month's read allocation.
func (x *accountExam) lookAtReads(ctx context.Context) error {
	use, err := x.sync.Reads(ctx)
	if err != nil {
		return err
	}
	used := fmt.Sprintf("%s of the %s reads that Stripe allows in %s are used", grouped(use.Reads), grouped(use.Allowed), use.Month.Format("January"))
	if use.Saving() {
		x.warn("Dunlin saves: it asks for events once an hour, and reads fewer objects again; it counts only its own reads, so look at what else reads the account",
			"%s (%d%%)", used, use.Reads*100/use.Allowed)
	} else {
		x.ok("%s", used)
	}
	return nil
}

// lookAtComparison tells what comparing the mirror with Stripe found the last time.
func (x *accountExam) lookAtComparison(ctx context.Context) error {
	at, found, err := x.sync.LastCompared(ctx)
	if err != nil {
		return err
	}
	if at.IsZero() {
		x.ok("was not compared with Stripe yet: dunlin up and dunlin work do that at night")
		return nil
	}
	compared := 0
	var differed []string
	for _, c := range found {
		compared += c.Compared
		if c.Differed > 0 {
			differed = append(differed, fmt.Sprintf("%d of %d %s", c.Differed, c.Compared, strings.ReplaceAll(c.Class, "_", " ")))
		}
	}
	ago := age(x.Now().Sub(at))
	switch {
	case x.Now().Sub(at) > 2*24*time.Hour:
		x.warn("is dunlin up or dunlin work running at night, and may the key read everything? The log says why a comparison fails",
			"the last comparison with Stripe was %s ago", ago)
	case len(differed) > 0:
		x.warn("they are repaired; if it happens again, report it with the line of the log that names them",
			"compared with Stripe %s ago: %s differed", ago, strings.Join(differed, ", "))
	default:
		x.ok("compared with Stripe %s ago: none of %s differed", ago, plural(compared, "object"))
	}
	return nil
}

// lookAtEvents tells what waits to be applied.
func (x *accountExam) lookAtEvents(ctx context.Context) error {
	b, err := x.sync.Backlog(ctx)
	if err != nil {
		return err
	}
	faulty, reasons := int64(0), []string(nil)
	for i, f := range b.Faults {
		faulty += f.Events
		if i < 3 {
			reasons = append(reasons, fmt.Sprintf("%d × %s", f.Events, f.Reason))
		}
	}
	if more := len(b.Faults) - len(reasons); more > 0 {
		reasons = append(reasons, "and "+plural(more, "other reason"))
	}
	if faulty > 0 {
		x.mend("they are tried again by themselves; select id, type, fault from dunlin.stripe_events where state = 'stored' and fault is not null",
			"%s could not be applied: %s", plural(faulty, "event"), strings.Join(reasons, "; "))
	}
	switch {
	case b.Waiting == 0 && faulty == 0:
		x.ok("no event waits to be applied")
	case b.Waiting == 0:
	case x.Now().Sub(*b.Oldest) > lateBy:
		x.mend("is dunlin up or dunlin work running?", "%s not applied yet, the oldest for %s", plural(b.Waiting, "event"), age(x.Now().Sub(*b.Oldest)))
	default:
		x.ok("%s waiting to be applied, the oldest for %s", plural(b.Waiting, "event"), age(x.Now().Sub(*b.Oldest)))
	}
	return nil
}

// leftAccounts are accounts of the database that are set up no more.
func (p *product) leftAccounts(ctx context.Context, names []string) ([]finding, error) {
	rows, err := p.Pool.Query(ctx, `select name from dunlin.accounts where name <> all($1) order by name`, names)
	if err != nil {
		return nil, fmt.Errorf("look for accounts that are set up no more: %w", err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for accounts that are set up no more: %w", err)
	}
	var found []finding
	for _, name := range left {
		waiting, err := p.waitForNews(ctx, name)
		if err != nil {
			return nil, err
		}
		found = append(found, finding{OK: true, Warn: true, Topic: "stripe",
			What: "account " + name + ": is in the database and not set up: its customers stay in segments as they last were, and nothing new is heard of them" + waiting,
			Fix:  "add it to STRIPE_ACCOUNTS and set its key"})
	}
	return found, nil
}

// waitForNews says what an account without a key holds up: deliveries to customers
// of whom there are events that nobody applies.
func (p *product) waitForNews(ctx context.Context, account string) (string, error) {
	n, err := campaigns.WaitForNews(ctx, p.Pool, account)
	if err != nil || n == 0 {
		return "", err
	}
	return fmt.Sprintf("; %s held up by stored events that nobody applies", deliveries(n)), nil
}

// age is how long ago something was, as one says it.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(d, 0)/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
