package segments

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/dunlin/dunlin/segments/rule"
)

// A schedule is when a segment is evaluated that is not with every tick: every so
// many hours, or at a time of every so many days.
type schedule struct {
	hours   int // or
	days    int
	minutes int // since local midnight
}

var scheduleForm = regexp.MustCompile(`^every ([1-9][0-9]{0,2}) (?:(hours?)|days? at ([01]?[0-9]|2[0-3]):([0-5][0-9]))$`)

// parseSchedule reads "every 6 hours" or "every 1 day at 06:00".
func parseSchedule(s string) (schedule, error) {
	x := scheduleForm.FindStringSubmatch(s)
	if x == nil {
		return schedule{}, fmt.Errorf("%q is no schedule", s)
	}
	n, _ := strconv.Atoi(x[1])
	if x[2] != "" {
		return schedule{hours: n}, nil
	}
	hour, _ := strconv.Atoi(x[3])
	minute, _ := strconv.Atoi(x[4])
	return schedule{days: n, minutes: hour*60 + minute}, nil
}

// due says whether one of the schedule's instants is after last and not after
// now. Hours count from midnight UTC of 1 January 1970 and days from that date,
// so that an evaluation that came late does not shift the next; a time of day is
// the workspace's, and on a day whose clock leaves it out the instant that
// follows.
func (s schedule) due(last, now time.Time, zone *time.Location) bool {
	if s.hours > 0 {
		step := time.Duration(s.hours) * time.Hour
		return now.Unix()/int64(step/time.Second) > last.Unix()/int64(step/time.Second)
	}
	day := rule.DateOf(now, zone)
	for range s.days + 1 {
		epoch := time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, time.UTC).Unix() / 86400
		at := time.Date(day.Year, day.Month, day.Day, s.minutes/60, s.minutes%60, 0, 0, zone)
		if epoch%int64(s.days) == 0 && !at.After(now) {
			return at.After(last)
		}
		day = day.AddDays(-1)
	}
	return false
}
