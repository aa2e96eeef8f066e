package main

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/dunlin/dunlin/stripesync"
)

type stripeCmd struct {
	Endpoint stripeEndpointCmd `cmd:"" help:"The webhook endpoint at Stripe."`
}

type stripeEndpointCmd struct {
	Create stripeEndpointCreateCmd `cmd:"" help:"Make the webhook endpoint at Stripe, and print its signing secret."`
	List   stripeEndpointListCmd   `cmd:"" help:"The webhook endpoints at Stripe, and what is wrong with those that send here."`
}

type stripeEndpointCreateCmd struct {
	URL     string `help:"Where Stripe reaches Dunlin; without a path it is completed." required:"" placeholder:"https://…"`
	Account string `help:"Of this account; the primary one when left out." placeholder:"A"`
}

func (stripeEndpointCreateCmd) Help() string {
	return "The endpoint is pinned to API version " + stripesync.Version + " and listens to the types of events that Dunlin uses, no others. " +
		"The key needs the permission Webhook Endpoints: write (rak_webhook_write); the sync does not. " +
		"The signing secret is the only line on standard output. Nothing is made when an enabled endpoint sends to the URL already."
}

// Run makes the endpoint and prints its secret.
func (c stripeEndpointCreateCmd) Run(ctx context.Context, a *app) error {
	account, err := a.env.account(cmp.Or(c.Account, a.env.accounts()[0].Name))
	if err != nil {
		return err
	}
	at, err := endpointURL(c.URL, account)
	if err != nil {
		return err
	}
	if err := account.needsKey(); err != nil {
		return err
	}
	return a.withProduct(ctx, func(p *product) error {
		made, err := p.stripeOf(account.Name).CreateEndpoint(ctx, at)
		var exists *stripesync.EndpointExistsError
		if errors.As(err, &exists) {
			a.say("dunlin: %v", exists)
			a.say("→ %s", mendEndpoint(exists.Endpoint, account))
			return errSilent
		}
		if err != nil {
			return err
		}
		if a.json {
			shown := endpointJSON(account, made)
			shown.Secret, shown.Variable = made.Secret, account.secretVar()
			return a.line(shown)
		}
		a.say("account %s: endpoint %s (%s mode) sends %s of events, in API version %s, to", account.Name, made.ID, modeOf(made), plural(len(made.Types), "type"), made.Version)
		a.say("  %s", made.URL)
		a.say("Its signing secret, which Stripe tells Dunlin only this once:")
		if _, err := a.out.Write([]byte(made.Secret + "\n")); err != nil {
			return err
		}
		if len(account.Secrets) > 0 {
			a.say("Add it to %s, with a comma behind what is there, and start dunlin up or serve again; take the old one out when its endpoint is gone.", account.secretVar())
		} else {
			a.say("Set %s to it, and start dunlin up or serve again.", account.secretVar())
		}
		return nil
	})
}

// endpointURL checks an endpoint's URL, and completes one that has no path.
func endpointURL(raw string, account stripeAccount) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "", usagef("--url %q is no address that Stripe can send to; write one such as https://dunlin.example.com%s", raw, account.hook())
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && local(u.Hostname()):
	default:
		return "", usagef("--url %q is not https, and Stripe sends customers' data to it; put a proxy with TLS before Dunlin", raw)
	}
	switch {
	case strings.Trim(u.Path, "/") == "":
		u.Path = account.hook()
	case !strings.HasSuffix(u.Path, account.hook()):
		return "", usagef("--url %q does not end in %s, where Dunlin receives the events of account %s", raw, account.hook(), account.Name)
	}
	return u.String(), nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// mendEndpoint is what to do about an endpoint that is there already.
func mendEndpoint(e stripesync.Endpoint, account stripeAccount) string {
	switch {
	case !e.Pinned():
		return "disable it in Stripe's dashboard, then dunlin stripe endpoint create" + account.flag() + " --url " + e.URL + ", and set the new secret; what happens in between is caught up with"
	case len(e.Missing()) > 0:
		return "add the types to it in Stripe's dashboard"
	}
	return "its signing secret is in Stripe's dashboard; set it as " + account.secretVar()
}

// flag names the account on a command line, unless it is the primary one.
func (a stripeAccount) flag() string {
	if a.Primary {
		return ""
	}
	return " --account " + a.Name
}

type stripeEndpointListCmd struct {
	Account string `help:"Only this account." placeholder:"A"`
}

// endpointRow is an endpoint as it is shown.
type endpointRow struct {
	Account  string   `json:"account"`
	ID       string   `json:"id"`
	URL      string   `json:"url"`
	Status   string   `json:"status"` // enabled or disabled
	Version  *string  `json:"api_version"`
	Types    []string `json:"enabled_events"`
	Live     bool     `json:"livemode"`
	Ours     bool     `json:"ours"`    // it sends to the account's path
	Missing  []string `json:"missing"` // types that one of ours should listen to and does not
	Secret   string   `json:"secret,omitempty"`
	Variable string   `json:"variable,omitempty"` // where to put the secret
}

func endpointJSON(account stripeAccount, e stripesync.Endpoint) endpointRow {
	r := endpointRow{
		Account: account.Name, ID: e.ID, URL: e.URL, Status: "disabled", Types: e.Types, Live: e.Live,
		Ours: sendsTo(e, account), Missing: []string{},
	}
	if e.Enabled {
		r.Status = "enabled"
	}
	if e.Version != "" {
		r.Version = &e.Version
	}
	if r.Ours {
		r.Missing = append(r.Missing, e.Missing()...)
	}
	return r
}

// sendsTo reports whether an endpoint sends to the path of the account; one slash
// more, and Dunlin would answer 404. The host is not known here, and a proxy may
// have put something before the path.
func sendsTo(e stripesync.Endpoint, account stripeAccount) bool {
	u, err := url.Parse(e.URL)
	return err == nil && strings.HasSuffix(u.Path, account.hook())
}

func modeOf(e stripesync.Endpoint) string {
	if e.Live {
		return "live"
	}
	return "test"
}

// Run lists the endpoints of the accounts. One that does not answer does not keep
// the others from being listed.
func (c stripeEndpointListCmd) Run(ctx context.Context, a *app) error {
	accounts := a.env.accounts()
	if c.Account != "" {
		one, err := a.env.account(c.Account)
		if err != nil {
			return err
		}
		accounts = []stripeAccount{one}
	}
	for _, account := range accounts {
		if err := account.needsKey(); err != nil {
			return err
		}
	}
	return a.withProduct(ctx, func(p *product) error {
		var rows []endpointRow
		var failed error
		for _, account := range accounts {
			found, err := p.stripeOf(account.Name).Endpoints(ctx)
			if err != nil {
				a.say("account %s: %v", account.Name, err)
				failed = errSilent
			}
			for _, e := range found {
				rows = append(rows, endpointJSON(account, e))
			}
		}
		if failed != nil && len(rows) == 0 {
			return failed
		}
		return errors.Join(list(a, rows, "ACCOUNT ENDPOINT STATUS VERSION URL REMARK", endpointCells), failed)
	})
}

func endpointCells(r endpointRow) []string {
	version := "account's"
	if r.Version != nil {
		version = *r.Version
	}
	remark := "sends elsewhere"
	switch {
	case r.Ours && r.Status != "enabled":
		remark = "disabled: nothing comes"
	case r.Ours && len(r.Missing) > 0:
		remark = "does not send " + strings.Join(r.Missing, ", ")
	case r.Ours && version != stripesync.Version:
		remark = "not pinned to " + stripesync.Version
	case r.Ours:
		remark = "as it should be"
	}
	return []string{r.Account, r.ID, r.Status, version, r.URL, remark}
}
