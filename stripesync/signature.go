package stripesync

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

// maxAge is how old a signature may be, by the Clock. Stripe makes a new one for
// each attempt. One from the future is accepted, as stripe-go accepts it: only
// the holder of the secret can have made it.
const maxAge = 5 * time.Minute

// verify checks a delivery's Stripe-Signature header ("t=…,v1=…[,v1=…]")
// against each secret, in time that does not depend on how much of a signature
// was right. The error is one line for whoever configured the endpoint, and set
// the secrets with what secretName says.
func verify(body []byte, header string, secrets []string, secretName string, now time.Time) error {
	if header == "" {
		return errors.New("the Stripe-Signature header is missing")
	}
	signed, signatures, err := readSignature(header)
	if err != nil {
		return err
	}
	good := false
	for _, secret := range secrets {
		want := webhook.ComputeSignature(signed, body, secret)
		for _, signature := range signatures {
			good = hmac.Equal(want, signature) || good
		}
	}
	if !good {
		return fmt.Errorf("the signature is not by the secret of this endpoint; compare %s with the endpoint's signing secret at Stripe", secretName)
	}
	if age := now.Sub(signed); age > maxAge {
		return fmt.Errorf("the signature is %s old and at most %s are accepted; a copy of an old delivery, or this machine's clock is ahead", age.Round(time.Second), maxAge)
	}
	return nil
}

func readSignature(header string) (signed time.Time, signatures [][]byte, err error) {
	unreadable := errors.New("the Stripe-Signature header is unreadable")
	for part := range strings.SplitSeq(header, ",") {
		key, value, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found {
			return time.Time{}, nil, unreadable
		}
		switch key {
		case "t":
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil || seconds <= 0 || seconds > maxCreated {
				return time.Time{}, nil, unreadable
			}
			signed = time.Unix(seconds, 0)
		case "v1":
			if signature, err := hex.DecodeString(value); err == nil {
				signatures = append(signatures, signature)
			}
		}
	}
	if signed.IsZero() || len(signatures) == 0 || len(signatures) > 16 {
		return time.Time{}, nil, unreadable
	}
	return signed, signatures, nil
}
