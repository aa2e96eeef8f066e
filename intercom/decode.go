package intercom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A text is a JSON string, or a number or boolean where Intercom has been seen
// to send one in a string's place (ids above all). Null is the empty text.
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	switch {
	case bytes.Equal(raw, []byte("null")):
		*t = ""
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*t = text(strings.ReplaceAll(s, "\x00", "")) // Postgres has no such character
	case raw[0] == '{' || raw[0] == '[':
		return fmt.Errorf("a text or a number was expected")
	default:
		*t = text(raw)
	}
	return nil
}

// A flag is a JSON boolean, or null, or the text of one.
type flag bool

func (f *flag) UnmarshalJSON(raw []byte) error {
	var t text
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	if t == "" {
		*f = false
		return nil
	}
	b, err := strconv.ParseBool(string(t))
	if err != nil {
		return fmt.Errorf("true or false was expected")
	}
	*f = flag(b)
	return nil
}

// A count is a JSON integer, in digits or in quotes. Null is 0.
type count int64

func (n *count) UnmarshalJSON(raw []byte) error {
	var t text
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	if t == "" {
		*n = 0
		return nil
	}
	i, err := strconv.ParseInt(string(t), 10, 64)
	if err != nil {
		return fmt.Errorf("an integer was expected")
	}
	*n = count(i)
	return nil
}

// idOrNone is a text whose "0" means nobody, as in a ticket's assignees.
func idOrNone(t text) string {
	if t == "0" {
		return ""
	}
	return string(t)
}

// An instant is seconds since 1970, as answers have it, or RFC 3339, as
// notifications do. Null and 0 are the zero time.
type instant time.Time

func (i *instant) UnmarshalJSON(raw []byte) error {
	var t text
	if err := t.UnmarshalJSON(raw); err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(string(t), 10, 64)
	switch {
	case t == "" || err == nil && seconds == 0:
		*i = instant{}
		return nil
	case err == nil:
		*i = instant(time.Unix(seconds, 0))
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(t))
	if err != nil {
		return fmt.Errorf("an instant was expected")
	}
	*i = instant(at)
	return nil
}
