package intercom

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// A Contact is a person as Intercom knows them: what linking, opt-out, quiet
// hours and languages need of it, and no more. Names and phone numbers are not
// read at all.
type Contact struct {
	ID           string // 24 hexadecimal digits
	Role         string // user or lead
	ExternalID   string // the company's own id of a user; a lead's means nothing
	Email        string
	Language     string         // chosen, else the browser's, as in "de" or "pt-BR"; often empty
	Blocked      bool           // by a teammate; most answers do not say
	Unsubscribed bool           // from e-mails; Intercom does not enforce it in-app, we do
	Attributes   map[string]any // custom attributes by name, as JSON decodes them
	TagIDs       []string       // the first ten
	MoreTags     bool           // there may be others: see ContactTags
	Location     Location       // from the last address seen; often empty
}

// A Location is where Intercom thinks a contact is.
type Location struct {
	Country     string // a name, in English
	CountryCode string // alpha-2 or alpha-3; often empty
	Region      string // a name
}

// contactJSON is the part of a contact that is decoded.
type contactJSON struct {
	ID           text           `json:"id"`
	Role         text           `json:"role"`
	ExternalID   text           `json:"external_id"`
	Email        text           `json:"email"`
	Override     text           `json:"language_override"`
	Browser      text           `json:"browser_language"`
	Blocked      flag           `json:"blocked"`
	Archived     flag           `json:"archived"`
	Unsubscribed flag           `json:"unsubscribed_from_emails"`
	Attributes   map[string]any `json:"custom_attributes"`
	Location     struct {
		Country     text `json:"country"`
		CountryCode text `json:"country_code"`
		Region      text `json:"region"`
	} `json:"location"`
	Tags *struct {
		Data []struct {
			ID text `json:"id"`
		} `json:"data"`
		Total count `json:"total_count"`
		More  flag  `json:"has_more"`
	} `json:"tags"`
}

func (j contactJSON) contact() Contact {
	c := Contact{
		ID:           string(j.ID),
		Role:         string(j.Role),
		ExternalID:   string(j.ExternalID),
		Email:        string(j.Email),
		Language:     language(string(j.Override), string(j.Browser)),
		Blocked:      bool(j.Blocked),
		Unsubscribed: bool(j.Unsubscribed),
		Attributes:   j.Attributes,
		Location: Location{
			Country:     string(j.Location.Country),
			CountryCode: string(j.Location.CountryCode),
			Region:      string(j.Location.Region),
		},
	}
	if j.Tags == nil { // the schema allows null: that is "not said", not "none"
		c.MoreTags = true
		return c
	}
	for _, t := range j.Tags.Data {
		c.TagIDs = append(c.TagIDs, string(t.ID))
	}
	c.MoreTags = bool(j.Tags.More) || int(j.Tags.Total) > len(j.Tags.Data)
	return c
}

// language returns the first of a contact's languages that is one, as BCP 47
// writes it: Intercom has been seen to use underscores.
func language(choices ...string) string {
	for _, l := range choices {
		if l = strings.ReplaceAll(strings.TrimSpace(l), "_", "-"); languageTag.MatchString(l) {
			return l
		}
	}
	return ""
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$`)

// maxHops is how many merges in a row are followed. Intercom resolves chains of
// three itself.
const maxHops = 3

// Contact returns one contact. Where it was merged into another, it returns
// that one, so the result's ID may differ from id. [Gone] reports that there is
// none: deleted, archived, or merged without a trace.
func (c *Client) Contact(ctx context.Context, id string) (Contact, error) {
	const op = "GET /contacts/{id}"
	if id == "" {
		return Contact{}, wrong(op, "the contact has no id")
	}
	for hop := 0; ; hop++ {
		var out contactJSON
		err := c.do(ctx, call{op: op, path: []string{"contacts", id}, out: &out, ok: func() bool { return out.ID != "" }})
		if err == nil && bool(out.Archived) { // a 404 as a rule
			return Contact{}, &Error{Op: op, Status: http.StatusNotFound, Outcome: OutcomeRefused, Message: "the contact is archived"}
		}
		if err == nil {
			return out.contact(), nil
		}
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusGone || e.canonical == "" || hop == maxHops {
			return Contact{}, err
		}
		id = e.canonical
	}
}

// canonicalLink is the Link header of a merged contact's 410:
// </contacts/6762f0d01bb69f9f2193bb7d>; rel="canonical"
var canonicalLink = regexp.MustCompile(`<(?:https?://[^/>]+)?/contacts/([0-9A-Za-z_-]+)>\s*;\s*rel="?canonical"?`)

func canonicalContact(link string) string {
	if m := canonicalLink.FindStringSubmatch(link); m != nil {
		return m[1]
	}
	return ""
}
