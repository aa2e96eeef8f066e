package intercom

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (w *linking) resolveAll(t *testing.T, s Settings, list ...Customer) map[Ref]Link {
	t.Helper()
	links, err := w.links.ResolveAll(t.Context(), w.pool, list, s, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := readLinks(t.Context(), w.pool, refs(list))
	if err != nil {
		t.Fatal(err)
	}
	for ref, link := range stored {
		link.CheckedAt = link.CheckedAt.UTC()
		stored[ref] = link
		returned := links[ref]
		returned.CheckedAt = returned.CheckedAt.UTC()
		links[ref] = returned
	}
	if diff := cmp.Diff(links, stored); diff != "" {
		t.Errorf("returned and stored links differ (-returned +stored)\n%s", diff)
	}
	return links
}

func ids(links map[Ref]Link) map[int64]string {
	out := map[int64]string{}
	for ref, link := range links {
		out[ref.Customer] = string(link.State)
		if link.ContactID != "" {
			out[ref.Customer] = link.ContactID
		}
	}
	return out
}

func TestResolveAll_AsksOnceForFifty(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	var list []Customer
	for i := range int64(120) {
		email := fmt.Sprintf("c%d@x.io", i)
		w.contact(fmt.Sprintf("u%d", i), "user", email)
		list = append(list, Customer{Account: 1, ID: i, Email: email})
	}
	list = append(list, list[0]) // twice is once
	for round, what := range []string{"by address", "by id"} {
		links := w.resolveAll(t, Settings{}, list...)
		for i := range int64(120) {
			if got := links[Ref{1, i}]; got.ContactID != fmt.Sprintf("u%d", i) {
				t.Errorf("%s: customer %d is %+v", what, i, got)
			}
		}
		search := []string{"POST /contacts/search", "POST /contacts/search", "POST /contacts/search"}
		if diff := cmp.Diff(search, w.since()); diff != "" {
			t.Errorf("%s, round %d, asked (-want +got)\n%s", what, round, diff)
		}
		w.resolveAll(t, Settings{}, list...)
		if asked := w.since(); len(asked) != 0 {
			t.Errorf("%s: asked %v within the hour", what, asked)
		}
		w.now = w.now.Add(time.Hour)
	}
}

func TestResolveAll_States(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("u1", "user", "same@x.io", "language_override", "pt_BR", "browser_language", "en-US")
	w.contact("u2", "user", "merged@x.io", "browser_language", "de-AT")
	w.contact("u3", "user", "gone@x.io")
	w.contact("u4", "user", "new@x.io")
	w.contact("l5", "lead", "lead@x.io")
	w.contact("u6", "user", "twice@x.io")
	w.contact("u7", "user", "twice@x.io")
	list := []Customer{
		{Account: 1, ID: 1, Email: "same@x.io"}, {Account: 1, ID: 2, Email: "merged@x.io"}, {Account: 1, ID: 3, Email: "gone@x.io"},
		{Account: 1, ID: 4, Email: "new@x.io"}, {Account: 1, ID: 5, Email: "lead@x.io"}, {Account: 1, ID: 6, Email: "twice@x.io"},
		{Account: 1, ID: 7, Email: ""}, {Account: 2, ID: 1, Email: "SAME@x.io"},
	}
	links := w.resolveAll(t, Settings{}, list...)
	want := map[int64]string{1: "u1", 2: "u2", 3: "u3", 4: "u4", 5: "l5", 6: "ambiguous", 7: "none"}
	if diff := cmp.Diff(want, ids(links)); diff != "" {
		t.Errorf("at first (-want +got)\n%s", diff)
	}
	for ref, want := range map[Ref]string{{1, 1}: "pt-BR", {1, 2}: "de-AT", {2, 1}: "pt-BR", {1, 4}: ""} {
		if got := links[ref].Language; got != want {
			t.Errorf("language of %v\n got %q\nwant %q", ref, got, want)
		}
	}

	w.now = w.now.Add(time.Hour)
	w.contact("u22", "user", "merged@x.io")
	w.contact("u55", "user", "lead@x.io")
	w.do(func() {
		w.merged["u2"] = "u22"
		w.archived["u3"], w.archived["u7"] = true, true
		w.unseen["u4"] = true // a search that does not show it does not unlink it
	})
	want = map[int64]string{1: "u1", 2: "u22", 3: "none", 4: "u4", 5: "u55", 6: "u6", 7: "none"}
	if diff := cmp.Diff(want, ids(w.resolveAll(t, Settings{}, list...))); diff != "" {
		t.Errorf("later (-want +got)\n%s", diff)
	}
}

func TestResolveAll_ByExternalID(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("u1", "user", "other@x.io", "external_id", "42")
	w.contact("u2", "user", "ana@x.io", "external_id", "77") // shares the address of customer 1
	w.contact("u3", "user", "bob@x.io")
	w.contact("u4", "user", "bob@x.io", "external_id", "99")
	s := Settings{ExternalIDs: true}
	list := []Customer{
		{Account: 1, ID: 1, Email: "ana@x.io", ExternalID: "42"},
		{Account: 1, ID: 2, Email: "ana@x.io", ExternalID: "43"}, // whoever has the address has another id
		{Account: 1, ID: 3, Email: "bob@x.io", ExternalID: "44"}, // one of the two can be meant
		{Account: 1, ID: 4, Email: "bob@x.io"},
		{Account: 1, ID: 5, Email: "ana@x.io"},
	}
	want := map[int64]string{1: "u1", 2: "none", 3: "u3", 4: "ambiguous", 5: "u2"}
	if diff := cmp.Diff(want, ids(w.resolveAll(t, s, list...))); diff != "" {
		t.Errorf("at first (-want +got)\n%s", diff)
	}

	// The id decides whenever it appears, and its change is another question.
	w.now = w.now.Add(time.Hour)
	w.contact("u5", "user", "new@x.io", "external_id", "44")
	want[3] = "u5"
	if diff := cmp.Diff(want, ids(w.resolveAll(t, s, list...))); diff != "" {
		t.Errorf("later (-want +got)\n%s", diff)
	}
	list[0].ExternalID = "77"
	want[1] = "u2"
	if diff := cmp.Diff(want, ids(w.resolveAll(t, s, list...))); diff != "" {
		t.Errorf("with another id (-want +got)\n%s", diff)
	}
}

func TestResolveAll_OneFailureSparesTheOthers(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("u1", "user", "ana@x.io")
	w.contact("u2", "user", "bob@x.io")
	list := []Customer{{Account: 1, ID: 1, Email: "ana@x.io"}, {Account: 1, ID: 2, Email: "bob@x.io"}}
	w.resolveAll(t, Settings{}, list...)
	w.now = w.now.Add(time.Hour)
	w.do(func() { w.unseen["u1"], w.sick["u1"] = true, true })

	links, err := w.links.ResolveAll(t.Context(), w.pool, list, Settings{}, time.Hour)
	if err == nil || !strings.Contains(err.Error(), "link customer 1 of account 1: ") {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff(map[int64]string{2: "u2"}, ids(links)); diff != "" {
		t.Errorf("links (-want +got)\n%s", diff)
	}
	stored, err := readLinks(t.Context(), w.pool, refs(list))
	if err != nil || stored[Ref{1, 1}].ContactID != "u1" || !stored[Ref{1, 2}].CheckedAt.Equal(w.now) {
		t.Errorf("stored are %+v, %v", stored, err)
	}
}

// TestResolveAll_OneRefusalSparesTheOthers: a search that is refused for the sake
// of one customer answers the others, and that one is named.
func TestResolveAll_OneRefusalSparesTheOthers(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	const bad = "ana@@x.io"
	w.do(func() { w.hated[bad] = true })
	var list []Customer
	want := map[int64]string{}
	for i := range int64(50) {
		email := fmt.Sprintf("c%d@x.io", i)
		w.contact(fmt.Sprintf("u%d", i), "user", email)
		list, want[i] = append(list, Customer{Account: 1, ID: i, Email: email, StripeID: fmt.Sprintf("cus_%d", i)}), fmt.Sprintf("u%d", i)
	}
	list[17].Email, want[17] = bad, "none"
	for _, round := range []string{"at first", "when the others are linked"} {
		links := w.resolveAll(t, Settings{Create: true}, list...) // and nobody is made for want of an answer
		if diff := cmp.Diff(want, ids(links)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", round, diff)
		}
		if got := links[Ref{1, 17}].OptedOut; !strings.Contains(got, "Value is invalid for") || strings.Contains(got, bad) {
			t.Errorf("%s: the one at fault says %q", round, got)
		}
		if n := len(w.since()); n > 14 {
			t.Errorf("%s: asked %d times", round, n)
		}
		w.now = w.now.Add(time.Hour)
	}

	// An address that changed to one which cannot be looked for is nobody's.
	list[3].Email, want[3] = bad, "none"
	if diff := cmp.Diff(want, ids(w.resolveAll(t, Settings{}, list...))); diff != "" {
		t.Errorf("after a change of address (-want +got)\n%s", diff)
	}
}

// TestResolveAll_EveryRefusalIsOurs: where any search is refused the links of
// customers are left as they are.
func TestResolveAll_EveryRefusalIsOurs(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("l1", "lead", "ana@x.io")
	list := []Customer{{Account: 1, ID: 1, Email: "ana@x.io"}, {Account: 1, ID: 2, Email: "bob@x.io"}}
	before := w.resolveAll(t, Settings{}, list...)
	w.now = w.now.Add(time.Hour)
	w.do(func() { w.hated["*"] = true })
	if links, err := w.links.ResolveAll(t.Context(), w.pool, list, Settings{}, time.Hour); len(links) != 0 || !Refused(err) {
		t.Errorf("resolved %v, %v", links, err)
	}
	after, err := readLinks(t.Context(), w.pool, refs(list))
	if diff := cmp.Diff(ids(before), ids(after)); diff != "" || err != nil {
		t.Errorf("stored (-before +after)\n%s%v", diff, err)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	on := Settings{Create: true}
	ana := Customer{Account: 1, ID: 1, Email: "ana@x.io", StripeID: "cus_1", Name: "Ana"}
	tests := []struct {
		name     string
		settings Settings
		customer Customer
		before   func(*fake)
		id       string // of the link
		made     string // external id of the contact that is made; empty: none is
		reason   string
	}{
		{"off", Settings{}, ana, func(*fake) {}, "none", "", ""},
		{"on", on, ana, func(*fake) {}, "made71", "cus_1", ""},
		{"with the company's own id", Settings{Create: true, ExternalIDs: true}, Customer{Account: 1, ID: 1, Email: "ana@x.io", StripeID: "cus_1", ExternalID: "42"}, func(*fake) {}, "made71", "42", ""},
		{"without the company's own id", Settings{Create: true, ExternalIDs: true}, ana, func(*fake) {}, "none", "", ""},
		{"not at Stripe any more", on, Customer{Account: 1, ID: 1, Email: "ana@x.io"}, func(*fake) {}, "none", "", ""},
		{"without an address", on, Customer{Account: 1, ID: 1, StripeID: "cus_1"}, func(*fake) {}, "none", "", ""},
		{"ambiguous", on, ana, func(f *fake) {
			f.contact("u1", "user", "ana@x.io")
			f.contact("u2", "user", "ana@x.io")
		}, "ambiguous", "", ""},
		{"made a moment ago, and not found yet", on, ana, func(f *fake) {
			f.contact("u1", "user", "ana@x.io", "external_id", "cus_1")
			f.do(func() { f.unseen["u1"] = true })
		}, "u1", "", ""},
		{"archived", on, ana, func(f *fake) {
			f.contact("u1", "user", "ana@x.io", "external_id", "cus_1")
			f.do(func() { f.archived["u1"] = true })
		}, "none", "", archived},
		{"blocked", on, ana, func(f *fake) { f.do(func() { f.blocked = true }) }, "none", "", blocked},
		{"made, and the answer was lost", on, ana, func(f *fake) { f.do(func() { f.lose = true }) }, "made71", "cus_1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newLinking(t)
			tt.before(w.fake)
			link := w.resolveAll(t, tt.settings, tt.customer)[tt.customer.Ref()]
			if got := ids(map[Ref]Link{tt.customer.Ref(): link})[1]; got != tt.id || link.OptedOut != tt.reason {
				t.Errorf("link\n got %s, %q\nwant %s, %q", got, link.OptedOut, tt.id, tt.reason)
			}
			made := ""
			w.do(func() {
				for id, c := range w.contacts {
					if strings.HasPrefix(id, "made") {
						made, _ = c["external_id"].(string)
					}
				}
			})
			if made != tt.made {
				t.Errorf("made\n got %q\nwant %q", made, tt.made)
			}
			var claims int
			if err := w.pool.QueryRow(t.Context(), `select count(*) from dunlin.contact_creations`).Scan(&claims); err != nil || claims != 0 {
				t.Errorf("%d claims are left, %v", claims, err)
			}
		})
	}
}

// Two customers of one address are one person, and get one contact, although
// no search shows it yet.
func TestCreate_OneContactForOneAddress(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	on := Settings{Create: true}
	first := Customer{Account: 1, ID: 1, Email: "ana@x.io", StripeID: "cus_1"}
	second := Customer{Account: 2, ID: 1, Email: "Ana@x.io", StripeID: "cus_2"}

	links, err := w.links.ResolveAll(t.Context(), w.pool, []Customer{first, second}, on, time.Hour)
	if _, resolved := links[second.Ref()]; resolved || !NotSent(err) {
		t.Errorf("the second is resolved while the first is being made: %v, %v", links, err)
	}
	made := links[first.Ref()].ContactID
	if got := w.resolveAll(t, on, first, second); made == "" || got[second.Ref()].ContactID != made {
		t.Errorf("the second is %+v, the first %q", got[second.Ref()], made)
	}
	if n := len(slices.DeleteFunc(w.since(), func(asked string) bool { return asked != "POST /contacts" })); n != 1 {
		t.Errorf("%d contacts were made", n)
	}
}

// A claim whose process died does not keep an address forever.
func TestCreate_TakesOverALapsedClaim(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	ana := Customer{Account: 1, ID: 1, Email: "ana@x.io", StripeID: "cus_1"}
	if err := claimCreation(t.Context(), w.pool, &question{Customer: ana}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.links.Resolve(t.Context(), w.pool, ana, Settings{Create: true}, time.Hour); !NotSent(err) {
		t.Errorf("while it is claimed: %v", err)
	}
	if _, err := w.pool.Exec(t.Context(), `update dunlin.contact_creations set leased_until = clock_timestamp() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if link, err := w.links.Resolve(t.Context(), w.pool, ana, Settings{Create: true}, time.Hour); err != nil || link.State != Linked {
		t.Errorf("after the lease: %+v, %v", link, err)
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ override, browser, want string }{
		{"", "", ""}, {"de", "en-US", "de"}, {"", "en-US", "en-US"}, {"pt_BR", "", "pt-BR"}, {"zh-Hans-CN", "", "zh-Hans-CN"},
		{"<b>", "fr", "fr"}, {"a language", "", ""}, {"en;q=0.8", "", ""},
	} {
		if got := language(tt.override, tt.browser); got != tt.want {
			t.Errorf("language of %q, %q\n got %q\nwant %q", tt.override, tt.browser, got, tt.want)
		}
	}
}

// A link in doubt is asked about again, and follows its contact.
func TestDoubt(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("u1", "user", "ana@x.io")
	ana := Customer{Account: 1, ID: 1, Email: "ana@x.io"}
	w.resolveAll(t, Settings{}, ana)
	w.contact("u2", "user", "ana@x.io", "location", map[string]any{"region": "Lisboa\x00"})
	w.do(func() { w.merged["u1"] = "u2" })
	if err := w.links.Doubt(t.Context(), w.pool, ana.Ref()); err != nil {
		t.Fatal(err)
	}
	if got := w.resolveAll(t, Settings{}, ana)[ana.Ref()]; got.ContactID != "u2" || got.Region != "Lisboa" || !got.CheckedAt.Equal(w.now) {
		t.Errorf("got %+v", got)
	}
}
