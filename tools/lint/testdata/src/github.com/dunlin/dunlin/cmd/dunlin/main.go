package main

import "time"

func main() {
	_ = time.Now()
	time.Sleep(1) // want `time.Sleep: wait`
}
