package stripesync

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A delivery is one request to the handler and what has to come of it.
type delivery struct {
	kind, body, signature string
	status                int
	event                 string // its id, when it is accepted
}

// safe-webhooks: ten thousand deliveries that are broken, forged, stale, replayed
// or too large, among good ones. Each is answered as Handler says, what is stored
// is what was accepted, byte for byte and once, every one of them is counted, and
// what was stored can be settled.
func TestHandler_malformed(t *testing.T) {
	t.Parallel()
	const n = 10_000
	w := newWorld(t)
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	deliveries := newForger(1).deliveries(n)
	kinds := postAll(t, server, deliveries)
	for kind := range makers {
		if kinds[kind] == 0 {
			t.Errorf("%s\n got no delivery\nwant some of every kind", kind)
		}
	}

	want := map[string]string{} // bodies by event
	var counts Counts
	for _, d := range deliveries {
		_, known := want[d.event]
		switch {
		case d.status != http.StatusOK:
			counts.Refused++
		case known:
			counts.Duplicates++
		default:
			counts.Stored++
			want[d.event] = d.body
		}
	}
	if got := w.Counts(); got != counts || counts.Stored+counts.Duplicates+counts.Refused != n {
		t.Errorf("counts of %d deliveries\n got %+v\nwant %+v", n, got, counts)
	}
	rows, err := w.pool.Query(t.Context(), `select id, raw::text from dunlin.stripe_events where account_id = $1`, w.account)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	stored := 0
	for ; rows.Next(); stored++ {
		var id, raw string
		if err := rows.Scan(&id, &raw); err != nil {
			t.Fatal(err)
		}
		if body, accepted := want[id]; !accepted || raw != body {
			t.Fatalf("stored event %q\n got %.300s\nwant %.300s", id, raw, body)
		}
	}
	if err := rows.Err(); err != nil || stored != len(want) {
		t.Errorf("stored\n got %d events, %v\nwant %d", stored, err, len(want))
	}

	w.apply()
	if waiting := w.one(`select count(*) from dunlin.stripe_events where account_id = $1 and state = 'stored'`, w.account); waiting != 0 {
		t.Errorf("not settled\n got %d events\nwant none: however odd an object is, it jams nothing", waiting)
	}
}

// postAll posts deliveries side by side over real HTTP, where a panic would be an
// answer that does not come, and returns how many there were of each kind.
func postAll(t *testing.T, server *httptest.Server, deliveries []delivery) map[string]int {
	t.Helper()
	next := make(chan delivery)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for d := range next {
				if err := d.post(t, server); err != nil {
					t.Errorf("%s: %v\n signature %.200q\n body %.300q", d.kind, err, d.signature, d.body)
				}
			}
		})
	}
	kinds := map[string]int{}
	for _, d := range deliveries {
		next <- d
		kinds[d.kind]++
	}
	close(next)
	all.Wait()
	return kinds
}

func (d delivery) post(t *testing.T, server *httptest.Server) error {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(d.body))
	if err != nil {
		return err
	}
	if d.signature != "" {
		request.Header.Set("Stripe-Signature", d.signature)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	line := bytes.TrimSuffix(said, []byte("\n"))
	if answer.StatusCode != d.status || (d.status == http.StatusOK) != (len(line) == 0) || bytes.ContainsRune(line, '\n') {
		return fmt.Errorf("answer\n got %d %q\nwant %d, with one line of reason unless it is 200", answer.StatusCode, said, d.status)
	}
	return nil
}

// A forger makes deliveries, the same ones for the same seed.
type forger struct {
	*rand.Rand
	made     int
	accepted []delivery
}

func newForger(seed uint64) *forger { return &forger{Rand: rand.New(rand.NewPCG(seed, seed))} }

// deliveries are n of them, replays wherever they fall.
func (f *forger) deliveries(n int) []delivery {
	kinds := make([]string, 0, len(makers))
	for kind := range makers {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	all := make([]delivery, 0, n)
	for len(all) < n {
		kind := pick(f, kinds)
		if (strings.Contains(kind, "large") || strings.Contains(kind, "deep")) && f.IntN(20) > 0 {
			continue // a megabyte each, and a hundred thousand brackets
		}
		f.made++
		d := makers[kind](f, f.id(), f.event(f.id()))
		d.kind = kind
		if d.status == http.StatusOK {
			f.accepted = append(f.accepted, d)
		}
		all = append(all, d)
	}
	return all
}

func (f *forger) id() string { return fmt.Sprintf("evt_%d", f.made) }

// event is a good event about an object of any class.
func (f *forger) event(id string) string {
	object := pick(f, []string{
		`{"id":"cus_1","object":"customer","created":1772000000,"email":"anna@example.com","balance":-500,"metadata":{"tier":"pro"},"invoice_settings":{"default_payment_method":null}}`,
		`{"id":"sub_1","object":"subscription","customer":"cus_1","status":"active","items":{"object":"list","data":[{"id":"si_1","quantity":2,"price":{"id":"price_1","unit_amount":4900}}]}}`,
		`{"id":"in_1","object":"invoice","customer":"cus_1","status":"open","amount_due":4900,"lines":{"data":[{"id":"il_1","amount":4900}]}}`,
		`{"id":"ch_1","object":"charge","customer":null,"amount":4900,"captured":true,"outcome":{"reason":null}}`,
		`{"id":"dp_1","object":"dispute","charge":"ch_1","amount":4900,"status":"lost"}`,
	})
	types := []string{"customer.updated", "customer.deleted", "customer.subscription.updated", "invoice.created", "invoice.paid", "charge.failed", "charge.dispute.created", "price.updated", "made.up"}
	return eventJSON(pick(f, []string{ourVersion, "2020-08-27", ""}), id, pick(f, types), noon, object, `{"balance":0,"metadata":{"tier":null}}`)
}

func pick[T any](f *forger, from []T) T { return from[f.IntN(len(from))] }

// secret is one of the two that the endpoint has.
func (f *forger) secret() string { return pick(f, []string{testSecret, "whsec_two"}) }

// good is a delivery that has to be stored.
func (f *forger) good(id, body string) delivery {
	return delivery{body: body, signature: sign(body, f.secret(), noon.Add(-time.Duration(f.IntN(300))*time.Second)), status: http.StatusOK, event: id}
}

// bad is one whose signature is right and whose body is no event.
func (f *forger) bad(body string) delivery {
	return delivery{body: body, signature: sign(body, f.secret(), noon), status: http.StatusBadRequest}
}

// forged is a good event with a signature that is not.
func (f *forger) forged(body string, signatures ...string) delivery {
	return delivery{body: body, signature: pick(f, signatures), status: http.StatusBadRequest}
}

// makers make a delivery of each kind out of a good event and its id.
var makers = map[string]func(f *forger, id, event string) delivery{
	"good": func(f *forger, id, event string) delivery { return f.good(id, event) },
	"replayed": func(f *forger, id, event string) delivery {
		if len(f.accepted) == 0 {
			return f.good(id, event)
		}
		return pick(f, f.accepted)
	},
	"replayed, signed again": func(f *forger, id, event string) delivery {
		if len(f.accepted) == 0 {
			return f.good(id, event)
		}
		before := pick(f, f.accepted)
		return f.good(before.event, before.body)
	},
	"from the future": func(f *forger, id, event string) delivery {
		d := f.good(id, event)
		d.signature = sign(event, f.secret(), noon.Add(time.Duration(1+f.IntN(10_000))*time.Hour))
		return d
	},
	"signed twice": func(f *forger, id, event string) delivery {
		d := f.good(id, event)
		at := strings.Index(d.signature, ",")
		d.signature = d.signature[:at] + ",v1=" + strings.Repeat("00", f.IntN(40)) + ",v0=ab,scheme=new" + d.signature[at:]
		return d
	},

	"stale": func(f *forger, _, event string) delivery {
		return f.forged(event, sign(event, f.secret(), noon.Add(-time.Duration(301+f.IntN(1e7))*time.Second)))
	},
	"stale replay": func(f *forger, _, event string) delivery {
		if len(f.accepted) == 0 {
			return f.forged(event, "")
		}
		body := pick(f, f.accepted).body
		return f.forged(body, sign(body, f.secret(), noon.Add(-time.Duration(301+f.IntN(1e4))*time.Second)))
	},
	"not signed": func(f *forger, _, event string) delivery { return f.forged(event, "") },
	"another's secret": func(f *forger, _, event string) delivery {
		return f.forged(event, sign(event, "whsec_"+f.letters(f.IntN(40)), noon), sign(event, testSecret[:len(testSecret)-1], noon), sign(event, testSecret+",whsec_two", noon))
	},
	"another's signature": func(f *forger, _, event string) delivery {
		return f.forged(event, sign(f.event("evt_other"), f.secret(), noon), sign(event+" ", f.secret(), noon), sign("", f.secret(), noon))
	},
	"changed since it was signed": func(f *forger, _, event string) delivery {
		at := f.IntN(len(event))
		return f.forged(event[:at]+string(event[at]^1)+event[at+1:], sign(event, f.secret(), noon))
	},
	"a signature that is none": func(f *forger, _, event string) delivery {
		good := sign(event, f.secret(), noon)
		at := strings.Index(good, ",")
		return f.forged(event, good[:at], good[at+1:], good[:len(good)-2], good+"00", good[:at]+",v1=", good[:at]+",v1=zz", strings.Replace(good, "v1=", "v0=", 1),
			strings.Replace(good, "v1=", "V1=", 1), "t=,v1="+f.letters(64), "t=-1"+good[at:], "t=0"+good[at:], "t=1e9"+good[at:], "t=99999999999999999999"+good[at:], "t=253402300800"+good[at:],
			strings.Replace(good, "=", ":", 1), good+","+f.letters(5), ",", "=", ",,,", strings.Repeat("v1=00,", 1000)+good, good[:at]+strings.Repeat(",v1=00", 16)+good[at:], f.letters(f.IntN(3000)+1))
	},

	"cut short": func(f *forger, _, event string) delivery { return f.bad(event[:f.IntN(len(event))]) },
	"followed by something": func(f *forger, _, event string) delivery {
		return f.bad(event + pick(f, []string{"x", event, "{}", ",", "}", "]", "\x00", "null"}))
	},
	"preceded by something": func(f *forger, _, event string) delivery {
		return f.bad(pick(f, []string{"\ufeff", "\x00", "data: ", ")]}',\n", "[", "id"}) + event)
	},
	"something else": func(f *forger, id, event string) delivery {
		return f.bad(pick(f, []string{"", " ", "\n", "null", "true", "7", "-", "1e999", `"` + id + `"`, "{}", "[]", "[" + event + "]", `{"event":` + event + "}", "<event/>", "id=" + id,
			"{" + strings.Repeat(" ", f.IntN(1000)) + "}", f.letters(f.IntN(1000)), string(f.noise(f.IntN(1000)))}))
	},
	"quotes that are none": func(f *forger, _, event string) delivery {
		return f.bad(strings.ReplaceAll(event, `"`, pick(f, []string{`'`, `\"`, "", "“"})))
	},
	"not UTF-8": func(f *forger, _, event string) delivery {
		at := f.IntN(len(event))
		return f.bad(event[:at] + pick(f, []string{"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) + event[at:])
	},
	"a NUL": func(f *forger, _, event string) delivery {
		at := f.IntN(len(event))
		return f.bad(event[:at] + "\x00" + event[at:])
	},
	"nested too deep": func(f *forger, id, event string) delivery {
		depth := 10_001 + f.IntN(20_000)
		return f.bad(strings.Replace(event, `"data": {`, `"data": {"deep": `+f.nested(depth)+`, `, 1))
	},
	"an envelope of another type": func(f *forger, _, event string) delivery {
		switch pick(f, []string{"id", "type", "created"}) {
		case "id":
			return f.bad(written(replaced(event, pick(f, append([]any{json.Number("7")}, odd...)), "id")))
		case "type":
			return f.bad(written(replaced(event, pick(f, append([]any{json.Number("7")}, odd...)), "type")))
		}
		number := json.Number(pick(f, []string{"0", "-1", "1.5", "1e9", "1e999", "253402300800", "99999999999999999999"}))
		return f.bad(written(replaced(event, pick(f, append([]any{number, "noon"}, odd...)), "created")))
	},
	"without a member": func(f *forger, _, event string) delivery {
		tree := parsed(event)
		delete(tree, pick(f, []string{"id", "type", "created"}))
		return f.bad(written(tree))
	},
	"a member twice, then wrong": func(f *forger, _, event string) delivery {
		return f.bad(strings.TrimSuffix(event, "}") + pick(f, []string{`, "id": null}`, `, "type": 7}`, `, "created": -1}`, `, "id": ""}`, `, "type": []}`, `, "created": {}}`}))
	},
	"too large": func(f *forger, id, event string) delivery {
		d := f.good(id, event+strings.Repeat(" ", maxBody+1+f.IntN(2)*f.IntN(1000)-len(event)))
		return delivery{body: d.body, signature: d.signature, status: http.StatusRequestEntityTooLarge}
	},

	// What only looks odd is an event: the object is settled when it is applied.
	"as large as it may be": func(f *forger, id, event string) delivery {
		return f.good(id, event+strings.Repeat(pick(f, []string{" ", "\n"}), maxBody-len(event)))
	},
	"a member twice, then right": func(f *forger, id, event string) delivery {
		return f.good(id, strings.Replace(event, "{", `{"id": "evt_before", "type": 7, "data": [], `, 1))
	},
	"nested": func(f *forger, id, event string) delivery {
		return f.good(id, strings.Replace(event, `"data": {`, `"data": {"deep": `+f.nested(1+f.IntN(500))+`, `, 1))
	},
	"inside of another type": func(f *forger, id, event string) delivery {
		tree := parsed(event)
		path := pick(f, slices.DeleteFunc(paths(tree), func(path []string) bool {
			return len(path) == 1 && (path[0] == "id" || path[0] == "type" || path[0] == "created")
		}))
		return f.good(id, written(replaced(event, pick(f, append([]any{json.Number("1e999"), json.Number("-9223372036854775809")}, odd...)), path...)))
	},
	"escapes that no text holds": func(f *forger, id, event string) delivery {
		return f.good(id, strings.ReplaceAll(event, `_1"`, pick(f, []string{`\u0000"`, `\ud800"`, `\udc00\ud800"`, `\uffff"`})))
	},
}

// odd are values that no event has for its id, its type or its time.
var odd = []any{nil, true, false, []any{}, []any{"evt_1"}, map[string]any{}, map[string]any{"id": nil}, map[string]any{"id": map[string]any{"id": "x"}}, "", "a\x00b", strings.Repeat("x", maxID+1)}

func (f *forger) letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + f.IntN(26))
	}
	return string(b)
}

func (f *forger) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(f.Uint32())
	}
	return b
}

func (f *forger) nested(depth int) string {
	if f.IntN(2) == 0 {
		return strings.Repeat("[", depth) + strings.Repeat("]", depth)
	}
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

func parsed(event string) map[string]any {
	dec := json.NewDecoder(strings.NewReader(event))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil {
		panic(err)
	}
	return tree
}

func written(tree any) string {
	b, err := json.Marshal(tree)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// replaced is an event with another value at a path.
func replaced(event string, value any, path ...string) map[string]any {
	tree := parsed(event)
	at := tree
	for _, name := range path[:len(path)-1] {
		at = at[name].(map[string]any)
	}
	at[path[len(path)-1]] = value
	return tree
}

// paths are those of all members of objects, sorted.
func paths(tree map[string]any) (all [][]string) {
	for name, value := range tree {
		all = append(all, []string{name})
		if inside, ok := value.(map[string]any); ok {
			for _, path := range paths(inside) {
				all = append(all, append([]string{name}, path...))
			}
		}
	}
	slices.SortFunc(all, slices.Compare)
	return all
}
