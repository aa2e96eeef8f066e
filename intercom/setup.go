package intercom

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// What follow-up tickets are called at Intercom. Colleagues may rename both
// afterwards; they are known by their ids.
const (
	TicketTypeName         = "Dunlin follow-up"
	ReferenceAttributeName = "Dunlin reference"
)

// Setup finds or creates the back-office ticket type of follow-up tickets and
// the attribute that holds our reference, and stores their ids. Running it again
// changes nothing. When two people run it at the same moment and both create a
// type, both end with the older one; the other stays empty and can be archived.
// It talks to Intercom, so q must not be a transaction.
func Setup(ctx context.Context, client *Client, q Querier, now time.Time) (Objects, error) {
	ctx = Urgently(ctx)
	stored, err := ReadObjects(ctx, q)
	if err != nil {
		return Objects{}, err
	}
	kind, err := setupType(ctx, client, stored)
	if err != nil {
		return Objects{}, err
	}
	attribute, err := setupAttribute(ctx, client, stored, kind)
	if err != nil {
		return Objects{}, err
	}
	if err := storeObject(ctx, q, ticketTypeRow, kind.ID, kind.Name, now); err != nil {
		return Objects{}, err
	}
	if err := storeObject(ctx, q, referenceRow, attribute.ID, attribute.Name, now); err != nil {
		return Objects{}, err
	}
	return Objects{TicketType: kind.ID, Reference: attribute.ID, ReferenceAttribute: attribute.Name}, nil
}

func setupType(ctx context.Context, client *Client, stored Objects) (TicketType, error) {
	types, err := client.TicketTypes(ctx)
	if err != nil {
		return TicketType{}, err
	}
	if t, err := followUpType(types, stored); err != nil || t.ID != "" {
		return t, err
	}
	// An answer that was lost is no failure: the list tells.
	created, createErr := client.CreateTicketType(ctx, TicketTypeName, "A customer to follow up with about a card or an invoice. Created by Dunlin.")
	if createErr != nil && !Unknown(createErr) {
		return TicketType{}, createErr
	}
	if types, err = client.TicketTypes(ctx); err != nil {
		return TicketType{}, err
	}
	switch t, err := followUpType(types, stored); {
	case err != nil || t.ID != "":
		return t, err
	case createErr != nil:
		return TicketType{}, createErr
	}
	return created, nil // not listed yet
}

// followUpType picks the stored type while it is there, else the oldest
// back-office type of our name. None has no id.
func followUpType(types []TicketType, stored Objects) (TicketType, error) {
	var found TicketType
	other := ""
	for _, t := range types {
		switch {
		case t.Archived:
		case t.ID == stored.TicketType && t.Category == BackOffice: // not another workspace's
			return t, nil
		case t.Name != TicketTypeName:
		case t.Category != BackOffice:
			other = t.Category
		case found.ID == "" || older(t.ID, found.ID):
			found = t
		}
	}
	if found.ID == "" && other != "" {
		return TicketType{}, fmt.Errorf("the ticket type %q exists with the category %s, whose tickets customers may see; rename or archive it, then run dunlin intercom setup again", TicketTypeName, other)
	}
	return found, nil
}

func setupAttribute(ctx context.Context, client *Client, stored Objects, kind TicketType) (TicketAttribute, error) {
	if a, err := referenceAttribute(kind, stored); err != nil || a.ID != "" {
		return a, err
	}
	created, createErr := client.CreateTicketTypeAttribute(ctx, kind.ID, ReferenceAttributeName, "Which step of which campaign this is. Set by Dunlin; do not change it.")
	if createErr != nil && !Unknown(createErr) {
		return TicketAttribute{}, createErr
	}
	types, err := client.TicketTypes(ctx)
	if err != nil {
		return TicketAttribute{}, err
	}
	for _, t := range types {
		if t.ID != kind.ID {
			continue
		}
		if a, err := referenceAttribute(t, stored); err != nil || a.ID != "" {
			return a, err
		}
	}
	return created, createErr
}

// referenceAttribute picks the stored attribute while it is there, else the
// oldest text attribute of our name. None has no id.
func referenceAttribute(kind TicketType, stored Objects) (TicketAttribute, error) {
	var found TicketAttribute
	var errs []error
	for _, a := range kind.Attributes {
		switch {
		case a.Archived:
		case a.ID == stored.Reference:
			return a, nil
		case a.Name != ReferenceAttributeName:
		case a.DataType != "string":
			errs = append(errs, fmt.Errorf("the attribute %q of the ticket type %q is of type %s and cannot hold a reference; archive it, then run dunlin intercom setup again", a.Name, kind.Name, a.DataType))
		case found.ID == "" || older(a.ID, found.ID):
			found = a
		}
	}
	if found.ID == "" {
		return TicketAttribute{}, errors.Join(errs...)
	}
	return found, nil
}

// older compares ids, which Intercom counts up.
func older(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX != nil || errY != nil {
		return a < b
	}
	return x < y
}
