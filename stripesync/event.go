package stripesync

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin/dunlin/internal/jsonpick"
)

// An event is one row of dunlin.stripe_events: what Stripe told us, and which
// object it is about.
type event struct {
	ID         string
	Type       string
	APIVersion string
	Created    time.Time // whole seconds of Stripe's clock
	Customer   string
	Class      string
	ObjectID   string
	Raw        []byte
	Attempts   int

	Charge string `db:"-"` // of a refund or a dispute, when the event arrives: it tells the customer
}

// readEvent reads the body of a delivery whose signature was good. It refuses
// only what could not be stored: odd objects are stored and settled by Apply.
func readEvent(body []byte) (event, error) {
	var envelope struct {
		ID         json.RawMessage `json:"id"`
		Type       json.RawMessage `json:"type"`
		APIVersion json.RawMessage `json:"api_version"`
		Created    json.Number     `json:"created"`
		Data       json.RawMessage `json:"data"`
	}
	if !utf8.Valid(body) {
		return event{}, errors.New("the body is not UTF-8")
	}
	picked, ok := jsonpick.Pick(body, eventMembers)
	if !ok || !json.Valid(body) || json.Unmarshal(picked, &envelope) != nil {
		return event{}, errors.New("the body is not the JSON of a Stripe event")
	}
	e := event{ID: idOf(envelope.ID), Type: idOf(envelope.Type), APIVersion: idOf(envelope.APIVersion), Raw: body}
	if e.ID == "" || e.Type == "" {
		return event{}, errors.New("the body is not a Stripe event: it has no id or no type")
	}
	created, err := envelope.Created.Int64()
	if err != nil || created <= 0 || created > maxCreated {
		return event{}, fmt.Errorf("event %q has no usable created", e.ID)
	}
	e.Created = time.Unix(created, 0).UTC()

	p := place(e.Type, envelope.Data)
	e.Class, e.ObjectID, e.Customer, e.Charge = string(p.class), p.id, p.customer, p.charge
	return e, nil
}

// eventMembers are what is read of an event when it arrives.
var eventMembers = jsonpick.Members{
	"id": nil, "type": nil, "api_version": nil, "created": nil,
	"data": {
		"object":              {"id": nil, "customer": nil, "charge": nil},
		"previous_attributes": {"customer": nil},
	},
}

const maxCreated = 253402300799 // the last second of the year 9999

// A change is what an event can tell about its object.
type change int

const (
	whole   change = iota // the payload is the object
	removal               // the payload is the object as it last was
	hint                  // the payload is something else: the object has to be read
)

// A placement is the object that an event is about. Its class is empty when we
// do not mirror it, or when the payload does not say which one it is; then note
// has the reason.
type placement struct {
	ref
	change change
	charge string          // of a refund or a dispute
	source bool            // a legacy card or source, not a payment method
	object json.RawMessage // the payload
	note   string
}

// place finds the object of an event by the event's type. data is the event's
// data, with object and previous_attributes. (Types: facts/stripe.md 2.1.)
func place(eventType string, data json.RawMessage) placement {
	class, change := classOf(eventType)
	if class == "" {
		return placement{}
	}
	var d struct {
		Object   json.RawMessage `json:"object"`
		Previous json.RawMessage `json:"previous_attributes"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return placement{note: "the event's data is no JSON object"}
	}
	h, err := readHead(d.Object)
	if err != nil {
		return placement{note: "the event's object is unreadable: " + err.Error()}
	}

	p := placement{ref: ref{class, h.customer, h.id}, change: change, object: d.Object}
	switch {
	case strings.HasPrefix(eventType, "customer.discount."):
		p.id = h.customer // a discount tells of its customer
	case class == customerClass:
		p.customer = h.id
	case class == refundClass || class == disputeClass:
		p.customer, p.charge = "", h.charge // its charge's, which the payload does not say
	case class == paymentMethodClass:
		p.source = strings.HasPrefix(eventType, "customer.source.")
		if previous, err := readHead(d.Previous); err == nil && p.customer == "" {
			p.customer = previous.customer // a detached one has no customer any more
		}
	case class.shared():
		p.customer = ""
	}

	switch {
	case p.id == "":
		return placement{note: "the event's object has no id"}
	case p.customer == "" && (class == subscriptionClass || class == paymentMethodClass):
		return placement{note: "the event's object belongs to no customer"}
	}
	return p
}

// classOf says which class the events of a type are about, and what they tell.
// plan.* is left out, because price.* tells the same; invoice.upcoming, because
// its invoice does not exist yet and has no id.
func classOf(eventType string) (class, change) {
	switch eventType {
	case "customer.created", "customer.updated":
		return customerClass, whole
	case "customer.deleted":
		return customerClass, removal
	case "customer.source.deleted", "payment_method.detached":
		return paymentMethodClass, removal
	case "invoice.deleted":
		return invoiceClass, removal
	case "product.deleted":
		return productClass, removal
	case "price.deleted":
		return priceClass, removal
	case "invoice.upcoming":
		return "", whole
	}
	for _, family := range []struct {
		prefix string
		class  class
		change change
	}{
		{"customer.discount.", customerClass, hint},
		{"customer.source.", paymentMethodClass, whole},
		{"customer.subscription.", subscriptionClass, whole}, // .deleted too: it is canceled and can be read
		{"payment_method.", paymentMethodClass, whole},
		{"invoice.", invoiceClass, whole},
		{"charge.dispute.", disputeClass, hint}, // the charge is another, too: both are read
		{"charge.refund.", refundClass, hint},
		{"refund.", refundClass, hint},
		{"charge.", chargeClass, whole},
		{"product.", productClass, whole},
		{"price.", priceClass, hint}, // without its tiers and currencies
	} {
		if strings.HasPrefix(eventType, family.prefix) {
			return family.class, family.change
		}
	}
	return "", whole
}
