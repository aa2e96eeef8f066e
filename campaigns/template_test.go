package campaigns

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/segments/rule"
)

// hostile is a customer who tries to get out of the text.
func hostile() customers.Picture {
	return customers.NewPicture(customers.Ref{}, "pm_1", "", map[string]any{
		"stripe_id": "cus_1", "name": `<script>alert("x")</script> & 'co' {{ customer.email }} {% raw %}`, "email": "a@example.com",
		"card_brand": "Visa", "card_expires_at": rule.Date{Year: 2026, Month: time.March, Day: 31},
		"last_charge_at": time.Date(2026, time.March, 31, 23, 30, 0, 0, time.UTC), "open_invoice_count": rule.NewDecimal(2, 0), "plan_interval_count": rule.NewDecimal(15, 1),
		"mrr": rule.FromMinor(4900, "usd"), "plan_price": rule.FromMinor(4900, "jpy"), "open_invoice_amount": rule.FromMinor(1234567, "kwd"),
		"delinquent": true, "deleted": false, "metadata": map[string]string{"tier": "<b>pro</b>", "<i>": "x", "decoy": "%3Cscript%3E"},
	})
}

const escaped = `&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#39;co&#39; {{ customer.email }} {% raw %}`

func TestTemplate_Render(t *testing.T) {
	t.Parallel()
	name, _ := hostile().Value("name").(string)
	for _, tt := range []struct {
		name, source, html, text string
	}{
		{"a hostile name", `{{ customer.name }}`, escaped, name},
		{"twice escaped is escaped once", `{{ customer.name | escape }}`, escaped, escaped},
		{"by another way", `{{ customer["name"] }}`, escaped, name},
		{"in a variable", `{% assign n = customer.name %}{{ n }}`, escaped, name},
		{"metadata", `{{ customer.metadata.tier }}/{{ customer.metadata['tier'] }}`, "&lt;b&gt;pro&lt;/b&gt;/&lt;b&gt;pro&lt;/b&gt;", "<b>pro</b>/<b>pro</b>"},
		{"metadata that is not there", `[{{ customer.metadata.none }}]{{ customer.metadata['x'] | default: "-" }}`, "[]-", "[]-"},
		{"what the author writes stays", `<p class="x">&amp;</p>`, `<p class="x">&amp;</p>`, `<p class="x">&amp;</p>`},
		{"missing", `[{{ customer.first_name }}]`, "[]", "[]"},
		{"missing, with a default", `Hi {{ customer.first_name | default: "there" }}`, "Hi there", "Hi there"},
		{"missing date is no date", `[{{ customer.next_charge_at | date: "%-d %B %Y" }}]`, "[]", "[]"},
		{"missing date with a default", `{{ customer.next_charge_at | date: "%-d %B" | default: "soon" }}`, "soon", "soon"},
		{"missing in a condition", `{% if customer.plan %}a{% else %}b{% endif %}`, "b", "b"},
		{"default takes an attribute", `{{ customer.first_name | default: customer.stripe_id }}`, "cus_1", "cus_1"},
		{"money", `{{ customer.mrr }}, {{ customer.plan_price }}, {{ customer.open_invoice_amount }}`, "49.00 USD, 4900 JPY, 1234.567 KWD", "49.00 USD, 4900 JPY, 1234.567 KWD"},
		{"a date is the same day in every zone", `{{ customer.card_expires_at | date: "%-d %B %Y" }}`, "31 March 2026", "31 March 2026"},
		{"an instant by the zone's clock", `{{ customer.last_charge_at | date: "%-d %B %H:%M" }}`, "1 April 12:30", "1 April 12:30"},
		{"numbers are numbers", `{% if customer.open_invoice_count > 1 %}{{ customer.open_invoice_count | plus: 1 }}{% endif %}`, "3", "3"},
		{"and decimals are exact", `{{ customer.plan_interval_count }}`, "1.5", "1.5"},
		{"booleans", `{% if customer.delinquent and customer.deleted == false %}yes{% endif %}`, "yes", "yes"},
		{"the prefix of Intercom's own attributes", `{{ customer.stripe_card_brand }}`, "Visa", "Visa"},
		{"space around is trimmed", "\n  x \n", "x", "x"},
		{"raw is raw", `{% raw %}{{ customer.nope }}{% endraw %}`, "{{ customer.nope }}", "{{ customer.nope }}"},
		{"a slice of the name is not evaluated", `{{ customer.name | split: "{" | last }}`, "% raw %}", "% raw %}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation("Pacific/Auckland")
			if err != nil {
				t.Fatal(err)
			}
			for html, want := range map[bool]string{true: tt.html, false: tt.text} {
				x, fault := NewTemplate(tt.source, html)
				if fault != nil {
					t.Fatalf("%s (%s)", fault.Msg, fault.Hint)
				}
				if got, err := x.Render(hostile(), zone); err != nil || got != want {
					t.Errorf("%s, html %v\n got %s (%v)\nwant %s", tt.source, html, got, err, want)
				}
			}
		})
	}
}

// TestTemplate_nobody holds that each attribute may be missing without a text
// failing for it.
func TestTemplate_nobody(t *testing.T) {
	t.Parallel()
	for _, a := range customers.Attributes.Attributes() {
		for _, source := range []string{"[{{ customer." + a.Name + " }}]", "[{{ customer." + a.Name + ` | date: "%d" }}]`, "[{{ customer." + a.Name + ` | upcase }}]`} {
			x, fault := NewTemplate(source, true)
			if fault != nil { // such as a date of a price
				continue
			}
			if got, err := x.Render(customers.Picture{}, time.UTC); err != nil || got != "[]" {
				t.Errorf("%s of nobody\n got %s (%v)\nwant []", source, got, err)
			}
		}
	}
}

func TestTemplate_loops(t *testing.T) {
	t.Parallel()
	x, fault := NewTemplate(`{% for p in customer.metadata %}{{ p[0] }}={{ p[1] }};{% endfor %}`, true)
	if fault != nil {
		t.Fatal(fault)
	}
	got, err := x.Render(hostile(), time.UTC)
	if err != nil || strings.ContainsAny(got, "<>") || !strings.Contains(got, "tier=&lt;b&gt;pro&lt;/b&gt;;") {
		t.Errorf("keys and values of the metadata\n got %s (%v)\nwant them escaped", got, err)
	}
}

func TestNewTemplate_refuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, want string }{
		{"too long", strings.Repeat("x", maxTemplate+1), "longer than 64 KiB"},
		{"too long when filled in", strings.Repeat(`{{ customer.name | append: "`+strings.Repeat("x", 1000)+`" | replace: "x", "xxx" }}`, 40), "longer than 64 KiB"},
		{"counting", `{% for i in (1..100000000) %}{% endfor %}`, "cannot count"},
		{"counting in a variable", `{% assign r = (1..100000000) %}`, "cannot count"},
		{"tablerow", `{% tablerow i in (1..100000000) %}x{% endtablerow %}`, "cannot count"},
		{"loops in loops", `{% for a in customer.metadata %}{% for b in customer.metadata %}{% endfor %}{% endfor %}`, "loop stands inside a loop"},
		{"a file of the server", `{% include "../../../../../../etc/passwd" %}`, "cannot include files"},
		{"in another case of the name", `{{ customer.Name }}`, `unknown attribute "Name"`},
		{"by the index", `{{ customer["nmae"] }}`, "unknown variable"},
		{"beyond an attribute", `{{ customer.mrr.amount }}`, "unknown variable"},
		{"the whole customer", `{{ customer | json }}`, "mentions the whole customer"},
		{"a loop through the customer", `{% for x in customer %}{{ x[0] }}{% endfor %}`, "mentions the whole customer"},
		{"a clock", `{{ "now" | date: "%Y" }}`, "no clock"},
		{"undoing the escaping", `{{ customer.metadata.decoy | url_decode }}`, "undo the escaping"},
		{"an unknown filter in a loop", `{% for p in customer.metadata %}{{ p[0] | nosuch }}{% endfor %}`, `unknown filter "nosuch"`},
		{"a panic of a filter", `{{ "a" | slice: 100, 2 }}`, "slice bounds"},
		{"a panic of a tag", `{% assign forloop = 1 %}{% cycle "a", "b" %}`, "cannot be filled in"},
		{"half a tag", `{{ customer.name`, `"{{" has no partner`},
		{"the other half", `{ customer.name }}`, `"}}" has no partner`},
		{"half a condition", `{% if customer.name`, `"{%" has no partner`},
		{"no end", `{% if customer.name %}x`, `unterminated "if"`},
		{"an unknown tag", `{% nope %}`, `undefined tag "nope"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, fault := NewTemplate(tt.source, true)
			if fault == nil || !strings.Contains(fault.Msg, tt.want) {
				t.Errorf("%.80s\n got %v\nwant %s", tt.source, fault, tt.want)
			}
			if fault != nil && strings.Contains(fault.Msg+fault.Hint, "\n") {
				t.Errorf("the fault has more than one line: %q", fault.Msg)
			}
		})
	}
}

// TestTemplate_tooLong holds that a text which only some customers make too long
// is an error for them, not a message without an end.
func TestTemplate_tooLong(t *testing.T) {
	t.Parallel()
	x, fault := NewTemplate(`{{ customer.name }}`, true)
	if fault != nil {
		t.Fatal(fault)
	}
	long := customers.NewPicture(customers.Ref{}, "", "", map[string]any{"name": strings.Repeat("<", maxTemplate/2)})
	if _, err := x.Render(long, time.UTC); err == nil || !strings.Contains(err.Error(), "64 KiB") {
		t.Errorf("got %v\nwant an error", err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{`{{ customer.name | default: "x" }}`, `{% if customer.mrr %}a{% else %}b{% endif %}`, `{% for p in customer.metadata %}{{ p }}{% endfor %}`, `{{ customer.name | slice: -5, 99 }}`, `{% raw %}{{ {% endraw %}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		x, fault := NewTemplate(source, true)
		if fault != nil {
			return
		}
		got, err := x.Render(hostile(), time.UTC)
		if err == nil && len(got) > maxTemplate {
			t.Errorf("%d bytes", len(got))
		}
		if strings.Contains(strings.ToLower(got), "<script>alert") && !strings.Contains(source, "<") {
			t.Errorf("%q lets markup through: %s", source, got)
		}
	})
}
