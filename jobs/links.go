package jobs

import (
	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/workspace"
)

// Linking are the workspace's settings as far as links go. With dry, and while
// only test contacts receive anything, no contact is made at Intercom.
func Linking(s workspace.Settings, dry bool) intercom.Settings {
	return intercom.Settings{
		OptOutTag: s.OptOutTag, OptOutAttribute: s.OptOutAttribute, TimezoneAttribute: s.TimezoneAttribute,
		Create: s.CreateContacts && !dry && len(s.TestContacts) == 0, ExternalIDs: s.ExternalID != "",
	}
}

// LinkCustomer is whom to look for at Intercom. Customers of test mode, and those
// that are deleted at Stripe, get no contact made.
func LinkCustomer(p customers.Picture, s workspace.Settings) intercom.Customer {
	c := intercom.Customer{Account: p.Account, ID: p.Customer}
	c.Email, _ = p.Value("email").(string)
	c.Name, _ = p.Value("name").(string)
	if metadata, ok := p.Value("metadata").(map[string]string); ok && s.ExternalID != "" {
		c.ExternalID = metadata[s.ExternalID]
	}
	if p.Value("deleted") != true && p.Value("livemode") != false {
		c.StripeID = p.StripeID
	}
	return c
}
