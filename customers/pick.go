package customers

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"github.com/dunlin/dunlin/internal/jsonpick"
)

// unmarshal decodes a mirror row. Most of a Stripe object is nothing to us, and
// encoding/json would read all of it twice; what is left after [jsonpick.Pick]
// is a tenth of an invoice.
func unmarshal[T any](r row, fields wanted, into *T) error {
	if r.picked {
		return json.Unmarshal(r.raw, into)
	}
	picked, ok := jsonpick.Pick(r.raw, fields)
	if ok {
		return json.Unmarshal(picked, into)
	}
	if err := json.Unmarshal(r.raw, into); err != nil {
		return err
	}
	return errors.New("null is no object")
}

// wanted are the members to keep of an object.
type wanted = jsonpick.Members

// What each class has that we read.
var (
	customerFields     = fieldsOf(reflect.TypeFor[customer]())
	subscriptionFields = fieldsOf(reflect.TypeFor[subscription]())
	invoiceFields      = fieldsOf(reflect.TypeFor[invoice]())
	chargeFields       = fieldsOf(reflect.TypeFor[charge]())
	methodFields       = fieldsOf(reflect.TypeFor[method]())
	refundFields       = fieldsOf(reflect.TypeFor[refund]())
	disputeFields      = fieldsOf(reflect.TypeFor[dispute]())
	itemFields         = fieldsOf(reflect.TypeFor[item]())
)

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// fieldsOf is nil for what is no struct, or decodes itself.
func fieldsOf(t reflect.Type) wanted {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	fields := wanted{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			fields[name] = fieldsOf(f.Type)
		}
	}
	return fields
}
