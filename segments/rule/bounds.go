package rule

import "time"

// A Bound is where a point in time of a rule stands at one instant: a day, or an
// instant. The evaluator and the SQL compiler both take it from BoundOf and
// WindowOf, so that they cannot disagree about the calendar.
//
// As Env.Now goes on a Bound never decreases.
type Bound struct {
	Date    Date      // zero when the bound is an instant
	Instant time.Time // UTC, in whole microseconds
}

// IsDate says whether the bound is a day.
func (b Bound) IsDate() bool { return !b.Date.IsZero() }

// BoundOf returns the bound that v stands for when v is a date, a timestamp,
// now() or today(), moved by its steps; ok is false for every other value.
//
// today() is the date in the workspace's zone and moves on the calendar. now()
// moves as Duration.AddTo says.
func BoundOf(v Value, env Env) (b Bound, ok bool) {
	switch v := v.(type) {
	case *TimestampLit:
		return Bound{Instant: v.Time.UTC()}, true
	case *Moment:
		if v.Base == Now {
			at := now(env)
			for _, d := range v.Steps {
				at = d.AddTo(at)
			}
			return Bound{Instant: at}, true
		}
		day := v.Date
		if v.Base == Today {
			day = DateOf(now(env), env.Zone)
		}
		for _, d := range v.Steps {
			day = d.AddToDate(day)
		}
		return Bound{Date: day}, true
	}
	return Bound{}, false
}

// WindowOf returns the ends of w for a subject of type DateType or InstantType.
//
// A date d is within next n days when today() <= d <= today() + n days, and
// within last n days when today() - n days <= d <= today(): both ends are in,
// and today is in both. An instant x is within next n days when
// now() < x <= now() + n days, and within last n days when
// now() - n days < x <= now(): the first end is out and the last is in, so that
// windows that follow each other share no instant.
func WindowOf(w *Within, subject Type, env Env) (from, to Bound) {
	begin, end := w.ends(subject)
	from, _ = BoundOf(begin, env)
	to, _ = BoundOf(end, env)
	return from, to
}

// ends are the window's, as moments.
func (w *Within) ends(subject Type) (from, to *Moment) {
	base := Now
	if subject == DateType {
		base = Today
	}
	still := &Moment{Base: base}
	if w.Last {
		return &Moment{Base: base, Steps: []Duration{w.For.Neg()}}, still
	}
	return still, &Moment{Base: base, Steps: []Duration{w.For}}
}

// now is the instant as Postgres can hold it.
func now(env Env) time.Time { return env.Now.UTC().Truncate(time.Microsecond) }
