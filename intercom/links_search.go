package intercom

import (
	"context"
	"slices"
	"strings"
)

const (
	maxSearchValues = 50 // in one IN filter; Intercom documents no limit
	searchPage      = 150
	maxSearchPages  = 100 // stops a cursor that goes round in circles
)

// Wanted is what contacts are searched by; having any of it is enough.
type wanted struct{ ids, externals, emails []string }

func (l wanted) size() int { return len(l.ids) + len(l.externals) + len(l.emails) }

// next cuts off what one request can ask for.
func (l *wanted) next() []searchFilter {
	var filters []searchFilter
	for _, f := range []struct {
		field  string
		values *[]string
	}{{"id", &l.ids}, {"external_id", &l.externals}, {"email", &l.emails}} {
		if n := min(len(*f.values), maxSearchValues); n > 0 {
			filters = append(filters, searchFilter{f.field, "IN", (*f.values)[:n]})
			*f.values = (*f.values)[n:]
		}
	}
	return filters
}

// SearchContacts returns the contacts that have one of these e-mail addresses,
// each once, in Intercom's order, newest first within a batch. It asks for each
// address as given and in lower case, because Intercom does not say whether its
// search respects case; results may include other spellings, and the caller
// compares. Archived and merged contacts are never found, new ones only after a
// few minutes.
func (c *Client) SearchContacts(ctx context.Context, emails []string) ([]Contact, error) {
	return c.search(ctx, wanted{emails: emails})
}

// search makes as few requests as Intercom's limits allow: an OR group of up to
// three filters, of its fifteen, with up to fifty values each.
func (c *Client) search(ctx context.Context, by wanted) ([]Contact, error) {
	by = wanted{distinct(by.ids), distinct(by.externals), spellings(by.emails)}
	var found []Contact
	seen := map[string]bool{}
	for by.size() > 0 {
		contacts, err := c.searchBatch(ctx, by.next())
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

func distinct(values []string) []string {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	slices.Sort(values)
	return slices.Compact(values)
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

func (c *Client) searchBatch(ctx context.Context, filters []searchFilter) ([]Contact, error) {
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
				Query:      searchGroup{"OR", filters},
				Sort:       searchSort{"created_at", "descending"},
				Pagination: searchPaging{searchPage, cursor},
			},
			out: &out,
		})
		if err != nil {
			return nil, err
		}
		for _, j := range out.Data {
			if !bool(j.Archived) {
				found = append(found, j.contact())
			}
		}
		if out.Pages == nil || out.Pages.Next == nil || out.Pages.Next.StartingAfter == "" {
			return found, nil
		}
		cursor = string(out.Pages.Next.StartingAfter)
	}
	return nil, &Error{Op: "POST /contacts/search", Message: "the pages of the answer do not end"}
}
