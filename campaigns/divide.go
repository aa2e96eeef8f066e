package campaigns

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/dunlin/dunlin/customers"
)

// person names whom a customer is: two customers linked to one contact are one
// person.
func person(c Contact, ref customers.Ref) string {
	if c.ID != "" {
		return "contact " + c.ID
	}
	return fmt.Sprintf("customer %d/%d", ref.Account, ref.Customer)
}

// heldOut reports whether a person is in the part to whom a campaign does
// nothing. It is the same each time, whoever asks and when; a larger holdout
// holds everybody of a smaller one.
func heldOut(campaign, person string, percent int) bool {
	return draw("holdout", campaign, person)%100 < uint64(percent)
}

// variant is the wording a person gets: the same in every message of a campaign
// that has the same variants. A variant that is added, or grows, takes persons
// from the others and moves nobody between those; their order means nothing
// (weighted rendezvous hashing).
func (s Step) variant(campaign, person string) Variant {
	best, highest := s.Variants[0], math.Inf(-1)
	for _, v := range s.Variants {
		// In (0, 1), and with its logarithm divided by a weight the highest with a
		// probability in proportion to that weight.
		at := (float64(draw("variant", campaign, person, v.Name)>>11) + 0.5) / (1 << 53)
		if score := math.Log(at) / float64(v.Weight); score > highest {
			best, highest = v, score
		}
	}
	return best
}

// draw is a number that is as good as random, and always the same for the same
// words.
func draw(words ...string) uint64 {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return binary.BigEndian.Uint64(sum[:8])
}
