package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// accountName is the Stripe account there is when STRIPE_ACCOUNTS is not set:
// the {account} of /webhooks/stripe/{account}.
const accountName = "main"

// The variables of one account. Alone they are the primary account's; another's
// have its name behind them, as in STRIPE_API_KEY_EU.
const (
	stripeKeyVar    = "STRIPE_API_KEY"
	stripeSecretVar = "STRIPE_WEBHOOK_SECRET"
)

// A stripeAccount is one Stripe account, live or test, that is mirrored.
type stripeAccount struct {
	Name    string
	Key     string   // empty: not set, so the account is not wired
	Secrets []string // empty: its webhooks are answered 503
	Primary bool     // the plain variables are its own
}

// keyVar is the variable to set for the account's key.
func (a stripeAccount) keyVar() string { return a.variable(stripeKeyVar) }

// secretVar is the variable to set for the signing secret of its endpoint.
func (a stripeAccount) secretVar() string { return a.variable(stripeSecretVar) }

func (a stripeAccount) variable(plain string) string {
	if a.Primary {
		return plain
	}
	return plain + "_" + suffixOf(a.Name)
}

// needsKey fails, for a command that cannot do without the account's key.
func (a stripeAccount) needsKey() error {
	if a.Key == "" {
		return usagef("%s is not set; create a restricted key with read access in Stripe's dashboard and set it", a.keyVar())
	}
	return nil
}

// hook is the path at which Stripe's deliveries for the account are received.
func (a stripeAccount) hook() string { return hookPath(a.Name) }

func hookPath(account string) string { return "/webhooks/stripe/" + account }

// accounts are the Stripe accounts, the primary one first.
func (e environment) accounts() []stripeAccount {
	primary := stripeAccount{
		Name: cmp.Or(e.StripePrimary, accountName), Key: e.StripeKey, Secrets: e.StripeSecrets, Primary: true,
	}
	return append([]stripeAccount{primary}, e.StripeOthers...)
}

// account finds an account by name, and says which there are when there is none.
func (e environment) account(name string) (stripeAccount, error) {
	var names []string
	for _, a := range e.accounts() {
		if a.Name == name {
			return a, nil
		}
		names = append(names, fmt.Sprintf("%q", a.Name))
	}
	there := "there is " + names[0]
	if len(names) > 1 {
		there = "there are " + strings.Join(names, ", ")
	}
	return stripeAccount{}, usagef("there is no account %q; %s (STRIPE_ACCOUNTS)", name, there)
}

// suffixOf is an account's name in names of variables.
func suffixOf(name string) string {
	return strings.ReplaceAll(strings.ToUpper(name), "-", "_")
}

var nameOfAccount = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// readAccounts reads STRIPE_ACCOUNTS and the variables of each account in it. A
// key that is not set is no fault here: not every command needs one.
func readAccounts(vars map[string]string) ([]stripeAccount, []error) {
	names, faults := readNames(vars["STRIPE_ACCOUNTS"])
	known := map[string]string{} // suffix to name
	var accounts []stripeAccount
	for i, name := range names {
		known[suffixOf(name)] = name
		a := stripeAccount{Name: name, Primary: i == 0}
		key, err := a.read(vars, stripeKeyVar)
		if err != nil {
			faults = append(faults, err)
		}
		secrets, err := a.read(vars, stripeSecretVar)
		if err != nil {
			faults = append(faults, err)
		}
		a.Key = key
		for s := range strings.SplitSeq(secrets, ",") {
			if s = strings.TrimSpace(s); s != "" {
				a.Secrets = append(a.Secrets, s)
			}
		}
		for _, other := range accounts {
			if a.Key != "" && a.Key == other.Key {
				faults = append(faults, fmt.Errorf("accounts %s and %s have the same key: every customer would be there twice; give each the key of its own Stripe account, or take one out of STRIPE_ACCOUNTS", other.Name, name))
			}
		}
		accounts = append(accounts, a)
	}
	if len(faults) > 0 {
		return accounts, faults // one slip in a name is one message
	}
	return accounts, strangers(vars, known, names)
}

// readNames reads the names of STRIPE_ACCOUNTS, those without a fault.
func readNames(list string) (names []string, faults []error) {
	if list == "" {
		return []string{accountName}, nil
	}
	taken := map[string]string{} // by suffix
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		other, twice := taken[suffixOf(name)]
		switch {
		case name == "":
			faults = append(faults, fmt.Errorf("STRIPE_ACCOUNTS is %q and has an empty name in it; write names with commas between, such as main,eu", list))
		case !nameOfAccount.MatchString(name):
			faults = append(faults, fmt.Errorf("STRIPE_ACCOUNTS has %q in it; a name is lower-case letters, digits, - and _, begins with a letter or digit, and has at most 40", name))
		case twice && other == name:
			faults = append(faults, fmt.Errorf("STRIPE_ACCOUNTS has %q in it twice; write it once", name))
		case twice:
			faults = append(faults, fmt.Errorf("STRIPE_ACCOUNTS has %q and %q in it, and both would read %s_%s; rename one of them", other, name, stripeKeyVar, suffixOf(name)))
		default:
			taken[suffixOf(name)] = name
			names = append(names, name)
		}
	}
	return names, faults
}

// read is one variable of the account: its own, and for the primary account the
// plain one too.
func (a stripeAccount) read(vars map[string]string, plain string) (string, error) {
	own := plain + "_" + suffixOf(a.Name)
	if !a.Primary {
		return vars[own], nil
	}
	if vars[plain] != "" && vars[own] != "" && vars[plain] != vars[own] {
		return vars[plain], fmt.Errorf("%s and %s are both of account %s, the primary one, and differ; unset one of them", plain, own, a.Name)
	}
	return cmp.Or(vars[plain], vars[own]), nil
}

// strangers are variables of accounts that STRIPE_ACCOUNTS does not name: a slip
// in a name would otherwise leave an account out without a word.
func strangers(vars, known map[string]string, names []string) []error {
	var faults []error
	for _, v := range slices.Sorted(maps.Keys(vars)) {
		for _, plain := range []string{stripeKeyVar, stripeSecretVar} {
			suffix, ok := strings.CutPrefix(v, plain+"_")
			if ok && vars[v] != "" && known[suffix] == "" {
				faults = append(faults, fmt.Errorf("%s is set and no account is called %s; add it, STRIPE_ACCOUNTS=%s, or unset the variable",
					v, strings.ToLower(suffix), strings.Join(append(slices.Clone(names), strings.ToLower(suffix)), ",")))
			}
		}
	}
	return faults
}
