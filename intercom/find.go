package intercom

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// What may have been done is looked for here. Nothing is done, so each look may
// be repeated. An empty id and no error mean: not there, or not yet in the index
// that is searched, which takes Intercom seconds to minutes. How long to go on
// looking is the caller's to say.

// ErrNoTrace says that what is looked for carries nothing to be found by: whether
// it is there cannot be known.
var ErrNoTrace = errors.New("it carries no reference to be found by")

// skew is by how much our clock may be ahead of Intercom's.
const skew = 10 * time.Minute

// marked is a body with its reference as a last line, "ref k7f3qz", that
// everybody can read. Intercom says neither which markup it keeps nor offers a
// field of ours on a message or a note: comments, attributes and hidden elements
// are what a sanitizer takes out, and its search goes by the words of the text.
// So the reference is one of these words.
func marked(body, reference string) string {
	if reference == "" {
		return body
	}
	return body + "<p>ref " + reference + "</p>"
}

// carries reports whether a body has the reference as a word of its own.
func carries(body, reference string) bool {
	words := strings.FieldsFunc(body, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' })
	return slices.Contains(words, reference)
}

// FindMessage looks for a traceable message by its reference, among the
// conversations that began at since or later, and returns the message's id, as
// [Client.CreateMessage] does. It reads those of the contact and compares their
// bodies here, because Intercom's search knows words only as its index cuts them;
// and those with the word, should the contact have been merged meanwhile.
func (c *Client) FindMessage(ctx context.Context, contactID, reference string, since time.Time) (string, error) {
	const op = "POST /conversations/search"
	switch {
	case reference == "":
		return "", ErrNoTrace
	case contactID == "":
		return "", wrong(op, "the contact has no id")
	}
	query := group{"AND", []any{
		group{"AND", []any{searchFilter{"created_at", ">", since.Add(-skew).Unix()}}},
		group{"OR", []any{searchFilter{"contact_ids", "=", contactID}, searchFilter{"source.body", "=", reference}}},
	}}
	id := ""
	err := c.pages(op, func(cursor string) (string, error) {
		var out struct {
			Conversations []struct {
				ID     text `json:"id"`
				Source struct {
					ID   text `json:"id"`
					Body text `json:"body"`
				} `json:"source"`
			} `json:"conversations"`
			Pages nextPage `json:"pages"`
		}
		err := c.do(ctx, call{op: op, path: []string{"conversations", "search"}, body: lookup(query, cursor), out: &out})
		for _, v := range out.Conversations {
			if id == "" && carries(string(v.Source.Body), reference) {
				if id = string(v.Source.ID); id == "" {
					id = string(v.ID) // it is there, whatever it is called
				}
			}
		}
		return out.Pages.after(id == ""), err
	})
	return id, err
}

// FindTicket looks for a ticket by our reference, which the attribute of that id
// holds; see [Objects].
func (c *Client) FindTicket(ctx context.Context, attributeID, reference string) (string, error) {
	const op = "POST /tickets/search"
	switch {
	case reference == "":
		return "", ErrNoTrace
	case attributeID == "":
		return "", wrong(op, "there is no attribute for the reference; run dunlin intercom setup")
	}
	query := group{"AND", []any{searchFilter{"ticket_attribute." + attributeID, "=", reference}}}
	id := ""
	err := c.pages(op, func(cursor string) (string, error) {
		var out struct {
			Tickets []struct {
				ID         text           `json:"id"`
				Attributes map[string]any `json:"ticket_attributes"`
			} `json:"tickets"`
			Pages nextPage `json:"pages"`
		}
		err := c.do(ctx, call{op: op, path: []string{"tickets", "search"}, body: lookup(query, cursor), out: &out})
		for _, t := range out.Tickets {
			for _, v := range t.Attributes {
				if id == "" && v == any(reference) {
					id = string(t.ID)
				}
			}
		}
		return out.Pages.after(id == ""), err
	})
	return id, err
}

// FindNote looks for a note by its reference, among the contact's that were
// written at since or later. The list has no index to wait for, and no order that
// Intercom promises: all of it is read until the note is found. The notes of a
// contact that was merged meanwhile are those of the one it was merged into.
func (c *Client) FindNote(ctx context.Context, contactID, reference string, since time.Time) (string, error) {
	const op = "GET /contacts/{id}/notes"
	switch {
	case reference == "":
		return "", ErrNoTrace
	case contactID == "":
		return "", wrong(op, "the contact has no id")
	}
	id, err := c.findNote(ctx, contactID, reference, since)
	if !Gone(err) {
		return id, err
	}
	contact, err := c.Contact(ctx, contactID)
	if err != nil {
		return "", err
	}
	return c.findNote(ctx, contact.ID, reference, since)
}

func (c *Client) findNote(ctx context.Context, contactID, reference string, since time.Time) (string, error) {
	const op = "GET /contacts/{id}/notes"
	id := ""
	err := c.pages(op, func(cursor string) (string, error) {
		var out struct {
			Notes []struct {
				ID      text  `json:"id"`
				Created count `json:"created_at"`
				Body    text  `json:"body"`
			} `json:"data"`
			Pages nextPage `json:"pages"`
		}
		query := url.Values{"per_page": {strconv.Itoa(searchPage)}}
		if cursor != "" {
			query.Set("starting_after", cursor)
		}
		err := c.do(ctx, call{op: op, path: []string{"contacts", contactID, "notes"}, query: query.Encode(), out: &out})
		for _, n := range out.Notes {
			if id == "" && int64(n.Created) >= since.Add(-skew).Unix() && carries(string(n.Body), reference) {
				id = string(n.ID)
			}
		}
		return out.Pages.after(id == ""), err
	})
	return id, err
}

// pages reads page after page until there is no next one. Pages that do not end
// are an error: nothing is "not found" before all of it was read.
func (c *Client) pages(op string, read func(cursor string) (next string, err error)) error {
	cursor := ""
	for range maxSearchPages {
		next, err := read(cursor)
		if err != nil || next == "" {
			return err
		}
		cursor = next
	}
	return &Error{Op: op, Message: "the pages of the answer do not end"}
}

// A nextPage is how a page names the one after it. It is absent from the last.
type nextPage struct {
	Next *struct {
		StartingAfter text `json:"starting_after"`
	} `json:"next"`
}

// after is the cursor of the next page, when one is wanted and there is one.
func (p nextPage) after(wanted bool) string {
	if !wanted || p.Next == nil {
		return ""
	}
	return string(p.Next.StartingAfter)
}

// A group joins filters, or groups of filters, but not both.
type group struct {
	Operator string `json:"operator"` // AND or OR
	Value    []any  `json:"value"`
}

// lookup is a search in Intercom's order.
func lookup(query group, cursor string) any {
	return struct {
		Query      group        `json:"query"`
		Pagination searchPaging `json:"pagination"`
	}{query, searchPaging{searchPage, cursor}}
}
