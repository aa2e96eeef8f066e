package intercom

import (
	"testing"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	user := func(id, email string) Contact { return Contact{ID: id, Role: "user", Email: email} }
	lead := func(id, email string) Contact { return Contact{ID: id, Role: "lead", Email: email} }
	tests := []struct {
		name     string
		contacts []Contact
		email    string
		want     State
		id       string
	}{
		{"nobody", nil, "ana@x.io", None, ""},
		{"one user", []Contact{user("u1", "ana@x.io")}, "ana@x.io", Linked, "u1"},
		{"case does not count", []Contact{user("u1", "ana@x.io")}, "ANA@X.io", Linked, "u1"},
		{"spaces do not count", []Contact{user("u1", "ana@x.io ")}, " ana@x.io", Linked, "u1"},
		{"another address that the search threw in", []Contact{user("u1", "anna@x.io")}, "ana@x.io", None, ""},
		{"user before leads", []Contact{lead("l1", "ana@x.io"), user("u1", "ana@x.io"), lead("l2", "ana@x.io")}, "ana@x.io", Linked, "u1"},
		{"several users", []Contact{user("u1", "ana@x.io"), user("u2", "Ana@x.io")}, "ana@x.io", Ambiguous, ""},
		{"several users and a lead", []Contact{user("u1", "ana@x.io"), lead("l1", "ana@x.io"), user("u2", "ana@x.io")}, "ana@x.io", Ambiguous, ""},
		{"one lead", []Contact{lead("l1", "ana@x.io")}, "ana@x.io", Linked, "l1"},
		{"several leads", []Contact{lead("l1", "ana@x.io"), lead("l2", "ana@x.io")}, "ana@x.io", Ambiguous, ""},
		{"a visitor", []Contact{{ID: "v1", Role: "visitor", Email: "ana@x.io"}}, "ana@x.io", None, ""},
		{"no address matches no address", []Contact{user("u1", "")}, "", None, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, state := match(tt.contacts, Customer{Email: tt.email}, Settings{})
			if got.ID != tt.id || state != tt.want {
				t.Errorf("match\n got %s %q\nwant %s %q", state, got.ID, tt.want, tt.id)
			}
		})
	}
}

// Whatever a search returns and in whatever order, nobody is picked whose
// address is another, and the order does not matter.
func TestMatch_Properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		contacts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Contact {
			return Contact{
				ID:    rapid.StringMatching(`c[0-9]{6}`).Draw(t, "id"),
				Role:  rapid.SampledFrom([]string{"user", "lead"}).Draw(t, "role"),
				Email: rapid.SampledFrom([]string{"a@x.io", "A@x.io", "b@x.io", ""}).Draw(t, "email"),
			}
		}), 0, 6).Draw(t, "contacts")
		got, state := match(contacts, Customer{Email: "a@X.io"}, Settings{})
		if state == Linked && !sameEmail(got.Email, "a@x.io") {
			t.Fatalf("picked %v", got)
		}
		again, stateAgain := match(rapid.Permutation(contacts).Draw(t, "order"), Customer{Email: "a@X.io"}, Settings{})
		if again.ID != got.ID || stateAgain != state {
			t.Fatalf("order matters: %s %q, then %s %q", state, got.ID, stateAgain, again.ID)
		}
	})
}

func TestOptedOut(t *testing.T) {
	t.Parallel()
	settings := Settings{OptOutTag: "no-billing-messages", OptOutAttribute: "billing_messages_off"}
	set := func(v any) Contact { return Contact{Attributes: map[string]any{"billing_messages_off": v}} }
	tests := []struct {
		name     string
		contact  Contact
		tags     []string
		tag      string
		settings Settings
		want     string
	}{
		{"nothing", Contact{}, nil, "7", settings, ""},
		{"tag", Contact{}, []string{"1", "7", "7"}, "7", settings, `has the tag "no-billing-messages"`},
		{"other tags", Contact{}, []string{"1", "2"}, "7", settings, ""},
		{"no such tag in the workspace", Contact{}, []string{"1", ""}, "", settings, ""},
		{"true", set(true), nil, "7", settings, `has "billing_messages_off" set`},
		{"text true", set("True"), nil, "7", settings, `has "billing_messages_off" set`},
		{"yes", set("yes"), nil, "7", settings, `has "billing_messages_off" set`},
		{"one", set(1.0), nil, "7", settings, `has "billing_messages_off" set`},
		{"a date of opting out", set(1734537424.0), nil, "7", settings, `has "billing_messages_off" set`},
		{"any other words", set("since march"), nil, "7", settings, `has "billing_messages_off" set`},
		{"false", set(false), nil, "7", settings, ""},
		{"text false", set(" FALSE "), nil, "7", settings, ""},
		{"no", set("no"), nil, "7", settings, ""},
		{"zero", set(0.0), nil, "7", settings, ""},
		{"empty", set(""), nil, "7", settings, ""},
		{"null", set(nil), nil, "7", settings, ""},
		{"attribute not in the settings", set(true), nil, "7", Settings{}, ""},
		{"unsubscribed", Contact{Unsubscribed: true}, nil, "", Settings{}, "has unsubscribed from e-mails"},
		{"everything", Contact{Unsubscribed: true, Attributes: map[string]any{"billing_messages_off": true}}, []string{"7"}, "7", settings,
			`has the tag "no-billing-messages"; has "billing_messages_off" set; has unsubscribed from e-mails`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := optedOut(tt.contact, tt.tags, tt.tag, tt.settings); got != tt.want {
				t.Errorf("optedOut\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestZone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value any
		want  string
	}{
		{"Europe/Lisbon", "Europe/Lisbon"}, {" America/New_York ", "America/New_York"}, {"UTC", "UTC"},
		{"", ""}, {"Local", ""}, {"Lisbon", ""}, {"../etc/passwd", ""}, {nil, ""}, {1.0, ""}, {true, ""},
	}
	for _, tt := range tests {
		if got := zone(Contact{Attributes: map[string]any{"tz": tt.value}}, "tz"); got != tt.want {
			t.Errorf("zone of %v\n got %q\nwant %q", tt.value, got, tt.want)
		}
	}
	if got := zone(Contact{Attributes: map[string]any{"": "UTC"}}, ""); got != "" {
		t.Errorf("zone without an attribute is %q", got)
	}
}

func TestAlpha2(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, name, want string }{
		{"PT", "Portugal", "PT"}, {"PRT", "Portugal", "PT"}, {"irl", "", "IE"}, {"", "Ireland", "IE"},
		{"", "united states", "US"}, {"", "United States of America", "US"}, {"", "The Netherlands", "NL"},
		{"", "Czech Republic", "CZ"}, {"", "Côte d’Ivoire", "CI"}, {"", "Reunion", "RE"}, {"", "Türkiye", "TR"},
		{"", "Turkey", "TR"}, {"", "St. Lucia", "LC"}, {"", "Saint Lucia", "LC"}, {"", "Bosnia & Herzegovina", "BA"},
		{"", "Antigua and Barbuda", "AG"}, {"XX", "Germany", "DE"}, {"UK", "", "GB"}, {"", "", ""}, {"XX", "Atlantis", ""},
	}
	for _, tt := range tests {
		if got := alpha2(Location{CountryCode: tt.code, Country: tt.name}); got != tt.want {
			t.Errorf("alpha2 of %q, %q\n got %q\nwant %q", tt.code, tt.name, got, tt.want)
		}
	}
}

func TestCountries_TableIsWhole(t *testing.T) {
	t.Parallel()
	codes := map[string]int{}
	for key, code := range countries() {
		if len(code) != 2 || key == "" {
			t.Errorf("entry %q has the code %q", key, code)
		}
		codes[code]++
	}
	if got, want := len(codes), 249; got != want {
		t.Errorf("the table has %d countries, want %d", got, want)
	}
	for code, n := range codes {
		if n < 3 {
			t.Errorf("%s lacks a code or a name", code)
		}
	}
	if diff := cmp.Diff("", countries()[""]); diff != "" {
		t.Error("the empty text is a country")
	}
}
