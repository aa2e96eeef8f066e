package stripesync

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin/dunlin/internal/jsonpick"
)

// A class is a kind of mirrored object, named like its table.
type class string

const (
	customerClass      class = "customers"
	subscriptionClass  class = "subscriptions"
	invoiceClass       class = "invoices"
	chargeClass        class = "charges"
	paymentMethodClass class = "payment_methods"
	productClass       class = "products"
	priceClass         class = "prices"
	refundClass        class = "refunds"
	disputeClass       class = "disputes"
	itemClass          class = "subscription_items" // only of subscriptions with more than ten
)

// classes is the order in which every transaction writes them, so that two
// transactions never wait for each other's rows.
var classes = []class{
	productClass, priceClass, customerClass, subscriptionClass, invoiceClass, chargeClass, refundClass, disputeClass,
	itemClass, paymentMethodClass,
}

func (c class) table() string { return "dunlin.stripe_" + string(c) }

// owned reports whether rows of the class are kept by the customer they belong to.
func (c class) owned() bool {
	switch c {
	case subscriptionClass, invoiceClass, chargeClass, paymentMethodClass, refundClass, disputeClass, itemClass:
		return true
	}
	return false
}

// shared reports whether objects of the class describe what many customers buy.
func (c class) shared() bool { return c == productClass || c == priceClass }

// A ref names one object of the mirror. The customer is empty for classes that
// are not owned, and for a guest's charge.
type ref struct {
	class    class
	customer string
	id       string
}

// A head is the little of a Stripe object that the mirror itself needs to know.
type head struct {
	id       string
	object   string    // Stripe's name of its kind; empty when it does not say
	customer string    // whose it is; empty when nobody's
	charge   string    // of a dispute or a refund
	created  time.Time // zero when it does not say
	deleted  bool
}

// readHead reads a head out of an object. References may be ids or expanded.
// Only what is no JSON object is an error: a field of an odd type reads as empty.
func readHead(raw []byte) (head, error) {
	var fields struct {
		ID       json.RawMessage `json:"id"`
		Object   json.RawMessage `json:"object"`
		Customer json.RawMessage `json:"customer"`
		Charge   json.RawMessage `json:"charge"`
		Created  json.RawMessage `json:"created"`
		Deleted  json.RawMessage `json:"deleted"`
	}
	picked, ok := jsonpick.Pick(raw, headMembers)
	if !ok {
		return head{}, errors.New("it is no JSON object")
	}
	if err := json.Unmarshal(picked, &fields); err != nil {
		return head{}, err
	}
	customer := idOf(fields.Customer)
	if customer == "" && isObject(fields.Charge) {
		if of, err := readHead(fields.Charge); err == nil {
			customer = of.customer
		}
	}
	return head{
		id:       idOf(fields.ID),
		object:   idOf(fields.Object),
		customer: customer,
		charge:   idOf(fields.Charge),
		created:  secondOf(fields.Created),
		deleted:  string(fields.Deleted) == "true",
	}, nil
}

var headMembers = jsonpick.Members{
	"id": nil, "object": nil, "customer": {"id": nil}, "charge": {"id": nil, "customer": nil}, "created": nil, "deleted": nil,
}

// idOf reads a reference: an id, or an expanded object with one. Anything else,
// null among it, is empty, as is an id that Postgres could not hold.
func idOf(raw json.RawMessage) string {
	var id string
	if isObject(raw) {
		var object struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(raw, &object) != nil || isObject(object.ID) {
			return ""
		}
		return idOf(object.ID)
	}
	if json.Unmarshal(raw, &id) != nil || strings.ContainsRune(id, 0) || len(id) > maxID {
		return ""
	}
	return id
}

// secondOf reads a Unix second; zero when it is none.
func secondOf(raw json.RawMessage) time.Time {
	second, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || second <= 0 || second > maxCreated {
		return time.Time{}
	}
	return time.Unix(second, 0).UTC()
}

// maxID is far above the length of any id of Stripe's, and far below what an
// index of Postgres can hold.
const maxID = 255

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// A named is something that an object mentions and that the right picture of its
// customer needs: a default payment method or source, or a product.
type named struct {
	ref
	source bool            // named as a legacy source: read from the customer's sources
	raw    json.RawMessage // the object itself, when it was expanded; nil when there was only an id
}

// names lists what an object mentions, as ids or expanded. Byte ranges are the
// parent's, so an expanded object stays as Stripe sent it.
func names(class class, raw []byte, customer string) []named {
	var found []named
	method := func(value json.RawMessage, source bool) {
		if id := idOf(value); id != "" && customer != "" {
			n := named{ref: ref{paymentMethodClass, customer, id}, source: source}
			if isObject(value) {
				n.raw = value
			}
			found = append(found, n)
		}
	}
	switch class {
	case customerClass:
		var c struct {
			DefaultSource   json.RawMessage `json:"default_source"`
			InvoiceSettings json.RawMessage `json:"invoice_settings"`
			Sources         json.RawMessage `json:"sources"`
		}
		var settings struct {
			DefaultPaymentMethod json.RawMessage `json:"default_payment_method"`
		}
		if json.Unmarshal(raw, &c) != nil {
			return nil
		}
		_ = json.Unmarshal(c.InvoiceSettings, &settings) // null in old versions
		for _, source := range listed(c.Sources) {
			method(source, true)
		}
		method(c.DefaultSource, true)
		method(settings.DefaultPaymentMethod, false)
	case refundClass, disputeClass:
		var of struct {
			Charge json.RawMessage `json:"charge"`
		}
		if json.Unmarshal(raw, &of) == nil && isObject(of.Charge) && idOf(of.Charge) != "" {
			found = append(found, named{ref: ref{chargeClass, customer, idOf(of.Charge)}, raw: of.Charge})
		}
	case subscriptionClass:
		var s struct {
			DefaultSource        json.RawMessage `json:"default_source"`
			DefaultPaymentMethod json.RawMessage `json:"default_payment_method"`
			Items                json.RawMessage `json:"items"`
		}
		if json.Unmarshal(raw, &s) != nil {
			return nil
		}
		method(s.DefaultSource, true)
		method(s.DefaultPaymentMethod, false)
		for _, item := range listed(s.Items) {
			var i struct {
				Price struct {
					Product json.RawMessage `json:"product"`
				} `json:"price"`
			}
			if json.Unmarshal(item, &i) == nil && !isObject(i.Price.Product) {
				if id := idOf(i.Price.Product); id != "" {
					found = append(found, named{ref: ref{class: productClass, id: id}})
				}
			}
		}
	}
	return found
}

// listed returns the elements of a list inside an object, nil when it is none.
func listed(raw json.RawMessage) []json.RawMessage {
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	if !isObject(raw) || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list.Data
}
