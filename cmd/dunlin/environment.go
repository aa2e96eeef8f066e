package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// environment is what the process reads from its environment, once, at start.
type environment struct {
	DatabaseURL   string          // DATABASE_URL. Empty: a private Postgres.
	StripePrimary string          // the first of STRIPE_ACCOUNTS. Empty: main.
	StripeKey     string          // STRIPE_API_KEY: the primary account's
	StripeSecrets []string        // STRIPE_WEBHOOK_SECRET, comma-separated while rolling: the primary account's
	StripeOthers  []stripeAccount // the others of STRIPE_ACCOUNTS, in its order
	StripeBase    string          // STRIPE_API_BASE. Empty: Stripe.
	IntercomToken string          // INTERCOM_ACCESS_TOKEN
	IntercomBase  string          // INTERCOM_API_BASE. Empty: by the workspace's region.
	DryRun        bool            // DRY_RUN. Decide and record, send nothing.
	TickEvery     time.Duration   // TICK_EVERY. Zero: 30 seconds.
	ListenAddr    string          // LISTEN_ADDR. Default 127.0.0.1:8080.

	PrivateWebhooks bool // WEBHOOKS_PRIVATE. Webhook steps may call addresses of our own network.
}

// readEnvironment reports everything that is wrong, each with a repair. What is
// missing is reported by the command that needs it.
func readEnvironment(environ []string) (environment, error) {
	vars := map[string]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = strings.TrimSpace(value)
	}
	e := environment{
		DatabaseURL: vars["DATABASE_URL"], StripeBase: vars["STRIPE_API_BASE"],
		IntercomToken: vars["INTERCOM_ACCESS_TOKEN"], IntercomBase: vars["INTERCOM_API_BASE"],
		ListenAddr: vars["LISTEN_ADDR"],
	}
	var errs []error
	accounts, faults := readAccounts(vars)
	errs = append(errs, faults...)
	if len(accounts) > 0 {
		e.StripePrimary, e.StripeKey, e.StripeSecrets, e.StripeOthers = accounts[0].Name, accounts[0].Key, accounts[0].Secrets, accounts[1:]
	}
	for name, on := range map[string]*bool{"DRY_RUN": &e.DryRun, "WEBHOOKS_PRIVATE": &e.PrivateWebhooks} {
		v := vars[name]
		if v == "" {
			continue
		}
		var err error
		if *on, err = strconv.ParseBool(v); err != nil {
			errs = append(errs, fmt.Errorf("%s is %q; use true or false", name, v))
		}
	}
	if v := vars["TICK_EVERY"]; v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < time.Second || d > 10*time.Minute {
			errs = append(errs, fmt.Errorf("TICK_EVERY is %q; use a duration from 1s to 10m, such as 30s", v))
		}
		e.TickEvery = d
	}
	if e.ListenAddr == "" {
		e.ListenAddr = "127.0.0.1:8080"
	}
	if _, _, err := net.SplitHostPort(e.ListenAddr); err != nil {
		errs = append(errs, fmt.Errorf("LISTEN_ADDR is %q; use host:port, such as 127.0.0.1:8080", e.ListenAddr))
	}
	for name, v := range map[string]string{"STRIPE_API_BASE": e.StripeBase, "INTERCOM_API_BASE": e.IntercomBase} {
		if u, err := url.Parse(v); v != "" && (err != nil || u.Host == "") {
			errs = append(errs, fmt.Errorf("%s is not an address; use one such as https://api.example.com", name))
		}
	}
	return e, errors.Join(errs...)
}

// missing names the variables a command needs and does not have.
func (e environment) missing(names ...string) error {
	var errs []error
	for _, n := range names {
		switch {
		case n == stripeKeyVar:
			for _, a := range e.accounts() {
				if a.Key == "" {
					errs = append(errs, fmt.Errorf("%s is not set; create a restricted key with read access in Stripe's dashboard and set it", a.keyVar()))
				}
			}
		case n == stripeSecretVar:
			for _, a := range e.accounts() {
				if len(a.Secrets) == 0 {
					errs = append(errs, fmt.Errorf("%s is not set; it is the signing secret (whsec_…) of the webhook endpoint", a.secretVar()))
				}
			}
		case n == "INTERCOM_ACCESS_TOKEN" && e.IntercomToken == "" && !e.DryRun:
			errs = append(errs, errors.New("INTERCOM_ACCESS_TOKEN is not set; set it, or DRY_RUN=true to send nothing"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &usageError{err}
	}
	return nil
}
