package campaigns

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFollow_agrees: whatever colleagues and we change, in whatever order, twice
// or never the notifications come, after one look at the ticket and telling it
// task and ticket agree, and there is nothing more to tell (nothing-lost).
func TestFollow_agrees(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var task held
		var ticket Ticket
		var posted []Ticket
		clock := noon
		changed := func() {
			clock = clock.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "seconds")) * time.Second)
			ticket.At = clock
			posted = append(posted, ticket)
		}
		look := func() {
			seen := ticket
			seen.Asked = true
			task, _ = task.follow(seen)
			tell := task.telling()
			if tell.Nothing() {
				return
			}
			if tell.State {
				ticket.Resolved = tell.Done
			}
			if tell.Owner != 0 {
				ticket.Owner = tell.Owner
			}
			if !tell.Snoozed.IsZero() {
				ticket.Snoozed = tell.Snoozed
			}
			changed()
			seen = ticket
			seen.Asked = true
			task, _ = task.known(tell).follow(seen)
		}
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			owner := rapid.Int64Range(1, 3).Draw(t, "owner")
			until := noon.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "days")) * day)
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0:
				ticket.Resolved = !ticket.Resolved
				changed()
			case 1:
				ticket.Owner = owner
				changed()
			case 2:
				ticket.Snoozed = until
				changed()
			case 3:
				task.Done = !task.Done
			case 4:
				task.Owner = owner
			case 5:
				task.Snoozed = until
			case 6:
				look()
			default:
				if len(posted) > 0 { // of any time, and perhaps not for the first time
					task, _ = task.follow(rapid.SampledFrom(posted).Draw(t, "news"))
				}
			}
		}
		look()
		if task.Done != ticket.Resolved || task.Owner != ticket.Owner || !task.Snoozed.Equal(ticket.Snoozed) {
			t.Fatalf("they differ\ntask   %+v\nticket %+v", task, ticket)
		}
		before := task
		for _, n := range posted { // late echoes
			task, _ = task.follow(n)
		}
		if look(); task.Done != before.Done || task.Owner != before.Owner || !task.telling().Nothing() {
			t.Fatalf("an echo came back\nbefore %+v\nafter  %+v", before, task)
		}
	})
}
