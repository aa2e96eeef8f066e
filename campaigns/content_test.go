package campaigns

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// stepsOf are the steps of a campaign that must check.
func stepsOf(t testing.TB, steps string) []Step {
	t.Helper()
	d, faults := parse(t, "kind: campaign\nname: c\nsegment: delinquent\nexisting: enroll\nepisode: entry\nsteps:\n"+steps, known())
	if len(faults) > 0 {
		t.Fatal(faults.Explain())
	}
	return d.Steps
}

const speaking = `  - name: message
    at: 0 days
    message:
      channel: email
      subject: { en: "{{ customer.name }}", de: "Für {{ customer.name }}" }
      body: { en: "{{ customer.mrr }}, {{ customer.next_charge_at | date: '%-d %B %H:%M' }}", de: "{{ customer.mrr }}, {{ customer.next_charge_at | date: '%-d. %B %H:%M' }}" }
  - name: single
    at: 0 days
    message: { channel: inapp, body: "{{ customer.card_expires_at }}" }
  - name: task
    at: 0 days
    task: { title: "{{ customer.name }}", body: "{{ customer.mrr }}, {{ customer.next_charge_at | date: '%-d %B %H:%M' }}", team: billing, due: 1 day }
  - name: note
    at: 0 days
    note: { body: { de: "<b>{{ customer.name }}</b> {{ customer.mrr }}", en: "{{ customer.mrr }}" } }
  - name: event
    at: 0 days
    event:
      name: dunned
      metadata:
        mrr: "{{ customer.mrr }}"
        amount: "{{ customer.mrr | amount }}"
        ends: "{{ customer.card_expires_at }}"
        until: "{{ customer.next_charge_at | date: '%s' }}"
        words: { en: "until {{ customer.card_expires_at }}", de: "bis {{ customer.card_expires_at }}" }
  - name: tag
    at: 0 days
    tag: x
`

// TestStep_render holds that each text is written for who reads it.
func TestStep_render(t *testing.T) {
	t.Parallel()
	customer := func(country string) customers.Picture {
		return customers.NewPicture(customers.Ref{}, "", "", map[string]any{
			"name": "Ann\n<b>", "mrr": money(t, "1249.5", "eur"), "country": country,
			"card_expires_at": rule.Date{Year: 2026, Month: time.March, Day: 31}, "next_charge_at": time.Date(2026, time.March, 31, 23, 30, 0, 0, time.UTC),
		})
	}
	tests := []struct {
		name, step, language, country string
		want                          Content
	}{
		{"a German in Austria", "message", "de", "AT",
			Content{Language: "de", Locale: "de-AT", Zone: "Europe/Vienna", Subject: "Für Ann <b>", Body: "€\u00a01\u00a0249,50, 1. April 01:30"}},
		{"a Briton", "message", "en-GB", "GB", Content{Language: "en", Locale: "en-GB", Zone: "Europe/London", Subject: "Ann <b>", Body: "€1,249.50, 1 April 00:30"}},
		{"a language there is not: the workspace's", "message", "fr", "", Content{Language: "en", Locale: "en", Zone: "UTC", Subject: "Ann <b>", Body: "€1,249.50, 31 March 23:30"}},
		{"one wording is the workspace's language", "single", "de", "GB", Content{Locale: "en-GB", Zone: "Europe/London", Body: "31 March 2026"}},
		{"colleagues read by the workspace's clock", "task", "de", "AT", Content{Locale: "en", Zone: "UTC", Title: "Ann <b>", Body: "€1,249.50, 31 March 23:30"}},
		{"a note in the contact's language", "note", "de-AT", "AT", Content{Language: "de", Locale: "de", Zone: "UTC", Body: "<b>Ann\n&lt;b&gt;</b> 1.249,50\u00a0€"}},
		{"values for machines and for people", "event", "de", "DE", Content{Language: "de", Locale: "de-DE", Zone: "Europe/Berlin", Values: []Pair{
			{"mrr", "1249.50 EUR"}, {"amount", "1249.50"}, {"ends", "2026-03-31"}, {"until", "1774999800"}, {"words", "bis 31. März 2026"}}}},
		{"nothing to say", "tag", "de", "DE", Content{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			picture := customer(tt.country)
			contact := Contact{Language: tt.language, Place: Place{Country: tt.country}}
			for _, step := range stepsOf(t, speaking) {
				if step.Name != tt.step {
					continue
				}
				var v Variant
				if len(step.Variants) > 0 {
					v = step.Variants[0]
				}
				got, err := step.render(v, picture, contact, known().Settings)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s (-want +got)\n%s", tt.step, diff)
				}
			}
		})
	}
}

// TestStep_render_fault holds that a text which has no meaning for a customer
// says which one it is.
func TestStep_render_fault(t *testing.T) {
	t.Parallel()
	step := stepsOf(t, "  - name: a\n    at: 0 days\n    attributes: { fine: x, renews: \"{{ customer.metadata.renews | date: '%d' }}\" }\n")[0]
	for renews, want := range map[string]string{"soon": "renews: ", "2026-05-02": ""} {
		customer := customers.NewPicture(customers.Ref{}, "", "", map[string]any{"metadata": map[string]string{"renews": renews}})
		_, err := step.render(Variant{}, customer, Contact{}, known().Settings)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("of %q\n got %v\nwant %q", renews, err, want)
		}
	}
}

func TestCatchUp(t *testing.T) {
	t.Parallel()
	at := func(days int) *time.Time { own := noon.Add(time.Duration(days) * day); return &own }
	for _, tt := range []struct {
		how  CatchUp
		want []Reason
	}{
		{CatchUpLatest, []Reason{Superseded, Superseded, "", "", ""}},
		{CatchUpAll, []Reason{"", "", "", "", ""}},
		{CatchUpNone, []Reason{TooLate, TooLate, TooLate, "", ""}},
	} {
		steps := []Foreseen{{own: at(-9)}, {own: at(-3)}, {own: at(-1)}, {own: at(1)}, {}}
		for i := range steps {
			steps[i].Passed = steps[i].own != nil && steps[i].own.Before(noon)
		}
		catchUp(tt.how, steps, noon)
		var got []Reason
		for _, x := range steps {
			got = append(got, x.Skipped)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("catch_up: %s (-want +got)\n%s", tt.how, diff)
		}
	}
}
