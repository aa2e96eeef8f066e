package sandbox

import (
	"regexp"
	"strings"
)

// The examples as the judge knows them: their names, and the words a person sees.
const (
	cardExpiring  = "card-expiring"
	paymentFailed = "payment-failed"
	annualOffer   = "annual-offer"
)

// An about is what an accepted request is about; the zero value is unknown.
type about struct {
	campaign, step string
	card           *namedCard // the card its text names, if it names one
}

// A namedCard is a card as a text names it.
type namedCard struct {
	brand, last4 string
	expires      string // day and month, as in "30 November"; in a ticket with the year
}

func (a about) String() string {
	if a.campaign == "" {
		return "unknown"
	}
	return a.campaign + "/" + a.step
}

// textCases tell the examples' steps by their words. What stands before and
// behind is free: a greeting, a reference.
var textCases = []struct {
	kind, campaign, step string
	words                *regexp.Regexp
}{
	{"message", cardExpiring, "nudge", regexp.MustCompile(`\bthe ([A-Za-z ]+) card ending (\S+) expires on (\d{1,2} [A-Z][a-z]+)\. Please update it before then, so that nothing is interrupted\.`)},
	{"ticket", cardExpiring, "call", regexp.MustCompile(`(?s)^Card of .+ expires\n.*\bThe ([A-Za-z ]+) card ending (\S+) expires on (\d{1,2} [A-Z][a-z]+ \d{4}); .+ a month depend on it\.`)},
	{"message", paymentFailed, "nudge", regexp.MustCompile(`\byour last payment of .+ did not go through\. You can update your card in the billing settings`)},
	{"message", paymentFailed, "second-nudge", regexp.MustCompile(` is still open\. If anything is in the way, just answer here`)},
	{"ticket", paymentFailed, "follow-up", regexp.MustCompile(`(?s)^Call .+ about an unpaid invoice\n.*two messages went unanswered\.`)},
	{"message", annualOffer, "offer", regexp.MustCompile(`\byou pay .+ a month for .+\. Billed once a year it would cost two months less\.`)},
}

// tagCases are the examples' tags.
var tagCases = map[string]about{
	"card-expired": {campaign: cardExpiring, step: "mark"},
	"annual-offer": {campaign: annualOffer, step: "mark"},
}

// recognise tells by its visible text what an accepted request is about.
func recognise(a Accepted) about {
	if a.Kind == "tag" {
		return tagCases[strings.ToLower(a.Text)]
	}
	for _, c := range textCases {
		if c.kind != a.Kind {
			continue
		}
		words := c.words.FindStringSubmatch(a.Text)
		if words == nil {
			continue
		}
		found := about{campaign: c.campaign, step: c.step}
		if len(words) == 4 {
			found.card = &namedCard{brand: words[1], last4: words[2], expires: words[3]}
		}
		return found
	}
	return about{}
}

// names says whether the text means this card.
func (n namedCard) names(c *CardState) bool {
	if c == nil {
		return false
	}
	fold := func(brand string) string { return strings.ToLower(strings.ReplaceAll(brand, " ", "")) }
	last := lastDay(c).Format("2 January 2006")
	return fold(n.brand) == fold(c.Brand) && n.last4 == c.Last4 &&
		(n.expires == last || n.expires == strings.TrimSuffix(last, last[len(last)-5:]))
}
