package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/dunlin/dunlin/stripesync"
)

const (
	benchKey    = "sk_live_bench"
	benchSecret = "whsec_bench"
	connections = 16
)

// onStripe measures the way from Stripe into the attributes.
func (f *figures) onStripe() {
	w := f.newWorld("stripe", f.sizes.Synced)
	defer w.drop()
	source := f.newSource(f.sizes.Synced, time.Now())
	w.backfill(source)
	w.webhooks(source)
	w.drop()
	f.paced()
}

// backfill lets the built program read everything.
func (w *benchWorld) backfill(source *source) {
	program := filepath.Join(w.TempDir(), "dunlin")
	if out, err := exec.CommandContext(w.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		w.Fatalf("build the program: %v\n%s", err, out)
	}
	began := time.Now()
	peak := w.runWith(program, []string{"STRIPE_API_KEY=" + benchKey, "STRIPE_API_BASE=" + source.URL}, "sync")
	took := time.Since(began)

	var objects, people int64
	var mirrored time.Time
	w.row(&objects, `select sum(objects)::bigint from dunlin.sync_progress where class <> 'attributes'`)
	w.row(&people, `select count(*) from dunlin.customers`)
	w.row(&mirrored, `select mirrored_at from dunlin.accounts`)
	if want := int64(w.size) * 6; objects != want || people != int64(w.size) {
		w.Errorf("backfill\n got %d objects and %d customers\nwant %d and %d", objects, people, want, w.size)
	}
	what := fmt.Sprintf("backfill of %s customers with a subscription, two invoices and two charges each: ", thousands(w.size))
	rate := float64(objects) / mirrored.Sub(began).Seconds()
	w.figure(what+"objects a second into the mirror", thousands(int(rate)), "at least 10,000", rate >= 10_000)
	w.figure(what+"objects a second, until every customer is projected", thousands(int(float64(objects)/took.Seconds())), "none was set", true)
	w.figure(what+"peak memory of dunlin sync", fmt.Sprintf("%.0f MB", float64(peak)/1e6), "at most 150 MB", peak <= 150e6)
	w.note("## Backfill\n\n%s objects in %s requests; in the mirror after %.1f s, all customers projected after %.1f s. Source, client and Postgres share the machine.",
		thousands(objects), thousands(source.requests.Load()), mirrored.Sub(began).Seconds(), took.Seconds())
}

// paced reads a source that answers after 150 ms and no faster than Stripe.
func (f *figures) paced() {
	const people, perSecond = 100_000, 25
	w := f.newWorld("paced", people)
	defer w.drop()
	source := f.newSource(people, time.Now())
	source.delay, source.perSecond = 150*time.Millisecond, perSecond
	for _, path := range []string{"/v1/invoices", "/v1/charges"} { // so that no list is the last one for long
		source.lists[path].n = people
		source.lists[path].each = 1
		source.lists[path].step *= 2
	}
	s, err := stripesync.New(w.Context(), stripesync.Config{
		Pool: w.db.Pool, Account: "paced", Key: benchKey, BaseURL: source.URL, Limits: stripesync.StripesLimits(benchKey),
	})
	w.check(err)
	defer s.Close()
	began, lists := time.Now(), time.Duration(0)
	w.check(s.Backfill(w.Context(), func(p stripesync.Progress) {
		if p.Class != "attributes" {
			lists = time.Since(began)
		}
	}))
	used := float64(source.requests.Load()) / (lists.Seconds() * 4 * perSecond)
	f.figure("backfill with 150 ms a page and Stripe's limits: of the allowed rate", fmt.Sprintf("%.0f %%", used*100), "at least 90 %", used >= 0.9)
	f.figure("the same backfill: answers 429", thousands(source.refused.Load()), "none", source.refused.Load() == 0)
}

// A delivery is a signed webhook.
type delivery struct {
	body      []byte
	signature string
}

// deliveries are events of so many different customers, of four kinds.
func (w *benchWorld) deliveries(source *source, n, from int) []delivery {
	kinds := []struct{ path, event string }{
		{"/v1/customers", "customer.updated"}, {"/v1/subscriptions", "customer.subscription.updated"},
		{"/v1/invoices", "invoice.updated"}, {"/v1/charges", "charge.updated"},
	}
	now := time.Now()
	list := make([]delivery, n)
	for i := range list {
		kind := kinds[i%len(kinds)]
		l := source.lists[kind.path]
		object := l.write(nil, (from+i)*l.each%l.n)
		// Another value of what a rule can read.
		object = []byte(strings.Replace(string(object), `"metadata":{`, fmt.Sprintf(`"metadata":{"touched":"%d",`, from+i), 1))
		object = []byte(strings.Replace(string(object), `",}`, `"}`, 1))
		body := fmt.Appendf(nil, `{"id":"evt_%d","object":"event","api_version":"2023-10-16","created":%d,"type":%q,"livemode":true,"data":{"object":%s}}`,
			from+i, now.Add(time.Hour).Unix(), kind.event, object)
		signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: benchSecret, Timestamp: now})
		list[i] = delivery{body, signed.Header}
	}
	return list
}

// webhooks measures how fast deliveries are answered, and applied.
func (w *benchWorld) webhooks(source *source) {
	s, err := stripesync.New(w.Context(), stripesync.Config{
		Pool: w.db.Pool, Account: accountName, Key: benchKey, BaseURL: source.URL, Secrets: []string{benchSecret},
		PokeApply: func(ctx context.Context, tx pgx.Tx) error { return w.product.poker.Apply(ctx, tx, accountName) },
		PokeTick:  w.product.pokeTick,
	})
	w.check(err)
	defer s.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.check(err)
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	url := "http://" + listener.Addr().String()

	n := 7_000 * w.sizes.Seconds / 4
	w.post(url, w.deliveries(source, 2_000, 0), 0) // connections, plans, caches
	took, waits := w.post(url, w.deliveries(source, n, 10_000), 0)
	rate := float64(n) / took.Seconds()
	w.figure(fmt.Sprintf("webhooks answered with their event durable, %d connections: events a second", connections), thousands(int(rate)), "at least 7,000", rate >= 7_000)
	w.figure("the same: p99 of the answer", ms(quantile(waits, 0.99)), "none was set", true)
	_, waits = w.post(url, w.deliveries(source, 1_000*w.sizes.Seconds/3, 10_000+n), 1_000)
	w.figure("webhooks at 1,000 a second: p99 of the answer", ms(quantile(waits, 0.99)), "under 30 ms", quantile(waits, 0.99) < 30*time.Millisecond)

	var stored, settled int64
	w.row(&stored, `select count(*) from dunlin.stripe_events where state = 'stored'`)
	began := time.Now()
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				n, err := s.Apply(w.Context())
				w.check(err)
				if n == 0 {
					return
				}
			}
		})
	}
	workers.Wait()
	applied := float64(stored) / time.Since(began).Seconds()
	w.row(&settled, `select count(*) from dunlin.stripe_events where state in ('applied', 'refetched')`)
	if settled != stored {
		w.Errorf("applied\n got %d events\nwant %d", settled, stored)
	}
	w.figure("stored events applied through to attributes and elements: events a second", thousands(int(applied)), "at least 1,500", applied >= 1_500)
}

// post sends deliveries over so many connections, and returns how long all took
// and, sorted, each. A pace is how many a second.
func (w *benchWorld) post(url string, list []delivery, pace int) (took time.Duration, waits []time.Duration) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	next := make(chan int)
	waits = make([]time.Duration, len(list))
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() {
			for i := range next {
				began := time.Now()
				r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, url, strings.NewReader(string(list[i].body)))
				w.check(err)
				r.Header.Set("Stripe-Signature", list[i].signature)
				answer, err := client.Do(r)
				w.check(err)
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					w.Errorf("a delivery was answered %s", answer.Status)
				}
				waits[i] = time.Since(began)
			}
		})
	}
	began := time.Now()
	for i := range list {
		if pace > 0 {
			if early := time.Duration(i)*time.Second/time.Duration(pace) - time.Since(began); early > 0 {
				timer := time.NewTimer(early)
				<-timer.C
			}
		}
		next <- i
	}
	close(next)
	senders.Wait()
	took = time.Since(began)
	slices.Sort(waits)
	return took, waits
}
