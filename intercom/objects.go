package intercom

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Names of the rows in dunlin.intercom_objects.
const (
	ticketTypeRow = "ticket_type"
	referenceRow  = "reference_attribute"
	tagRow        = "tag:"          // followed by the tag's name in lower case
	stateRow      = "ticket_state:" // followed by its category
	attributeRow  = "attribute:"    // followed by the attribute's name; the label is its type
)

// Objects is what [Setup] made or found at Intercom. The zero value means that
// it has not been run: tasks then stay in our own tables.
type Objects struct {
	TicketType         string // id of the back-office type of follow-up tickets
	Reference          string // id of its attribute that holds our reference
	ReferenceAttribute string // that attribute's name, by which tickets set it
}

// Ready reports whether follow-up tickets can be created.
func (o Objects) Ready() bool { return o.TicketType != "" && o.ReferenceAttribute != "" }

// ReadObjects returns what Setup last stored, without asking Intercom.
func ReadObjects(ctx context.Context, q Querier) (Objects, error) {
	rows, err := q.Query(ctx, `select name, id, label from dunlin.intercom_objects where name in ($1, $2)`, ticketTypeRow, referenceRow)
	if err != nil {
		return Objects{}, fmt.Errorf("read what was set up at Intercom: %w", err)
	}
	var (
		o               Objects
		name, id, label string
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &id, &label}, func() error {
		if name == ticketTypeRow {
			o.TicketType = id
		} else {
			o.Reference, o.ReferenceAttribute = id, label
		}
		return nil
	})
	if err != nil {
		return Objects{}, fmt.Errorf("read what was set up at Intercom: %w", err)
	}
	return o, nil
}

func storeObject(ctx context.Context, q Querier, name, id, label string, now time.Time) error {
	_, err := q.Exec(ctx, `
		insert into dunlin.intercom_objects (name, id, label, checked_at) values ($1, $2, $3, $4)
		on conflict (name) do update set id = excluded.id, label = excluded.label, checked_at = excluded.checked_at`,
		name, id, label, now)
	if err != nil {
		return fmt.Errorf("store the Intercom id of %q: %w", name, err)
	}
	return nil
}

// TagNamed returns the id of the tag of that name, in any case, creating the tag
// if the workspace has none, and remembers it in the database. It may talk to
// Intercom, so q must not be a transaction.
func TagNamed(ctx context.Context, client *Client, q Querier, name string, now time.Time) (string, error) {
	key := tagRow + strings.ToLower(strings.TrimSpace(name))
	rows, err := q.Query(ctx, `select id from dunlin.intercom_objects where name = $1`, key)
	if err != nil {
		return "", fmt.Errorf("read the Intercom id of %q: %w", key, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("read the Intercom id of %q: %w", key, err)
	}
	if len(ids) == 1 {
		return ids[0], nil
	}
	id, err := client.CreateTag(ctx, strings.TrimSpace(name))
	if err != nil {
		return "", err
	}
	return id, storeObject(ctx, q, key, id, strings.TrimSpace(name), now)
}

// ForgetTag drops what TagNamed remembers. Call it when attaching the tag says
// [Gone]: either the contact or the tag was deleted, and Intercom's answer does
// not tell which.
func ForgetTag(ctx context.Context, q Querier, name string) error {
	key := tagRow + strings.ToLower(strings.TrimSpace(name))
	if _, err := q.Exec(ctx, `delete from dunlin.intercom_objects where name = $1`, key); err != nil {
		return fmt.Errorf("forget the Intercom id of %q: %w", key, err)
	}
	return nil
}

// AttributesNamed returns the contact attributes of these names, whose case
// counts, by name. It creates those the workspace has not, as text, and remembers
// all of them in the database. It may talk to Intercom, so q must not be a
// transaction.
func AttributesNamed(ctx context.Context, client *Client, q Querier, names []string, now time.Time) (map[string]Attribute, error) {
	known, err := readAttributes(ctx, q, names)
	if err != nil {
		return nil, err
	}
	var listed []Attribute
	for _, name := range names {
		if _, ok := known[name]; ok {
			continue
		}
		if listed == nil {
			if listed, err = client.attributes(ctx); err != nil {
				return nil, err
			}
		}
		a, err := client.findOrCreateAttribute(ctx, name, "string", listed)
		switch {
		case err != nil:
			return nil, err
		case !a.Writable:
			return nil, wrong("PUT /contacts/{id}", "the attribute "+clip(name, 64)+" cannot be written by apps; choose another name")
		}
		if err := storeObject(ctx, q, attributeRow+name, a.ID, a.Type, now); err != nil {
			return nil, err
		}
		known[name] = a
	}
	return known, nil
}

func readAttributes(ctx context.Context, q Querier, names []string) (map[string]Attribute, error) {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = attributeRow + name
	}
	rows, err := q.Query(ctx, `select name, id, label from dunlin.intercom_objects where name = any($1)`, keys)
	if err != nil {
		return nil, fmt.Errorf("read attributes of Intercom: %w", err)
	}
	known := map[string]Attribute{}
	var key, id, kind string
	_, err = pgx.ForEachRow(rows, []any{&key, &id, &kind}, func() error {
		name := strings.TrimPrefix(key, attributeRow)
		known[name] = Attribute{ID: id, Name: name, Type: kind, Writable: true}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read attributes of Intercom: %w", err)
	}
	return known, nil
}

// ForgetAttributes drops what AttributesNamed remembers. Call it when writing is
// refused: an attribute may have been archived, or made anew with another type.
func ForgetAttributes(ctx context.Context, q Querier, names []string) error {
	for _, name := range names {
		if _, err := q.Exec(ctx, `delete from dunlin.intercom_objects where name = $1`, attributeRow+name); err != nil {
			return fmt.Errorf("forget an attribute of Intercom: %w", err)
		}
	}
	return nil
}
