package campaigns

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

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
// nothing. It is the same each time, whoever asks and when.
func heldOut(campaign, person string, percent int) bool {
	return share("holdout", campaign, person, 100) < percent
}

// variant is the wording a person gets: the same in every message of a campaign
// that has the same variants.
func (s Step) variant(campaign, person string) Variant {
	total := 0
	for _, v := range s.Variants {
		total += v.Weight
	}
	at := share("variant", campaign, person, total)
	for _, v := range s.Variants {
		if at -= v.Weight; at < 0 {
			return v
		}
	}
	return s.Variants[0]
}

// share puts a person on one of so many equal places.
func share(what, campaign, person string, places int) int {
	sum := sha256.Sum256([]byte(what + "\x00" + campaign + "\x00" + person))
	return int(binary.BigEndian.Uint64(sum[:8]) % uint64(places))
}
