package customers

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
)

// unmarshal decodes a mirror row. Most of a Stripe object is nothing to us, and
// encoding/json would read all of it twice; what is left after [pick] is a
// tenth of an invoice.
func unmarshal[T any](raw []byte, fields map[string]bool, into *T) error {
	picked, ok := pick(raw, fields)
	if ok {
		return json.Unmarshal(picked, into)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return err
	}
	return errors.New("null is no object")
}

// The fields of each class at the top level.
var (
	customerFields     = fieldsOf(reflect.TypeFor[customer]())
	subscriptionFields = fieldsOf(reflect.TypeFor[subscription]())
	invoiceFields      = fieldsOf(reflect.TypeFor[invoice]())
	chargeFields       = fieldsOf(reflect.TypeFor[charge]())
	methodFields       = fieldsOf(reflect.TypeFor[method]())
)

func fieldsOf(t reflect.Type) map[string]bool {
	fields := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			fields[name] = true
		}
	}
	return fields
}

// pick copies the wanted members of a JSON object. It trusts that the text is
// valid, as Postgres' json is, and judges only what it copies by decoding it
// later; of a text that is no object, or ends early, it makes nothing.
func pick(raw []byte, want map[string]bool) (object []byte, ok bool) {
	i := space(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return nil, false
	}
	object = append(make([]byte, 0, 512), '{')
	for i++; ; i++ {
		i = space(raw, i)
		if i < len(raw) && raw[i] == '}' {
			break
		}
		key := i
		if i >= len(raw) || raw[i] != '"' {
			return nil, false
		}
		end := value(raw, i)
		colon := space(raw, end)
		if colon >= len(raw) || raw[colon] != ':' {
			return nil, false
		}
		from := space(raw, colon+1)
		i = value(raw, from)
		if i == from || i >= len(raw) {
			return nil, false
		}
		if want[string(raw[key+1:end-1])] {
			if len(object) > 1 {
				object = append(object, ',')
			}
			object = append(append(append(object, raw[key:end]...), ':'), raw[from:i]...)
		}
		i = space(raw, i)
		if i < len(raw) && raw[i] == '}' {
			break
		}
		if i >= len(raw) || raw[i] != ',' {
			return nil, false
		}
	}
	return append(object, '}'), true
}

func space(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// value returns the end of the JSON value that begins at i, or i when there is
// none, or the length of raw when it ends early.
func value(raw []byte, i int) int {
	if i >= len(raw) {
		return i
	}
	switch raw[i] {
	case '"':
		return quoted(raw, i)
	case '{', '[':
		for depth := 0; i < len(raw); {
			switch raw[i] {
			case '"':
				i = quoted(raw, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
		return i
	}
	for i < len(raw) && raw[i] > ' ' && raw[i] != ',' && raw[i] != '}' && raw[i] != ']' {
		i++
	}
	return i
}

// quoted returns the end of the JSON text that begins at i.
func quoted(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		at := bytes.IndexByte(raw[i:], '"')
		if at < 0 {
			return len(raw)
		}
		i += at
		escapes := 0
		for raw[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return len(raw)
}
