package campaigns

import (
	"fmt"
	"strings"
	"time"

	"github.com/dunlin/dunlin/customers"
	"github.com/dunlin/dunlin/workspace"
)

// A Content is what a step says to one customer, filled in.
type Content struct {
	Variant  string `json:"variant,omitempty"`  // of a message with several wordings
	Language string `json:"language,omitempty"` // of the wording; empty: there is only one
	Locale   string `json:"locale"`             // how money and dates are written; empty: for machines
	Zone     string `json:"zone"`               // by whose clock
	Subject  string `json:"subject,omitempty"`  // e-mail
	Title    string `json:"title,omitempty"`    // task
	Body     string `json:"body,omitempty"`     // message, note: HTML; task: text
	Values   []Pair `json:"values,omitempty"`   // event, attributes
}

// A reader is who a content is filled in for and by whom it is read.
type reader struct {
	picture  customers.Picture
	contact  Contact
	settings workspace.Settings
}

// render fills in a step's texts for a customer; variant is the wording of a
// message with several, and the zero Variant otherwise. It is pure.
//
//   - What the customer reads, which is messages, is in the contact's language
//     and by the customer's clock; money and dates are written as in their
//     country.
//   - What colleagues read, tasks and notes, is by the workspace's clock; a text
//     with several languages is in the contact's.
//   - What machines read, values with one wording, has money as 49.00 USD and
//     dates as 2026-03-31.
//
// An error is the text's: it has no meaning for this customer.
func (s Step) render(v Variant, picture customers.Picture, contact Contact, settings workspace.Settings) (Content, error) {
	r := reader{picture, contact, settings}
	c := Content{Variant: v.Name}
	var err error
	fill := func(what string, t Text) string {
		if !t.Written() || err != nil {
			return ""
		}
		template, language := t.In(contact.Language, settings.Language)
		locale, zone := r.manner(s.Action, language)
		out, failed := template.Render(picture, zone, locale)
		if failed != nil {
			err = fmt.Errorf("%s: %w", what, failed)
		}
		c.Language, c.Locale, c.Zone = language, locale, zone.String()
		return out
	}
	for _, x := range s.Values {
		c.Values = append(c.Values, Pair{x.Name, fill(x.Name, x.Text)})
	}
	c.Subject = line(fill("subject", v.Subject))
	c.Title = line(fill("title", s.Title))
	if s.Action == Message {
		c.Body = fill("body", v.Body)
	} else {
		c.Body = fill("body", s.Body)
	}
	return c, err
}

// manner is the locale and the zone of a text in a language; empty: the only
// wording.
func (r reader) manner(action Action, language string) (locale string, zone *time.Location) {
	if language == "" {
		if action == Event || action == Attributes {
			return "", r.settings.Zone
		}
		language = r.settings.Language
	}
	if action == Task || action == Note {
		return language, r.settings.Zone
	}
	country, _ := r.picture.Value("country").(string)
	zone = r.settings.Zone
	if zones := r.contact.Place.Zones(); len(zones) > 0 {
		zone = zones[0] // of several, the one most people of the country live in
	}
	return refine(language, r.contact.Language, country), zone
}

// line is a text on one line.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }
