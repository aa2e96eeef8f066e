package campaigns

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		"delinquent": true, "deleted": false, "plans": []string{"Pro", "<Team>"},
		"metadata": map[string]string{"tier": "<b>pro</b>", "<i>": "x", "decoy": "%3Cscript%3E", "lines": "a\n<b", "renews": "2026-05-02", "rtl": "a\u202eb\u2066c\x1b"},
	})
}

const escaped = `&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#39;co&#39; {{ customer.email }} {% raw %}`

// parsed is a template that must check.
func parsed(t testing.TB, source string, html bool) *Template {
	t.Helper()
	x, faults := NewTemplate(source, html)
	if len(faults) > 0 {
		t.Fatalf("%s\n got %s (%s)\nwant no fault", source, faults[0].Msg, faults[0].Hint)
	}
	return x
}

func TestTemplate_Render(t *testing.T) {
	t.Parallel()
	name, _ := hostile().Value("name").(string)
	for _, tt := range []struct {
		name, source, html, text string
	}{
		{"a hostile name", `{{ customer.name }}`, escaped, name},
		{"escaped by hand is escaped once", `{{ customer.name | escape }}`, escaped, escaped},
		{"escaped once is escaped once", `{{ customer.name | escape_once }}`, escaped, escaped},
		{"by another way", `{{ customer["name"] }}`, escaped, name},
		{"in a variable", `{% assign n = customer.name %}{{ n }}`, escaped, name},
		{"in captured text", `{% capture n %}<b>{{ customer.name }}</b>{% endcapture %}{{ n }}`, "<b>" + escaped + "</b>", "<b>" + name + "</b>"},
		{"metadata", `{{ customer.metadata.tier }}/{{ customer.metadata['tier'] }}`, "&lt;b&gt;pro&lt;/b&gt;/&lt;b&gt;pro&lt;/b&gt;", "<b>pro</b>/<b>pro</b>"},
		{"metadata that is not there", `[{{ customer.metadata.none }}]{{ customer.metadata['x'] | default: "-" }}`, "[]-", "[]-"},
		{"filters see what the customer wrote", `{{ customer.name | slice: 0, 8 }} {{ customer.metadata.tier | size }} {{ customer.name | split: ">" | first }}`, "&lt;script&gt; 10 &lt;script", "<script> 10 <script"},
		{"undoing an encoding is no way out", `{{ customer.metadata.decoy | url_decode }}`, "&lt;script&gt;", "<script>"},
		{"stripped of markup", `{{ customer.metadata.tier | strip_html }}`, "pro", "pro"},
		{"a literal is a value too", `{{ customer.plan | default: "<b>" }}`, "&lt;b&gt;", "<b>"},
		{"lines", `{{ customer.metadata.lines | newline_to_br }}`, "a<br />&lt;b", "a<br />&lt;b"},
		{"json", `{{ customer.metadata.tier | json }} {{ customer.mrr | json }}`, `&#34;\u003cb\u003epro\u003c/b\u003e&#34; {&#34;amount&#34;:&#34;49.00&#34;,&#34;currency&#34;:&#34;usd&#34;}`, `"\u003cb\u003epro\u003c/b\u003e" {"amount":"49.00","currency":"usd"}`},
		{"what the author writes stays", `<p class="x">&amp;</p>`, `<p class="x">&amp;</p>`, `<p class="x">&amp;</p>`},
		{"missing", `[{{ customer.first_name }}]`, "[]", "[]"},
		{"missing, with a default", `Hi {{ customer.first_name | default: "there" }}`, "Hi there", "Hi there"},
		{"missing date is no date", `[{{ customer.next_charge_at | date: "%-d %B %Y" }}]`, "[]", "[]"},
		{"missing date with a default", `{{ customer.next_charge_at | date: "%-d %B" | default: "soon" }}`, "soon", "soon"},
		{"missing in a condition", `{% if customer.plan %}a{% else %}b{% endif %}`, "b", "b"},
		{"default takes an attribute", `{{ customer.first_name | default: customer.stripe_id }}`, "cus_1", "cus_1"},
		{"money", `{{ customer.mrr }}, {{ customer.plan_price }}, {{ customer.open_invoice_amount }}`, "$49.00, ¥4,900, KWD\u00a01,234.567", "$49.00, ¥4,900, KWD\u00a01,234.567"},
		{"money's parts", `{{ customer.mrr | amount }} {{ customer.mrr | currency }} {{ customer.lifetime_spend | amount }}`, "49.00 USD", "49.00 USD"},
		{"whether there is money", `{% if customer.mrr %}yes{% endif %}{% if customer.lifetime_spend == nil %}no{% endif %}`, "yesno", "yesno"},
		{"money beside text", `{{ customer.mrr | append: " a month" }}`, "$49.00 a month", "$49.00 a month"},
		{"a date is the same day in every zone", `{{ customer.card_expires_at | date: "%-d %B %Y" }}`, "31 March 2026", "31 March 2026"},
		{"a date without a format", `{{ customer.card_expires_at }}, {{ customer.card_expires_at | date }}`, "March 31, 2026, March 31, 2026", "March 31, 2026, March 31, 2026"},
		{"an instant by the zone's clock", `{{ customer.last_charge_at | date: "%-d %B %H:%M" }}, {{ customer.last_charge_at }}`, "1 April 12:30, April 1, 2026", "1 April 12:30, April 1, 2026"},
		{"a date in the metadata", `{{ customer.metadata.renews | date: "%-d %b" }}`, "2 May", "2 May"},
		{"numbers are numbers", `{% if customer.open_invoice_count > 1 %}{{ customer.open_invoice_count | plus: 1 }}{% endif %}`, "3", "3"},
		{"decimals too", `{{ customer.plan_interval_count }}{% if customer.plan_interval_count > 1 %} more{% endif %}`, "1.5 more", "1.5 more"},
		{"booleans", `{% if customer.delinquent and customer.deleted == false %}yes{% endif %}`, "yes", "yes"},
		{"lists", `{{ customer.plans | join: ", " }}; {{ customer.plans[0] }}; {{ customer.plans.size }}`, "Pro, &lt;Team&gt;; Pro; 2", "Pro, <Team>; Pro; 2"},
		{"the prefix of Intercom's own attributes", `{{ customer.stripe_card_brand }}`, "Visa", "Visa"},
		{"space around is trimmed", "\n  x {{- customer.card_brand -}} y \n", "xVisay", "xVisay"},
		{"raw is raw", `{% raw %}{{ customer.nope }}{% endraw %}`, "{{ customer.nope }}", "{{ customer.nope }}"},
		{"comments are for the author", `a{% comment %}{{ customer.nope }} {% if %}{% endcomment %}b`, "ab", "ab"},
		{"a slice of the name is not evaluated", `{{ customer.name | split: "{" | last }}`, "% raw %}", "% raw %}"},
		{"what turns the direction of text is taken out", `{{ customer.metadata.rtl }}!`, "abc!", "abc!"},
		{"a value named as a word of ours", `{{ customer.metadata.date }}{{ customer.metadata["customer"] }}`, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation("Pacific/Auckland")
			if err != nil {
				t.Fatal(err)
			}
			for html, want := range map[bool]string{true: tt.html, false: tt.text} {
				if got, err := parsed(t, tt.source, html).Render(hostile(), zone, "en"); err != nil || got != want {
					t.Errorf("%s, html %v\n got %s (%v)\nwant %s", tt.source, html, got, err, want)
				}
			}
		})
	}
}

// TestTemplate_locales holds that the same text reads as in the reader's country.
func TestTemplate_locales(t *testing.T) {
	t.Parallel()
	x := parsed(t, `{{ customer.mrr }} {{ customer.card_expires_at }} {{ customer.card_expires_at | date: "%A, %-d. %B" }} {{ customer.metadata.renews | date: "%B" }}`, true)
	for locale, want := range map[string]string{
		"de":    "49,00\u00a0$ 31. März 2026 Dienstag, 31. März Mai",
		"en-GB": "US$49.00 31 March 2026 Tuesday, 31. March May",
		"":      "49.00 USD 2026-03-31 Tuesday, 31. March May",
	} {
		if got, err := x.Render(hostile(), time.UTC, locale); err != nil || got != want {
			t.Errorf("in %q\n got %s (%v)\nwant %s", locale, got, err, want)
		}
	}
}

// TestTemplate_places holds that a value in HTML is written as its place needs
// it, whatever the customer wrote.
func TestTemplate_places(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, page, want string }{
		{"a quoted attribute", `<p title="{{ customer.metadata.page }}">`, `"><script>`, `<p title="&#34;&gt;&lt;script&gt;">`},
		{"single quotes", `<p title='{{ customer.metadata.page }}'>`, `' onclick='x`, `<p title='&#39; onclick=&#39;x'>`},
		{"an address", `<a href="{{ customer.metadata.page }}">`, `https://example.com/?a=1&b=2`, `<a href="https://example.com/?a=1&amp;b=2">`},
		{"an address of the same site", `<a href="{{ customer.metadata.page }}">`, `/a:b`, `<a href="/a:b">`},
		{"one that runs", `<a href="{{ customer.metadata.page }}">`, `javascript:alert(1)`, `<a href="#">`},
		{"one that runs, hidden", `<a HREF = ' {{ customer.metadata.page }}'>`, "\x01 jAva\tscript:alert(1)", `<a HREF = ' #'>`},
		{"one that holds data", `<img src="{{ customer.metadata.page }}">`, `data:text/html,x`, `<img src="#">`},
		{"behind a filter", `<a href="{{ customer.metadata.page | strip }}">`, ` javascript:alert(1)`, `<a href="#">`},
		{"in a condition", `<a href="{% if customer.plan %}https://example.com/{% endif %}{{ customer.metadata.page }}">`, `javascript:alert(1)`, `<a href="#">`},
		{"a branch within an address", `<a href="https://example.com/{% if customer.plan %}p/{% endif %}{{ customer.metadata.page }}">`, `a:b`, `<a href="https://example.com/a:b">`},
		{"a branch before an address", `<a {% if customer.plan %}class="a"{% else %}class=b{% endif %} href="{{ customer.metadata.page }}">`, `data:x`, `<a class=b href="#">`},
		{"an attribute in a branch", `<p{% if customer.plan %} class="a"{% endif %} title="{% if customer.plan %}a{% else %}b {% endif %}{{ customer.metadata.page }}">`, `"`, `<p title="b &#34;">`},
		{"captured", `{% capture x %}{{ customer.metadata.page }}{% endcapture %}<a href="{{ x }}">`, `javascript:alert(1)`, `<a href="#">`},
		{"captured markup in an attribute", `{% capture x %}<b>{{ customer.metadata.page }}</b>{% endcapture %}<p title="{{ x }}">{{ x }}`, `a"b`, `<p title="a&#34;b"><b>a&#34;b</b>`},
		{"the rest of an address", `<a href="https://example.com/?q={{ customer.metadata.page | url_encode }}">`, `javascript:&"`, `<a href="https://example.com/?q=javascript%3A%26%22">`},
		{"the rest of an address, as it is", `<a href="https://example.com/{{ customer.metadata.page }}">`, `javascript:"`, `<a href="https://example.com/javascript:&#34;">`},
		{"after a tag", `<br/>{{ customer.metadata.page }}<img src=x alt="">{{ customer.metadata.page }}`, `<b>`, `<br/>&lt;b&gt;<img src=x alt="">&lt;b&gt;`},
		{"less than is no tag", `1 < 2 {{ customer.metadata.page }}`, `<b>`, `1 < 2 &lt;b&gt;`},
		{"a comment", `<!-- "{{ customer.metadata.page }} -->{{ customer.metadata.page }}`, `-->`, `<!-- "--&gt; -->--&gt;`},
		{"after a program", `<script>if (a < b) "</p>"</script>{{ customer.metadata.page }}`, `<b>`, `<script>if (a < b) "</p>"</script>&lt;b&gt;`},
		{"entities stay what they are", `{{ customer.metadata.page }}`, `&lt;b&gt; &amp;`, `&amp;lt;b&amp;gt; &amp;amp;`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			customer := customers.NewPicture(customers.Ref{}, "", "", map[string]any{"metadata": map[string]string{"page": tt.page}})
			if got, err := parsed(t, tt.source, true).Render(customer, time.UTC, "en"); err != nil || got != tt.want {
				t.Errorf("%s of %s\n got %s (%v)\nwant %s", tt.source, tt.page, got, err, tt.want)
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
			x, faults := NewTemplate(source, true)
			if len(faults) > 0 { // such as a date of a price
				continue
			}
			if got, err := x.Render(customers.Picture{}, time.UTC, "en"); err != nil || got != "[]" {
				t.Errorf("%s of nobody\n got %s (%v)\nwant []", source, got, err)
			}
		}
	}
}

func TestTemplate_loops(t *testing.T) {
	t.Parallel()
	x := parsed(t, `{% for p in customer.metadata %}{{ p[0] }}={{ p[1] }}{% unless forloop.last %};{% endunless %}{% endfor %}`, true)
	got, err := x.Render(hostile(), time.UTC, "en")
	if err != nil || strings.ContainsAny(got, "<>") || !strings.Contains(got, "tier=&lt;b&gt;pro&lt;/b&gt;") {
		t.Errorf("keys and values of the metadata\n got %s (%v)\nwant them escaped", got, err)
	}
}

func TestNewTemplate_refuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, want, hint string }{
		{"too long", strings.Repeat("x", maxTemplate+1), "longer than 64 KiB", ""},
		{"too long when filled in", strings.Repeat(`{{ customer.name | append: "`+strings.Repeat("x", 1000)+`" | replace: "x", "xxx" }}`, 40), "longer than 64 KiB", ""},
		{"counting", `{% for i in (1..100000000) %}{% endfor %}`, "cannot count", "goes through a list"},
		{"counting in a variable", `{% assign r = (1..100000000) %}`, "cannot count", ""},
		{"tablerow", `{% tablerow i in (1..100000000) %}x{% endtablerow %}`, "cannot count", ""},
		{"loops in loops", `{% for a in customer.metadata %}{% for b in customer.metadata %}{% endfor %}{% endfor %}`, "loop stands inside a loop", ""},
		{"a file of the server", `{% include "../../../../../../etc/passwd" %}`, "cannot include files", ""},
		{"an attribute", `{{ customer.frist_name }}`, `unknown attribute "frist_name"`, `did you mean "first_name"?`},
		{"in another case of the name", `{{ customer.Name }}`, `unknown attribute "Name"`, ""},
		{"by the index", `{{ customer["nmae"] }}`, `unknown attribute "nmae"`, `did you mean "name"?`},
		{"by an index that is a value", `{{ customer[customer.name] }}`, "mentions the whole customer", ""},
		{"in a branch nobody takes", `{% if customer.deleted %}{{ customer.nmae }}{% endif %}`, `unknown attribute "nmae"`, ""},
		{"without the customer", `Hi {{ first_name }}`, `unknown variable "first_name"`, "did you mean customer.first_name?"},
		{"another's", `{{ user.name }}`, `unknown variable "user.name"`, "mention attributes"},
		{"as an argument", `{{ customer.name | default: user }}`, `unknown variable "user"`, ""},
		{"a loop's variable after the loop", `{% for p in customer.metadata %}{% endfor %}{{ p }}`, `unknown variable "p"`, ""},
		{"our own", `{{ _in }}`, `unknown variable "_in"`, ""},
		{"beyond an attribute", `{{ customer.email.size }}`, "has no parts", ""},
		{"beyond money", `{{ customer.mrr.amount }}`, `unknown variable "customer.mrr.amount"`, "customer.mrr | amount"},
		{"the whole customer", `{{ customer | json }}`, "mentions the whole customer", ""},
		{"a loop through the customer", `{% for x in customer %}{{ x[0] }}{% endfor %}`, "mentions the whole customer", ""},
		{"a whole list", `{{ customer.plans }}`, "customer.plans is a list", `join: ", "`},
		{"all metadata", `{{ customer.metadata }}`, "many values", "customer.metadata.key"},
		{"a clock", `{{ "now" | date: "%Y" }}`, "no clock", ""},
		{"an unknown filter", `{{ customer.name | upcas }}`, `unknown filter "upcas"`, `did you mean "upcase"?`},
		{"our own filter", `{{ customer.name | _text }}`, `unknown filter "_text"`, ""},
		{"a filter for debugging", `{{ customer.name | type }}`, `unknown filter "type"`, ""},
		{"an unknown filter in a loop", `{% for p in customer.metadata %}{{ p[0] | nosuch }}{% endfor %}`, `unknown filter "nosuch"`, ""},
		{"an unknown filter in a branch nobody takes", `{% if customer.deleted %}{% assign x = customer.name | nosuch: 3 %}{% endif %}`, `unknown filter "nosuch"`, ""},
		{"comparing money", `{% if customer.mrr > 100 %}x{% endif %}`, "cannot compare customer.mrr: it is money", "if: mrr > 100 usd"},
		{"comparing money in a variable", `{% assign m = customer.mrr %}{% if m >= 100 %}x{% endif %}`, "cannot compare m: it is money", ""},
		{"comparing dates", `{% unless customer.trial_ends_at < customer.next_charge_at %}x{% endunless %}`, "cannot compare customer.trial_ends_at: it is point in time", ""},
		{"reckoning with money", `{{ customer.mrr | times: 12 }}`, `"times" takes a number, and customer.mrr is money`, ""},
		{"a date of a price", `{{ customer.mrr | date: "%d" }}`, `"date" takes a date, and customer.mrr is money`, ""},
		{"the currency of a name", `{{ customer.name | currency }}`, `"currency" takes money`, ""},
		{"metadata is text", `{% if customer.metadata.seats > 3 %}x{% endif %}`, "customer.metadata.seats is text, and > compares numbers", "metadata is text"},
		{"a number in quotes", `{% if customer.quantity == "3" %}x{% endif %}`, `customer.quantity is number and never equals "3"`, "quotes off"},
		{"a text without quotes", `{% if customer.plan == 3 %}x{% endif %}`, "customer.plan is text and never equals 3", `"3"`},
		{"a value there is not", `{% if customer.subscription_status == "activ" %}x{% endif %}`, `customer.subscription_status is never "activ"`, `did you mean "active"?`},
		{"a panic of a filter", `{{ "a" | slice: 100, 2 }}`, "slice bounds", ""},
		{"a wrong argument in a branch nobody takes", `{% if customer.deleted %}{{ customer.name | slice: "x" }}{% endif %}`, "cannot be filled in", ""},
		{"a panic of a tag", `{% assign forloop = 1 %}{% cycle "a", "b" %}`, "cannot be filled in", ""},
		{"half an index", `{{ customer[ }}`, "mentions the whole customer", ""},
		{"half an index of the metadata", `{{ customer.metadata["a" }}`, "cannot be filled in", ""},
		{"a number too long", `{{ 99999999999999999999 }}`, "cannot be filled in", ""},
		{"brackets that are not ours", `{{ customer.name) | upcase | (x }}`, "unknown variable", ""},
		{"half a tag", `{{ customer.name`, `"{{" has no partner`, ""},
		{"the other half", `{ customer.name }}`, `"}}" has no partner`, ""},
		{"half a condition", `{% if customer.name`, `"{%" has no partner`, ""},
		{"no end", `{% if customer.name %}x`, `unterminated "if"`, ""},
		{"an unknown tag", `{% nope %}`, `undefined tag "nope"`, ""},
		{"a handler", `<p onclick="{{ customer.name }}">`, "cannot stand in the attribute onclick", ""},
		{"a style", `<p style="color: {{ customer.metadata.color }}">`, "cannot stand in the attribute style", ""},
		{"no quotes", `<a href={{ customer.metadata.page }}>`, "the value of href has no quotes", `href="{{`},
		{"a tag's name", `<{{ customer.name }}>`, "inside a tag", ""},
		{"an attribute's name", `<p {{ customer.name }}="x">`, "inside a tag", ""},
		{"a program", `<script>let a = "{{ customer.name }}"</script>`, "inside <script>", ""},
		{"an address that runs", `<a href="javascript:open('{{ customer.name }}')">`, "address that begins like this", ""},
		{"a quote in one branch", `<a href="{% if customer.plan %}">{% endif %}{{ customer.metadata.page }}`, "begins a tag of HTML and does not end it", "whole tags"},
		{"a tag in one branch", `{% unless customer.plan %}<p {% else %}<p>{% endunless %}`, "begins a tag of HTML and does not end it", ""},
		{"half a tag captured", `{% capture x %}<a href="{% endcapture %}{{ x }}`, "begins a tag of HTML and does not end it", ""},
		{"a loop that opens a tag", `{% for p in customer.metadata %}<p title="{{ p[1] }}{% endfor %}`, "begins a tag of HTML and does not end it", ""},
		{"the scheme of an address", `<a href="java{{ customer.name }}">`, "first word of an address", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, faults := NewTemplate(tt.source, true)
			if len(faults) == 0 || !strings.Contains(faults[0].Msg, tt.want) || !strings.Contains(faults[0].Hint, tt.hint) {
				t.Fatalf("%.80s\n got %+v\nwant %s (%s)", tt.source, faults, tt.want, tt.hint)
			}
			for _, f := range faults {
				if strings.Contains(f.Msg+f.Hint, "\n") || strings.Contains(f.Msg, "_in") && tt.name != "our own" || f.Start < 0 || f.End > len(tt.source) || f.Start > f.End {
					t.Errorf("the fault is not for people: %+v", f)
				}
			}
		})
	}
}

// TestNewTemplate_places holds that each fault is shown at its own place.
func TestNewTemplate_places(t *testing.T) {
	t.Parallel()
	source := "Hi {{ customer.frist_name | upcas }},\n{% if customer.mrr > 3 %}a{% endif %} ü {{ nope }}"
	_, faults := NewTemplate(source, true)
	var got []string
	for _, f := range faults {
		got = append(got, source[f.Start:f.End])
	}
	want := []string{"customer.frist_name", "upcas", "customer.mrr > 3", "nope"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places (-want +got)\n%s", diff)
	}
}

// TestTemplate_tooLong holds that a text which only some customers make too long
// is an error for them, not a message without an end.
func TestTemplate_tooLong(t *testing.T) {
	t.Parallel()
	x := parsed(t, `{{ customer.name | truncate: 3, "" }}{{ customer.name }}`, true)
	for _, name := range []string{strings.Repeat("<", maxTemplate/2), strings.Repeat("x", 1<<20)} {
		long := customers.NewPicture(customers.Ref{}, "", "", map[string]any{"name": name})
		if _, err := x.Render(long, time.UTC, "en"); err == nil || !strings.Contains(err.Error(), "64 KiB") {
			t.Errorf("%d characters\n got %v\nwant an error", len(name), err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{`{{ customer.name | default: "x" }}`, `{% if customer.mrr %}a{% else %}b{% endif %}`, `{% for p in customer.metadata %}{{ p }}{% endfor %}`, `<a href="{{ customer.name }}">{{ customer.name | split: "s" }}`, `{% capture x %}{{ customer.name }}{% endcapture %}{{ x | upcase }}`, `{{ customer.name | slice: -5, 99 }}`, `{% raw %}{{ {% endraw %}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		x, faults := NewTemplate(source, true)
		if len(faults) > 0 {
			return
		}
		got, err := x.Render(hostile(), time.UTC, "de")
		if err == nil && len(got) > maxTemplate {
			t.Errorf("%d bytes", len(got))
		}
		if strings.Contains(strings.ToLower(got), "<script>alert") && !strings.Contains(source, "<") {
			t.Errorf("%q lets markup through: %s", source, got)
		}
	})
}
