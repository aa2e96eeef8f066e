package intercom

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dunlin/dunlin/internal/pgtest"
)

var settings = Settings{OptOutTag: "No-Billing-Messages", OptOutAttribute: "billing_messages_off", TimezoneAttribute: "timezone"}

// A linking is a fake Intercom, a database, a clock and the links between them.
type linking struct {
	*fake
	links *Links
	pool  *pgxpool.Pool
	now   time.Time
}

func newLinking(t *testing.T) *linking {
	t.Helper()
	w := &linking{fake: newFake(), pool: pgtest.New(t), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	w.tags = []Tag{{"7", "no-billing-messages"}}
	w.links = NewLinks(newTestClient(t, w.serve(t), func(cfg *Config) { cfg.Now = func() time.Time { return w.now } }))
	return w
}

func (w *linking) resolve(t *testing.T, id int64, email string) Link {
	t.Helper()
	link, err := w.links.Resolve(t.Context(), w.pool, Customer{Account: 1, ID: id, Email: email}, settings, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := w.links.Stored(t.Context(), w.pool, 1, id)
	if err != nil {
		t.Fatal(err)
	}
	stored.CheckedAt, link.CheckedAt = stored.CheckedAt.UTC(), link.CheckedAt.UTC()
	if diff := cmp.Diff(link, stored); diff != "" {
		t.Errorf("returned and stored link differ (-returned +stored)\n%s", diff)
	}
	return link
}

func TestResolve_FindsAndRemembers(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("c1", "user", "ana@x.io",
		"custom_attributes", map[string]any{"timezone": "Europe/Lisbon"},
		"location", map[string]any{"country": "Portugal", "country_code": "PRT", "region": "Lisboa"})
	want := Link{
		Account: 1, Customer: 2, State: Linked, ContactID: "c1", Role: "user", Email: "Ana@X.io",
		Timezone: "Europe/Lisbon", Country: "PT", Region: "Lisboa", CheckedAt: w.now,
	}
	if diff := cmp.Diff(want, w.resolve(t, 2, " Ana@X.io ")); diff != "" {
		t.Errorf("first time (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"POST /contacts/search", "GET /tags"}, w.since()); diff != "" {
		t.Errorf("asked (-want +got)\n%s", diff)
	}

	w.now = w.now.Add(59 * time.Minute)
	if diff := cmp.Diff(want, w.resolve(t, 2, "ana@x.io")); diff != "" {
		t.Errorf("within the hour (-want +got)\n%s", diff)
	}
	if asked := w.since(); len(asked) != 0 {
		t.Errorf("asked %v within the hour", asked)
	}

	w.now = w.now.Add(time.Minute)
	w.contact("c1", "user", "ana@x.io", "unsubscribed_from_emails", true)
	got := w.resolve(t, 2, "ana@x.io")
	if got.OptedOut != "has unsubscribed from e-mails" || got.Timezone != "" || !got.CheckedAt.Equal(w.now) {
		t.Errorf("after the hour: %+v", got)
	}
	if diff := cmp.Diff([]string{"GET /contacts/c1", "GET /tags"}, w.since()); diff != "" {
		t.Errorf("asked (-want +got)\n%s", diff)
	}
}

func TestResolve_States(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("l1", "lead", "two@x.io")
	w.contact("l2", "lead", "two@x.io")
	for id, tt := range map[int64]struct {
		email string
		want  State
	}{
		1: {"", None}, 2: {"nobody@x.io", None}, 3: {"two@x.io", Ambiguous},
	} {
		got := w.resolve(t, id, tt.email)
		want := Link{Account: 1, Customer: id, State: tt.want, Email: tt.email, CheckedAt: w.now}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", tt.email, diff)
		}
	}
	if n := len(w.since()); n != 2 {
		t.Errorf("asked %d times; no address needs no question", n)
	}

	// All three are looked for again when their time comes, and may be linked.
	w.now = w.now.Add(time.Hour)
	w.contact("u1", "user", "two@x.io")
	if got := w.resolve(t, 3, "two@x.io"); got.State != Linked || got.ContactID != "u1" {
		t.Errorf("a user appeared among the leads: %+v", got)
	}
	// Another address is another question, whatever the age.
	w.contact("u2", "user", "new@x.io")
	if got := w.resolve(t, 2, "new@x.io"); got.ContactID != "u2" {
		t.Errorf("after a change of address: %+v", got)
	}
	if got := w.resolve(t, 2, ""); got.State != None || got.ContactID != "" {
		t.Errorf("after the address was removed: %+v", got)
	}
}

func TestResolve_Rechecks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		then  func(*fake)
		state State
		id    string
	}{
		{"unchanged", func(*fake) {}, Linked, "c1"},
		{"merged into another", func(f *fake) {
			f.contact("c2", "user", "ana@x.io")
			f.do(func() { f.merged["c1"] = "c2" })
		}, Linked, "c2"},
		{"merged into somebody with another address", func(f *fake) {
			f.contact("c2", "user", "bob@x.io")
			f.do(func() { f.merged["c1"] = "c2" })
		}, None, ""},
		{"archived", func(f *fake) { f.do(func() { delete(f.contacts, "c1") }) }, None, ""},
		{"archived, and made again", func(f *fake) {
			f.do(func() { delete(f.contacts, "c1") })
			f.contact("c3", "user", "ana@x.io")
		}, Linked, "c3"},
		{"given another address", func(f *fake) { f.contact("c1", "user", "bob@x.io") }, None, ""},
		{"given another address, and somebody else has this one", func(f *fake) {
			f.contact("c1", "user", "bob@x.io")
			f.contact("c4", "lead", "ana@x.io")
		}, Linked, "c4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newLinking(t)
			w.contact("c1", "user", "ana@x.io")
			w.resolve(t, 2, "ana@x.io")
			w.now = w.now.Add(2 * time.Hour)
			tt.then(w.fake)
			if got := w.resolve(t, 2, "ana@x.io"); got.State != tt.state || got.ContactID != tt.id {
				t.Errorf("link\n got %s %q\nwant %s %q", got.State, got.ContactID, tt.state, tt.id)
			}
		})
	}
}

func TestResolve_LeadBecomesUser(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("l1", "lead", "ana@x.io")
	if got := w.resolve(t, 2, "ana@x.io"); got.ContactID != "l1" || got.Role != "lead" {
		t.Fatalf("at first: %+v", got)
	}
	w.contact("u1", "user", "ana@x.io")
	w.now = w.now.Add(time.Hour)
	if got := w.resolve(t, 2, "ana@x.io"); got.ContactID != "u1" || got.Role != "user" {
		t.Errorf("once there is a user: %+v", got)
	}
}

func TestResolve_OptOutTag(t *testing.T) {
	t.Parallel()
	tagged := func(more bool, ids ...string) map[string]any {
		var data []any
		for _, id := range ids {
			data = append(data, map[string]any{"type": "tag", "id": id})
		}
		return map[string]any{"type": "list", "data": data, "total_count": len(ids), "has_more": more}
	}
	w := newLinking(t)
	w.contact("c1", "user", "one@x.io", "tags", tagged(false, "3", "7"))
	w.contact("c2", "user", "two@x.io", "tags", tagged(true, "1", "2"))
	w.contact("c3", "user", "three@x.io", "tags", tagged(true, "1", "2"))
	w.contact("c4", "user", "four@x.io", "tags", nil)
	w.do(func() { w.more["c2"], w.more["c4"] = []string{"7"}, []string{"7"} })
	const reason = `has the tag "No-Billing-Messages"`
	for id, tt := range map[int64]struct{ email, want string }{
		1: {"one@x.io", reason}, 2: {"two@x.io", reason}, 3: {"three@x.io", ""}, 4: {"four@x.io", reason},
	} {
		if got := w.resolve(t, id, tt.email); got.OptedOut != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.email, got.OptedOut, tt.want)
		}
	}
	tagLists := 0
	for _, asked := range w.since() {
		if asked == "GET /tags" {
			tagLists++
		}
	}
	if tagLists != 1 {
		t.Errorf("the workspace's tags were read %d times within the hour", tagLists)
	}
}

func TestResolve_FailureChangesNothing(t *testing.T) {
	t.Parallel()
	w := newLinking(t)
	w.contact("c1", "user", "ana@x.io")
	before := w.resolve(t, 2, "ana@x.io")
	w.now = w.now.Add(2 * time.Hour)
	w.do(func() { w.unwell = true })

	_, err := w.links.Resolve(t.Context(), w.pool, Customer{Account: 1, ID: 2, Email: "ana@x.io"}, settings, time.Hour)
	var e *Error
	if !errors.As(err, &e) || e.Status != 403 {
		t.Errorf("error is %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "ana@x.io") {
		t.Errorf("the error shows an address: %v", err)
	}
	after, err := w.links.Stored(t.Context(), w.pool, 1, 2)
	if err != nil || !after.CheckedAt.Equal(before.CheckedAt) || after.ContactID != "c1" {
		t.Errorf("stored link is %+v, %v", after, err)
	}
}

func TestStore_NewestWins(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	newer := Link{Account: 1, Customer: 2, State: Linked, ContactID: "c1", CheckedAt: at.Add(time.Second)}
	for _, l := range []Link{newer, {Account: 1, Customer: 2, State: None, CheckedAt: at}} {
		if err := store(t.Context(), pool, l); err != nil {
			t.Fatal(err)
		}
	}
	got, err := new(Links).Stored(t.Context(), pool, 1, 2)
	if err != nil || got.State != Linked {
		t.Errorf("got %+v, %v", got, err)
	}
}

func put(t *testing.T, pool *pgxpool.Pool, account int, customer int64, contact string) {
	t.Helper()
	l := Link{Account: account, Customer: customer, State: None, CheckedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	if contact != "" {
		l.State, l.ContactID, l.Role = Linked, contact, "user"
	}
	if err := store(t.Context(), pool, l); err != nil {
		t.Fatal(err)
	}
}
