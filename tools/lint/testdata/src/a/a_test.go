package a

import (
	"testing"
	"time"
)

func TestSleep(t *testing.T) {
	_ = time.Now()
	time.Sleep(1) // want `time.Sleep: wait`
}
