package jobs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/workspace"
)

func TestLinkCustomer(t *testing.T) {
	t.Parallel()
	picture := func(more map[string]any) customers.Picture {
		values := map[string]any{"stripe_id": "cus_1", "email": "ana@example.com", "name": "Ana", "metadata": map[string]string{"user_id": "42"}}
		for name, v := range more {
			values[name] = v
		}
		return customers.NewPicture(customers.Ref{Account: 1, Customer: 2}, "", "", values)
	}
	whole := intercom.Customer{Account: 1, ID: 2, Email: "ana@example.com", Name: "Ana", ExternalID: "42", StripeID: "cus_1"}
	noID, notMade := whole, whole
	noID.ExternalID, notMade.StripeID = "", ""
	byID := workspace.Settings{ExternalID: "user_id"}
	for _, tt := range []struct {
		name     string
		settings workspace.Settings
		more     map[string]any
		want     intercom.Customer
	}{
		{"by the company's id", byID, nil, whole},
		{"no key", workspace.Settings{}, nil, noID},
		{"another key", workspace.Settings{ExternalID: "uid"}, nil, noID},
		{"live", byID, map[string]any{"livemode": true}, whole},
		{"of test mode", byID, map[string]any{"livemode": false}, notMade},
		{"deleted", byID, map[string]any{"deleted": true}, notMade},
		{"nothing known", byID, map[string]any{"email": nil, "name": nil, "metadata": nil}, intercom.Customer{Account: 1, ID: 2, StripeID: "cus_1"}},
	} {
		if diff := cmp.Diff(tt.want, LinkCustomer(picture(tt.more), tt.settings)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestLinking(t *testing.T) {
	t.Parallel()
	s := workspace.Settings{OptOutTag: "t", OptOutAttribute: "a", TimezoneAttribute: "z", ExternalID: "user_id", CreateContacts: true}
	want := intercom.Settings{OptOutTag: "t", OptOutAttribute: "a", TimezoneAttribute: "z", ExternalIDs: true, Create: true}
	if diff := cmp.Diff(want, Linking(s, false)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want.Create = false
	tested := s
	tested.TestContacts = []string{"ana@example.com"}
	if diff := cmp.Diff(want, Linking(tested, false)); diff != "" {
		t.Errorf("with test contacts (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(want, Linking(s, true)); diff != "" {
		t.Errorf("dry (-want +got)\n%s", diff)
	}
}
