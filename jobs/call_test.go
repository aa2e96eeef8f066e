package jobs

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/sandbox"
)

// calls is a world of one customer who owes us, and one whose claims are made by
// hand.
func calls(t *testing.T) (*world, *deliverWorker) {
	t.Helper()
	w := newWorld(t, aTag, nil)
	if _, err := intercom.Setup(t.Context(), w.Intercom, w.Pool, noon); err != nil {
		t.Fatal(err)
	}
	w.owing(1)
	return w, w.worker()
}

// claimed is a claim of the customer's, as a step would make it.
func (w *world) claimed(action campaigns.Action, change ...func(*campaigns.Claim)) campaigns.Claim {
	w.t.Helper()
	c := campaigns.Claim{
		Key:    campaigns.Key{Account: w.account, Campaign: "dunning", Episode: "1", Step: "step"},
		Action: action, Attempt: 1, At: noon, ContactID: w.contact(0), Role: "user", Reference: "k7f3qz", Sender: 991267716,
	}
	w.scan(&c.Key.Customer, `select customer_id from dunlin.customers`)
	switch action {
	case campaigns.Message:
		c.Channel, c.Body = campaigns.InApp, "<p>Hi Ann</p>"
	case campaigns.Task:
		c.Title, c.Body, c.Team, c.Reference = "Call Ann", "She owes us", sandbox.IntercomTeamBilling, "dunlin-1"
	case campaigns.Note:
		c.Body = "<p>Owes us</p>"
	case campaigns.Tag, campaigns.Untag:
		c.Tag = "owing"
	case campaigns.Event:
		c.Event, c.Values = "payment-failed", []campaigns.Pair{{Name: "open", Value: "49.00 USD"}, {Name: "coupon", Value: ""}}
	case campaigns.Attributes:
		c.Values = []campaigns.Pair{{Name: "dunning_stage", Value: "first"}, {Name: sandbox.IntercomOptOut, Value: "false"}}
	case campaigns.Webhook:
		c.Secret, c.Values = "CRM_SECRET", []campaigns.Pair{{Name: "open", Value: "49.00 USD"}}
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

// TestCall: each action's effect at Intercom, and what it can be found by.
func TestCall(t *testing.T) {
	t.Parallel()
	plain := func(c *campaigns.Claim) {
		c.Channel, c.Subject, c.Plain = campaigns.Email, "Your payment", true
	}
	tests := []struct {
		name   string
		action campaigns.Action
		change func(*campaigns.Claim)
		want   sandbox.Accepted
	}{
		{"message", campaigns.Message, func(*campaigns.Claim) {}, sandbox.Accepted{Kind: "message", Text: "Hi Ann"}},
		{"traceable message", campaigns.Message, func(c *campaigns.Claim) { c.Traceable = true }, sandbox.Accepted{Kind: "message", Text: "Hi Ann ref k7f3qz", Reference: "k7f3qz"}},
		{"e-mail", campaigns.Message, plain, sandbox.Accepted{Kind: "message", Title: "Your payment", Text: "Hi Ann"}},
		{"task", campaigns.Task, func(*campaigns.Claim) {}, sandbox.Accepted{Kind: "ticket", Title: "Call Ann", Text: "Call Ann\nShe owes us", Reference: "dunlin-1"}},
		{"note", campaigns.Note, func(*campaigns.Claim) {}, sandbox.Accepted{Kind: "note", Text: "Owes us ref k7f3qz", Reference: "k7f3qz"}},
		{"tag", campaigns.Tag, func(*campaigns.Claim) {}, sandbox.Accepted{Kind: "tag", Text: "owing"}},
		{"event", campaigns.Event, func(*campaigns.Claim) {}, sandbox.Accepted{Kind: "event", Text: "payment-failed\nopen: 4900 usd"}},
		{"attributes", campaigns.Attributes, func(*campaigns.Claim) {}, sandbox.Accepted{Kind: "attributes", Text: sandbox.IntercomOptOut + ": false\ndunning_stage: first"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, d := calls(t)
			o := d.call(t.Context(), w.claimed(tt.action, tt.change))
			accepted := w.intercom.Accepted()
			if o.Result != campaigns.Accepted || len(accepted) != 1 {
				t.Fatalf("outcome %+v, accepted %+v", o, accepted)
			}
			tt.want.At, tt.want.Contact, tt.want.ID = noon, w.contact(0), accepted[0].ID
			if diff := cmp.Diff(tt.want, accepted[0]); diff != "" {
				t.Errorf("accepted (-want +got)\n%s", diff)
			}
			if tt.action != campaigns.Attributes && o.ExternalID != accepted[0].ID {
				t.Errorf("external id\n got %q\nwant %q", o.ExternalID, accepted[0].ID)
			}
		})
	}
}

// TestCall_inDoubt: an answer that was lost leaves in doubt what can be done once
// (one-contact); all else is repeated, here until this claim gives up, and then
// planned again.
func TestCall_inDoubt(t *testing.T) {
	t.Parallel()
	lead := func(c *campaigns.Claim) { c.ContactID, c.Role = strings.Repeat("b", 24), "lead" }
	user := func(*campaigns.Claim) {}
	tests := []struct {
		name   string
		action campaigns.Action
		change func(*campaigns.Claim)
		want   campaigns.Result
	}{
		{"message", campaigns.Message, user, campaigns.Unclear},
		{"task", campaigns.Task, user, campaigns.Unclear},
		{"note", campaigns.Note, user, campaigns.Unclear},
		{"event of a lead", campaigns.Event, lead, campaigns.Unclear},
		{"event of a user", campaigns.Event, user, campaigns.NotDone},
		{"tag", campaigns.Tag, user, campaigns.NotDone},
		{"attributes", campaigns.Attributes, user, campaigns.NotDone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, d := calls(t)
			w.intercom.AddContact(sandbox.Contact{ID: strings.Repeat("b", 24), Role: "lead"})
			w.intercom.Faults = func(r *http.Request) sandbox.Fault {
				if r.Method == http.MethodGet {
					return sandbox.Fault{}
				}
				return sandbox.Fault{Kind: sandbox.FaultReset, Process: true}
			}
			c := w.claimed(tt.action, tt.change)
			if o := d.call(t.Context(), c); o.Result != tt.want || o.Detail == "" || o.Retry == 0 {
				t.Errorf("outcome\n got %+v\nwant %s", o, tt.want)
			}
			if n := w.effects(); tt.want == campaigns.Unclear && n != 1 {
				t.Errorf("done %d times, want once", n)
			}
			w.intercom.Faults = nil
			if tt.want == campaigns.NotDone { // the next claim gets it done, and there is still one of it
				if o := d.call(t.Context(), c); o.Result != campaigns.Accepted {
					t.Errorf("again: %+v", o)
				}
				if n := w.effects(); n != 1 && tt.action != campaigns.Attributes {
					t.Errorf("done %d times, want once", n)
				}
			}
		})
	}
}

// effects counts what changed at Intercom.
func (w *world) effects() (n int) {
	for _, a := range w.intercom.Accepted() {
		if !a.Again {
			n++
		}
	}
	return n
}

func TestCall_untag(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	untag := func() campaigns.Outcome { return d.call(t.Context(), w.claimed(campaigns.Untag)) }
	if o := untag(); o.Result != campaigns.Accepted || o.Detail != "the contact did not have the tag" {
		t.Errorf("a tag nobody has: %+v", o)
	}
	d.call(t.Context(), w.claimed(campaigns.Tag, func(c *campaigns.Claim) { c.Tag = "Owing" }))
	w.intercom.Faults = func(r *http.Request) sandbox.Fault {
		if r.Method == http.MethodDelete {
			return sandbox.Fault{Kind: sandbox.FaultHang, Process: true}
		}
		return sandbox.Fault{}
	}
	short, cancel := context.WithCancel(t.Context())
	taken := make(chan campaigns.Outcome)
	go func() { taken <- d.call(short, w.claimed(campaigns.Untag)) }()
	w.untilAccepted(2)
	cancel()
	if o := <-taken; o.Result != campaigns.NotDone {
		t.Errorf("taken off, and the answer lost: %+v", o)
	}
	if o := untag(); o.Result != campaigns.Accepted {
		t.Errorf("again: %+v", o)
	}
	tags, err := w.Intercom.ContactTags(t.Context(), w.contact(0))
	if err != nil || len(tags) != 0 {
		t.Errorf("tags are left: %v, %v", tags, err)
	}
	gone := d.call(t.Context(), w.claimed(campaigns.Untag, func(c *campaigns.Claim) { c.ContactID = "nobody" }))
	if gone.Result != campaigns.NotDone {
		t.Errorf("a contact who is not there, the first time: %+v", gone)
	}
}

// untilAccepted waits until Intercom has accepted n requests.
func (w *world) untilAccepted(n int) {
	w.t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(30 * time.Second)
	for len(w.intercom.Accepted()) < n {
		select {
		case <-look.C:
		case <-deadline:
			w.t.Fatalf("Intercom accepted %d requests, not %d", len(w.intercom.Accepted()), n)
		}
	}
}

func TestCall_attributes(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	write := func(attempt int, name, value string) campaigns.Outcome {
		return d.call(t.Context(), w.claimed(campaigns.Attributes, func(c *campaigns.Claim) {
			c.Failure, c.Failures, c.Values = campaigns.ValuesRefused, attempt-1, []campaigns.Pair{{Name: name, Value: value}}
		}))
	}
	if o := write(1, sandbox.IntercomOptOut, "perhaps"); o.Result != campaigns.Refused || strings.Contains(o.Detail, "perhaps") || !strings.Contains(o.Detail, "boolean") {
		t.Errorf("wrong type: %+v", o)
	}
	if o := write(1, "no.dots", "x"); o.Result != campaigns.Refused {
		t.Errorf("no name for an attribute: %+v", o)
	}
	// What we remember is not so any more: it is looked up again.
	w.exec(`insert into dunlin.intercom_objects (name, id, label, checked_at) values ('attribute:stage', '9', 'integer', $1)`, noon)
	if o := write(1, "stage", "3"); o.Result != campaigns.NotDone {
		t.Errorf("an attribute that is gone: %+v", o)
	}
	if o := write(2, "stage", "3"); o.Result != campaigns.Accepted {
		t.Errorf("made anew: %+v", o)
	}
}

// TestCall_email: of somebody who unsubscribed in the meantime no more is tried.
func TestCall_email(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	gone := strings.Repeat("c", 24)
	w.intercom.AddContact(sandbox.Contact{ID: gone, Role: "user", OptedOut: true})
	mail := func(subject string) campaigns.Outcome {
		return d.call(t.Context(), w.claimed(campaigns.Message, func(c *campaigns.Claim) {
			c.Channel, c.Subject, c.ContactID = campaigns.Email, subject, gone
		}))
	}
	if o := mail("Hi"); o.Result != campaigns.Refused {
		t.Errorf("unsubscribed: %+v", o)
	}
	if o := mail(" "); o.Result != campaigns.Refused || len(w.intercom.Accepted()) != 0 {
		t.Errorf("no subject: %+v, accepted %+v", o, w.intercom.Accepted())
	}
}

func TestCall_noToken(t *testing.T) {
	t.Parallel()
	w, d := calls(t)
	d.Intercom = nil
	for _, action := range campaigns.Actions {
		if action == campaigns.Webhook {
			continue
		}
		if o := d.call(t.Context(), w.claimed(action)); o.Result != campaigns.NotDone || !strings.Contains(o.Detail, "INTERCOM_ACCESS_TOKEN") {
			t.Errorf("%s: %+v", action, o)
		}
	}
	w.Intercom = d.Intercom
}
