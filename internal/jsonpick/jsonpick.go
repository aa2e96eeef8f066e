// Package jsonpick copies a few members out of JSON objects of which the rest is
// nothing to us. encoding/json reads all of an object twice; what is left after
// Pick is a tenth of one of Stripe's.
package jsonpick

import "bytes"

// Members are what to keep of an object; of a member that maps to others, only
// those. A member that maps to nil is kept whole. Names are compared byte for byte.
type Members map[string]Members

// Pick copies the wanted members of a JSON object. It trusts that the text is
// valid, as Postgres' json is, and judges only what it copies by decoding it
// later; of a text that is no object, or ends early, it makes nothing.
func Pick(raw []byte, want Members) (object []byte, ok bool) {
	return Append(make([]byte, 0, 512), raw, want)
}

// Append is Pick behind what object holds already.
func Append(object, raw []byte, want Members) (_ []byte, ok bool) {
	i := space(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return object, false
	}
	object = append(object, '{')
	first := len(object)
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
		if inside, ok := want[string(raw[key+1:end-1])]; ok {
			if len(object) > first {
				object = append(object, ',')
			}
			object = append(append(object, raw[key:end]...), ':')
			object = appendMember(object, raw[from:i], inside)
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

// appendMember copies a value whole, unless it is an object of which only some
// members are wanted.
func appendMember(object, raw []byte, want Members) []byte {
	if want != nil && raw[0] == '{' {
		if picked, ok := Append(object, raw, want); ok {
			return picked
		}
	}
	return append(object, raw...)
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
