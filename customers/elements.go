package customers

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// An elementKey tells a customer's elements apart.
type elementKey struct {
	collection int // its place among collections
	id         string
}

// An elementWrite is an element that is new or not as it was.
type elementWrite struct {
	elementKey
	at    int    // among the sources' elements of its collection
	known bool   // there is a row of it
	print int64  // of line
	line  []byte // its fields, as COPY reads them
}

// An elementDelta is what has to be done so that one customer's rows are what
// the mirror says.
type elementDelta struct {
	customer int64
	sources  *sources
	write    []elementWrite
	gone     []elementKey
}

func (d *elementDelta) empty() bool { return len(d.write)+len(d.gone) == 0 }

// compare derives the elements and compares each with the fingerprint of its
// row. It takes what it finds out of stored; what is left there is gone.
func (s *sources) compare(stored map[elementKey]int64) elementDelta {
	d := elementDelta{sources: s}
	var room [512]byte
	line, values := room[:0], make([]any, widest)
	for i := range collections {
		c := &collections[i]
		for at := range c.count(s) {
			values := values[:len(c.Fields)]
			c.derive(s, at, values)
			line = appendFields(line[:0], c.Fields, values)
			w := elementWrite{elementKey: elementKey{i, values[0].(string)}, at: at, print: fingerprint(line)}
			was, known := stored[w.elementKey]
			delete(stored, w.elementKey)
			if known && was == w.print {
				continue
			}
			w.known, w.line = known, bytes.Clone(line)
			d.write = append(d.write, w)
		}
	}
	for key := range stored {
		if !key.remembered() {
			d.gone = append(d.gone, key)
		}
	}
	return d
}

// remember adds an event that does not follow from the mirror, unless it is there.
func (d *elementDelta) remember(e *event, stored map[elementKey]int64) {
	key := elementKey{eventsPlace(), e.id()}
	if _, known := stored[key]; known {
		return
	}
	c := &collections[key.collection]
	values := make([]any, len(c.Fields))
	for i := range eventCatalog {
		values[i] = eventCatalog[i].derive(d.sources, e)
	}
	line := appendFields(nil, c.Fields, values)
	d.write = append(d.write, elementWrite{elementKey: key, print: fingerprint(line), line: line})
}

// fingerprint stands for a row's fields, so that rows that have not changed,
// nearly all, need not be read.
func fingerprint(line []byte) int64 {
	sum := sha256.Sum256(line)
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// appendFields writes values as COPY's text format has them, money as two
// columns. They may be as derived, or exact.
func appendFields(b []byte, fields []rule.Attribute, values []any) []byte {
	for i, v := range values {
		if i > 0 {
			b = append(b, '\t')
		}
		money := fields[i].Type == rule.MoneyType
		switch v := v.(type) {
		case nil:
			b = append(b, `\N`...)
			if money {
				b = append(b, "\t\\N"...)
			}
		case string:
			b = appendText(b, v)
		case minorAmount:
			b = append(append(appendMinor(b, v), '\t'), v.currency...)
		case rule.Money:
			b = append(append(append(b, v.Amount.String()...), '\t'), v.Currency...)
		case rule.Decimal:
			b = append(b, v.String()...)
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case bool:
			b = strconv.AppendBool(b, v)
		case time.Time:
			b = v.UTC().AppendFormat(b, time.RFC3339Nano)
		case rule.Date:
			b = append(b, v.String()...)
		default: // metadata
			if m, ok := v.(map[string]string); ok && len(m) == 0 {
				b = append(b, "{}"...)
				continue
			}
			raw, _ := json.Marshal(v) // a map of texts has no fault
			b = appendText(b, string(raw))
		}
	}
	return b
}

// appendMinor writes a minorAmount in major units, as rule.Decimal would: without
// trailing zeros.
func appendMinor(b []byte, m minorAmount) []byte {
	places := rule.MinorUnits(m.currency)
	minor := m.minor
	for ; places > 0 && minor%10 == 0; places-- {
		minor /= 10
	}
	if places == 0 {
		return strconv.AppendInt(b, minor, 10)
	}
	var room [24]byte
	digits := strconv.AppendInt(room[:0], minor, 10)
	if digits[0] == '-' {
		b, digits = append(b, '-'), digits[1:]
	}
	if whole := len(digits) - places; whole > 0 {
		return append(append(append(b, digits[:whole]...), '.'), digits[whole:]...)
	}
	b = append(b, "0."...)
	for range places - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}

// appendText escapes what COPY would take for its own.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\\':
			b = append(b, `\\`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, s[i])
		}
	}
	return b
}
