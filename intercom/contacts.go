package intercom

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// A Contact is a person as Intercom knows them: what linking, opt-out and quiet
// hours need of it, and no more. Names and phone numbers are not read at all.
type Contact struct {
	ID           string // 24 hexadecimal digits
	Role         string // user or lead
	Email        string
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
	Email        text           `json:"email"`
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
		Email:        string(j.Email),
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

const (
	maxSearchValues = 50 // in one IN filter; Intercom documents no limit
	searchPage      = 150
	maxSearchPages  = 100 // stops a cursor that goes round in circles
)

// SearchContacts returns the contacts that have one of these e-mail addresses,
// each once, in Intercom's order, newest first within a batch. It asks for each
// address as given and in lower case, because Intercom does not say whether its
// search respects case; results may include other spellings, and the caller
// compares. Archived and merged contacts are never found, new ones only after a
// few minutes.
func (c *Client) SearchContacts(ctx context.Context, emails []string) ([]Contact, error) {
	var (
		values = spellings(emails)
		found  []Contact
		seen   = map[string]bool{}
	)
	for len(values) > 0 {
		batch := values[:min(len(values), maxSearchValues)]
		values = values[len(batch):]
		contacts, err := c.searchBatch(ctx, batch)
		if err != nil {
			return nil, err
		}
		for _, contact := range contacts {
			if !seen[contact.ID] {
				seen[contact.ID] = true
				found = append(found, contact)
			}
		}
	}
	return found, nil
}

func spellings(emails []string) []string {
	var values []string
	seen := map[string]bool{"": true}
	for _, e := range emails {
		e = strings.TrimSpace(e)
		for _, v := range []string{e, strings.ToLower(e)} {
			if !seen[v] {
				seen[v] = true
				values = append(values, v)
			}
		}
	}
	return values
}

type (
	searchFilter struct {
		Field    string `json:"field"`
		Operator string `json:"operator"`
		Value    any    `json:"value"`
	}
	searchGroup struct {
		Operator string         `json:"operator"`
		Value    []searchFilter `json:"value"`
	}
	searchPaging struct {
		PerPage       int    `json:"per_page"`
		StartingAfter string `json:"starting_after,omitempty"`
	}
	searchSort struct {
		Field string `json:"field"`
		Order string `json:"order"`
	}
	searchRequest struct {
		Query      searchGroup  `json:"query"`
		Sort       searchSort   `json:"sort"`
		Pagination searchPaging `json:"pagination"`
	}
)

func (c *Client) searchBatch(ctx context.Context, values []string) ([]Contact, error) {
	var found []Contact
	cursor := ""
	for range maxSearchPages {
		var out struct {
			Data  []contactJSON `json:"data"`
			Pages *struct {
				Next *struct {
					StartingAfter text `json:"starting_after"`
				} `json:"next"`
			} `json:"pages"`
		}
		err := c.do(ctx, call{
			op: "POST /contacts/search", kind: read, path: []string{"contacts", "search"},
			body: searchRequest{
				Query:      searchGroup{"OR", []searchFilter{{"email", "IN", values}}},
				Sort:       searchSort{"created_at", "descending"},
				Pagination: searchPaging{searchPage, cursor},
			},
			out: &out,
		})
		if err != nil {
			return nil, err
		}
		for _, j := range out.Data {
			found = append(found, j.contact())
		}
		if out.Pages == nil || out.Pages.Next == nil || out.Pages.Next.StartingAfter == "" {
			return found, nil
		}
		cursor = string(out.Pages.Next.StartingAfter)
	}
	return nil, &Error{Op: "POST /contacts/search", Message: "the pages of the answer do not end"}
}
