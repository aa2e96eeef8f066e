package intercom

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/internal/pgtest"
	"github.com/dunlin/dunlin/sandbox"
)

// All at once, everybody is linked as one by one, with far fewer requests.
func TestSandbox_LinksEverybodyInBatches(t *testing.T) {
	t.Parallel()
	s, c := workspace(t, 150)
	settings := Settings{OptOutTag: sandbox.IntercomOptOutTag, OptOutAttribute: sandbox.IntercomOptOut, TimezoneAttribute: sandbox.IntercomTimezone}
	var list []Customer
	for i, r := range s.Residents() {
		for _, contact := range r.Contacts[:min(1, len(r.Contacts))] {
			list = append(list, Customer{Account: 1, ID: int64(i), Email: strings.ToUpper(contact.Email)})
		}
	}
	batches, single := pgtest.New(t), pgtest.New(t)
	links := NewLinks(c)
	before := s.IntercomRequests()
	together, err := links.ResolveAll(t.Context(), batches, list, settings, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.IntercomRequests() - before; n > 8 { // two spellings of 150, and the tags
		t.Errorf("%d requests for %d customers", n, len(list))
	}
	for _, customer := range list {
		alone, err := links.Resolve(t.Context(), single, customer, settings, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(alone, together[customer.Ref()]); diff != "" {
			t.Errorf("customer %d (-alone +together)\n%s", customer.ID, diff)
		}
	}
}

// A contact that was just made is kept although no search shows it, and found
// again by another database that knows nothing of it.
func TestSandbox_CreatesContacts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	fake := sandbox.NewIntercom(clock, testToken)
	fake.SearchLag = 5 * time.Minute
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	links := NewLinks(newTestClient(t, server.URL, func(cfg *Config) { cfg.Now = clock }))
	ana := Customer{Account: 1, ID: 1, Email: "ana@example.com", StripeID: "cus_1", Name: "Ana Silva"}

	pool, other := pgtest.New(t), pgtest.New(t)
	made, err := links.Resolve(t.Context(), pool, ana, Settings{Create: true}, time.Minute)
	if err != nil || made.State != Linked {
		t.Fatalf("made %+v, %v", made, err)
	}
	fake.SetLanguage(made.ContactID, "", "fr-CA")
	now = now.Add(time.Minute)
	kept, err := links.Resolve(t.Context(), pool, ana, Settings{Create: true}, time.Minute)
	if err != nil || kept.ContactID != made.ContactID || kept.Language != "fr-CA" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	found, err := links.Resolve(t.Context(), other, ana, Settings{Create: true}, time.Minute)
	if err != nil || found.ContactID != made.ContactID {
		t.Errorf("found %+v, %v", found, err)
	}

	fake.Block(made.ContactID)
	now = now.Add(time.Minute)
	if gone, err := links.Resolve(t.Context(), pool, ana, Settings{Create: true}, time.Minute); err != nil || gone.State != None || gone.OptedOut != blocked {
		t.Errorf("blocked %+v, %v", gone, err)
	}
}

// Several processes that look for the customers of one address at the same time
// make one contact.
func TestSandbox_CreatesOneContactForOneAddress(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	fake := sandbox.NewIntercom(clock, testToken)
	fake.SearchLag = 5 * time.Minute
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	pool := pgtest.New(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	contacts := map[string]int{}
	for process := range 4 {
		links := NewLinks(newTestClient(t, server.URL, func(cfg *Config) { cfg.Now = clock }))
		wg.Go(func() {
			for id := range int64(3) {
				customer := Customer{Account: 1 + process%2, ID: id, Email: "ana@example.com", StripeID: fmt.Sprintf("cus_%d_%d", process%2, id)}
				link, err := links.Resolve(t.Context(), pool, customer, Settings{Create: true}, time.Minute)
				for NotSent(err) { // another one is at it
					link, err = links.Resolve(t.Context(), pool, customer, Settings{Create: true}, time.Minute)
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				contacts[link.ContactID]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(contacts) != 1 || contacts[""] > 0 {
		t.Errorf("contacts of one address: %v", contacts)
	}
}

func TestCheck_Import(t *testing.T) {
	t.Parallel()
	_, c := workspace(t, 1)
	pool := pgtest.New(t)
	line := func() string {
		var lines []string
		for _, l := range strings.Split(findings(t, Check(t.Context(), c, pool, Expected{Import: true})), "\n") {
			if strings.Contains(l, "import") {
				lines = append(lines, l)
			}
		}
		return strings.Join(lines, "\n")
	}
	if got, want := line(), "good contacts can carry what is imported"; got != want {
		t.Errorf("before\n got %s\nwant %s", got, want)
	}
	if _, err := c.createAttribute(t.Context(), "stripe_plan_price", "string"); err != nil {
		t.Fatal(err)
	}
	if got, want := line(), `bad  the attribute "stripe_plan_price" is of type string, cannot hold a float, and is not imported`; got != want {
		t.Errorf("with a wrong type\n got %s\nwant %s", got, want)
	}
}
