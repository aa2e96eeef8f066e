package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		want        any
	}{
		{"plan", "Pro", "Pro"},
		{"attempts", "3", json.Number("3")},
		{"share", "-0.5", json.Number("-0.5")},
		{"card_last4", "0042", "0042"},
		{"invoice", "https://example.com/in_1", "https://example.com/in_1"},
		{"open", "1249.00 USD", intercom.Money{Cents: 124900, Currency: "usd"}},
		{"yen", "5000 JPY", "5000 JPY"},
		{"dinar", "1.234 KWD", "1.234 KWD"},
		{"unit", "0.005 USD", "0.005 USD"},
		{"expires_date", "2026-03-31", json.Number("1774915200")},
		{"expires_date", "2026-03-31 00:00:00 +0200", json.Number("1774908000")},
		{"expires_date", "31 March 2026", json.Number("1774915200")},
		{"expires_date", "soon", "soon"},
		{"expires", "2026-03-31", "2026-03-31"},
	}
	for _, tt := range tests {
		got := metadata([]campaigns.Pair{{Name: tt.name, Value: tt.value}})
		if diff := cmp.Diff([]intercom.Datum{{Name: tt.name, Value: tt.want}}, got); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", tt.name, tt.value, diff)
		}
	}
	if got := metadata([]campaigns.Pair{{Name: "coupon", Value: ""}}); len(got) != 0 {
		t.Errorf("what is missing\n got %v\nwant nothing", got)
	}
}

func TestAttributeValue(t *testing.T) {
	t.Parallel()
	tests := []struct{ kind, value, want string }{
		{"string", "3", "string 3"},
		{"options", "high", "string high"},
		{"string", "", "<nil> <nil>"},
		{"string", strings.Repeat("ä", 255), "string " + strings.Repeat("ä", 255)},
		{"string", strings.Repeat("x", 256), "longer than 255 characters"},
		{"integer", "-3", "json.Number -3"},
		{"integer", "3.5", "no whole number"},
		{"float", "3.5", "json.Number 3.5"},
		{"float", "49.00 USD", "no number"},
		{"boolean", "True", "bool true"},
		{"boolean", "perhaps", "neither true nor false"},
		{"date", "2026-03-31", "json.Number 1774915200"},
		{"date", "soon", "is none"},
	}
	for _, tt := range tests {
		x, err := attributeValue(tt.kind, tt.value)
		got := fmt.Sprintf("%T %v", x, x)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%s of %q\n got %s\nwant %s", tt.kind, tt.value, got, tt.want)
		}
	}
}
