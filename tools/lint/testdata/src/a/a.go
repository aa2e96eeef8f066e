package a

import "time"

type config struct{ now func() time.Time }

func decide() time.Time {
	time.Sleep(1)     // want `time.Sleep: wait`
	return time.Now() // want `time.Now: business time`
}

func set() config { return config{now: time.Now} }
