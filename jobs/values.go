package jobs

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
)

var (
	// A number as we write it. What begins with a needless 0, such as the last
	// digits of a card, is a text.
	numberText = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$`)
	wholeText  = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})$`)

	// Money as texts read it, in a currency of hundredths. Others stay texts:
	// Intercom counts in cents and does not say what it means by that in yen
	// (honest-money).
	moneyText = regexp.MustCompile(`^([0-9]{1,15})\.([0-9]{2}) ([A-Z]{3})$`)
)

// metadata gives the values of an event the types that Intercom knows: numbers,
// money, and instants where the name ends in _date. What is missing for this
// customer is left out.
func metadata(values []campaigns.Pair) []intercom.Datum {
	var out []intercom.Datum
	for _, v := range values {
		if v.Value == "" {
			continue
		}
		d := intercom.Datum{Name: v.Name, Value: v.Value}
		if strings.HasSuffix(v.Name, "_date") {
			if at, ok := instant(v.Value); ok {
				d.Value = seconds(at)
			}
		} else if numberText.MatchString(v.Value) {
			d.Value = json.Number(v.Value)
		} else if m := moneyText.FindStringSubmatch(v.Value); m != nil {
			cents, _ := strconv.ParseInt(m[1]+m[2], 10, 64) // at most 17 digits
			d.Value = intercom.Money{Cents: cents, Currency: strings.ToLower(m[3])}
		}
		out = append(out, d)
	}
	return out
}

// maxAttribute is how many characters Intercom keeps of a text.
const maxAttribute = 255

// attributeValue is a text as an attribute of a type takes it; an empty one
// clears. Errors do not repeat the text, which may name somebody.
func attributeValue(kind, value string) (any, error) {
	if value == "" {
		return nil, nil
	}
	switch kind {
	case "integer":
		if !wholeText.MatchString(value) {
			return nil, errors.New("its type at Intercom is integer, and the text is no whole number; write one without units, or use another attribute")
		}
		return json.Number(value), nil
	case "float":
		if !numberText.MatchString(value) {
			return nil, errors.New("its type at Intercom is float, and the text is no number; write one without units, or use another attribute")
		}
		return json.Number(value), nil
	case "boolean":
		b, err := strconv.ParseBool(strings.ToLower(value))
		if err != nil {
			return nil, errors.New("its type at Intercom is boolean, and the text is neither true nor false")
		}
		return b, nil
	case "date", "datetime":
		at, ok := instant(value)
		if !ok {
			return nil, errors.New("its type at Intercom is date, and the text is none; write it as in 2026-03-31, without a format or with %Y-%m-%d")
		}
		return seconds(at), nil
	}
	if len([]rune(value)) > maxAttribute {
		return nil, errors.New("the text is longer than 255 characters, and Intercom keeps no more; shorten it with truncate")
	}
	return value, nil
}

// instant reads a date or an instant as texts write them: without a format, with
// the one of the date filter, or as people write them for machines. A date begins
// at midnight in UTC.
func instant(value string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01-02 15:04:05 -0700", "2 January 2006"} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

func seconds(at time.Time) json.Number { return json.Number(strconv.FormatInt(at.Unix(), 10)) }
