package campaigns

import (
	"time"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// lookAhead is how many days a working day is looked for: a team that has none
// in so long is away for good, and time runs for it as for everybody.
const lookAhead = 400

// A workingTime is when a team is there: the hours of its rota on its weekdays,
// but for holidays.
type workingTime struct {
	workspace.Rota
	Holiday func(rule.Date) bool // nil: there are none
}

// hours are the working hours of a day, as instants; they are shorter or longer
// when the clocks change within them. ok is false on a day off, and on one that
// the zone leaves out.
func (w workingTime) hours(day rule.Date) (from, to time.Time, ok bool) {
	weekday := time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, time.UTC).Weekday()
	if !w.Weekdays[weekday] || w.Holiday != nil && w.Holiday(day) {
		return from, to, false
	}
	begins, ends := day.In(w.Zone), day.AddDays(1).In(w.Zone)
	at := func(minute int) time.Time {
		t := time.Date(day.Year, day.Month, day.Day, 0, minute, 0, 0, w.Zone)
		switch {
		case minute == 0 || t.Before(begins):
			return begins
		case minute == 24*60 || t.After(ends):
			return ends
		}
		return t
	}
	from, to = at(w.From), at(w.To)
	return from, to, from.Before(to)
}

// today is the day at an instant where the team is, and whether it works on it.
func (w workingTime) today(t time.Time) (rule.Date, bool) {
	day := rule.DateOf(t, w.Zone)
	_, _, works := w.hours(day)
	return day, works
}

// add is the instant at which so much working time has passed since t. A day is
// a working day, counted to the same time of day; a week is a calendar week and
// longer units alike; what they end on outside of working hours moves to the
// next hours. Hours and minutes are working hours and minutes. Of time off
// nothing counts: what is opened then counts from the next hours.
func (w workingTime) add(t time.Time, d rule.Duration) time.Time {
	begin, ok := w.next(t)
	if !ok {
		return d.AddTo(t)
	}
	switch d.Unit {
	case rule.Minute, rule.Hour:
		return w.addHours(begin, length(d))
	case rule.Day:
		return w.addDays(begin, d.N)
	}
	end, ok := w.next(d.AddTo(begin.In(w.Zone)))
	if !ok {
		return d.AddTo(t)
	}
	return end
}

// next is the first instant, not before t, within working hours.
func (w workingTime) next(t time.Time) (time.Time, bool) {
	day := rule.DateOf(t, w.Zone)
	for range lookAhead {
		if from, to, ok := w.hours(day); ok && t.Before(to) {
			if t.Before(from) {
				return from, true
			}
			return t, true
		}
		day = day.AddDays(1)
	}
	return t, false
}

// addHours counts working hours from an instant within them. An end that falls
// on the end of a day's hours stays there.
func (w workingTime) addHours(t time.Time, left time.Duration) time.Time {
	for {
		_, to, _ := w.hours(rule.DateOf(t, w.Zone))
		room := to.Sub(t)
		if left <= room {
			return t.Add(left)
		}
		left -= room
		next, ok := w.next(to)
		if !ok {
			return to.Add(left)
		}
		t = next
	}
}

// addDays counts working days from an instant within one, to the same time on
// the clock; within the hours of that day, should the clocks change.
func (w workingTime) addDays(t time.Time, n int) time.Time {
	local := t.In(w.Zone)
	for ; n > 0; n-- {
		day := rule.DateOf(local, w.Zone).AddDays(1)
		next, ok := w.next(day.In(w.Zone))
		if !ok {
			return local.AddDate(0, 0, n)
		}
		local = next.In(w.Zone)
	}
	if local.Equal(t) {
		return t
	}
	from, to, _ := w.hours(rule.DateOf(local, w.Zone))
	h, m, s := t.In(w.Zone).Clock()
	end := time.Date(local.Year(), local.Month(), local.Day(), h, m, s, t.Nanosecond(), w.Zone)
	switch {
	case end.Before(from):
		return from
	case end.After(to):
		return to
	}
	return end
}
