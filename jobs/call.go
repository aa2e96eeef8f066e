package jobs

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/intercom"
)

// callWithin bounds a call with all its repeats, well within a claim's lease.
// Machine time.
const callWithin = 90 * time.Second

// call makes the one call of a claim. A message, a task and a note can be made
// once: in doubt they are unclear, and looked for instead (one-contact). What can
// be done twice without harm is repeated until it is done.
func (w *deliverWorker) call(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	if c.Action == campaigns.Webhook {
		return w.webhook(ctx, c)
	}
	if w.Intercom == nil {
		return campaigns.Outcome{Result: campaigns.NotDone, Detail: "INTERCOM_ACCESS_TOKEN is not set", Retry: retryAfter}
	}
	switch c.Action {
	case campaigns.Message:
		return w.message(ctx, c)
	case campaigns.Task:
		return w.openTicket(ctx, c)
	case campaigns.Note:
		return w.note(ctx, c)
	case campaigns.Tag:
		return w.tag(ctx, c)
	case campaigns.Untag:
		return w.untag(ctx, c)
	case campaigns.Event:
		return w.event(ctx, c)
	case campaigns.Attributes:
		return w.attributes(ctx, c)
	}
	return campaigns.Outcome{Result: campaigns.Refused, Detail: "this version of dunlin has no action " + strconv.Quote(string(c.Action))}
}

func (w *deliverWorker) message(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	m := intercom.Message{
		From: strconv.FormatInt(c.Sender, 10), To: c.ContactID, Role: c.Role, Body: c.Body,
		Traceable: c.Traceable, Reference: c.Reference,
	}
	if c.Channel == campaigns.Email {
		if strings.TrimSpace(c.Subject) == "" { // without one it would be an in-app message
			return campaigns.Outcome{Result: campaigns.Refused, Detail: "the subject is empty for this customer"}
		}
		m.Subject, m.Plain = c.Subject, c.Plain
	}
	id, err := w.Intercom.CreateMessage(ctx, m)
	o := w.outcome(ctx, c, id, err)
	var e *intercom.Error
	if c.Channel == campaigns.Email && errors.As(err, &e) && e.Status == http.StatusForbidden && e.Code == "" {
		o.Result = campaigns.Refused // unsubscribed from e-mails meanwhile: a 403 about us has a code
	}
	return o
}

// openTicket opens the ticket of a task. Before dunlin intercom setup there is no
// type to open it as: the task stays ours, and is complete with that.
func (w *deliverWorker) openTicket(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	objects, err := intercom.ReadObjects(ctx, w.Pool)
	if err != nil {
		return campaigns.Outcome{Result: campaigns.NotDone, Detail: "the ticket type could not be read", Retry: retryAfter}
	}
	if !objects.Ready() {
		return campaigns.Outcome{Result: campaigns.Accepted, Detail: "kept as a task of ours: run dunlin intercom setup to open tickets"}
	}
	t := intercom.Ticket{
		Type: objects.TicketType, Contact: c.ContactID, Title: c.Title, Description: c.Body,
		Reference: c.Reference, ReferenceAttribute: objects.ReferenceAttribute, Team: c.Team, Admin: admin(c.Owner),
	}
	id, err := w.Intercom.CreateTicket(ctx, t)
	if unknownAssignee(err) { // refused for certain: better a ticket that nobody owns than none
		t.Admin, t.Team = "", ""
		id, err = w.Intercom.CreateTicket(ctx, t)
	}
	if noTickets(err) {
		return campaigns.Outcome{Result: campaigns.Accepted, Detail: "kept as a task of ours: " + err.Error()}
	}
	return w.outcome(ctx, c, id, err)
}

func (w *deliverWorker) note(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	n := intercom.Note{Contact: c.ContactID, Body: c.Body, Reference: c.Reference}
	if c.Sender != 0 {
		n.Admin = strconv.FormatInt(c.Sender, 10)
	}
	id, err := w.Intercom.CreateNote(ctx, n)
	return w.outcome(ctx, c, id, err)
}

// admin is the id of an Intercom teammate, empty for nobody.
func admin(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// tag finds or makes the tag and attaches it; both may be done again.
func (w *deliverWorker) tag(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	id, err := intercom.TagNamed(ctx, w.Intercom, w.Pool, c.Tag, w.Now())
	if err == nil {
		if err = w.Intercom.TagContact(ctx, c.ContactID, id); intercom.Gone(err) {
			if ferr := intercom.ForgetTag(ctx, w.Pool, c.Tag); ferr != nil {
				w.Logger.Warn("tag not forgotten", slog.Any("error", ferr))
			}
		}
	}
	return w.repeatable(ctx, c, id, err)
}

// untag looks for the tag on the contact and takes it off. A tag that is not
// there, or that the workspace never had, is off already.
func (w *deliverWorker) untag(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	tags, err := w.Intercom.ContactTags(ctx, c.ContactID)
	if err != nil {
		return w.repeatable(ctx, c, "", err)
	}
	for _, t := range tags {
		if strings.EqualFold(strings.TrimSpace(t.Name), c.Tag) {
			return w.repeatable(ctx, c, t.ID, w.Intercom.UntagContact(ctx, c.ContactID, t.ID))
		}
	}
	return campaigns.Outcome{Result: campaigns.Accepted, Detail: "the contact did not have the tag"}
}

// event records an event with the claim's instant. Intercom takes a second one
// of that instant for the same, but only of users: of a lead it is like a message.
func (w *deliverWorker) event(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	err := w.Intercom.CreateEvent(ctx, intercom.Event{Contact: c.ContactID, Role: c.Role, Name: c.Event, At: c.At, Metadata: metadata(c.Values)})
	if c.Role == "user" {
		return w.repeatable(ctx, c, "", err)
	}
	return w.outcome(ctx, c, "", err)
}

// attributes writes values to the contact, each as the type its attribute has. An
// attribute that was archived or made anew since it was last looked up is looked
// up again.
func (w *deliverWorker) attributes(ctx context.Context, c campaigns.Claim) campaigns.Outcome {
	names := make([]string, len(c.Values))
	for i, v := range c.Values {
		names[i] = v.Name
	}
	known, err := intercom.AttributesNamed(ctx, w.Intercom, w.Pool, names, w.Now())
	if err != nil {
		return w.repeatable(ctx, c, "", err)
	}
	values := map[string]any{}
	for _, v := range c.Values {
		x, err := attributeValue(known[v.Name].Type, v.Value)
		if err != nil {
			w.forgetAttributes(ctx, names) // somebody may mend the type
			return campaigns.Outcome{Result: campaigns.Refused, Detail: "attribute " + strconv.Quote(v.Name) + ": " + err.Error()}
		}
		values[v.Name] = x
	}
	err = w.Intercom.SetAttributes(ctx, c.ContactID, values)
	if intercom.Refused(err) && !intercom.Gone(err) && !intercom.RateLimited(err) {
		w.forgetAttributes(ctx, names)
		if c.Failed(campaigns.ValuesRefused)+1 < maxRefused {
			return campaigns.Outcome{Result: campaigns.NotDone, Detail: err.Error(), Retry: retryAfter, Failure: campaigns.ValuesRefused}
		}
	}
	return w.repeatable(ctx, c, "", err)
}

func (w *deliverWorker) forgetAttributes(ctx context.Context, names []string) {
	if err := intercom.ForgetAttributes(ctx, w.Pool, names); err != nil {
		w.Logger.Warn("attributes not forgotten", slog.Any("error", err))
	}
}

// maxRefused is how often in a row a call is tried that Intercom refuses for one
// reason that lies with us or with the contact and may pass.
const maxRefused = 3

// repeatable is the outcome of a call that may be made again: doubt is no more
// than a reason to.
func (w *deliverWorker) repeatable(ctx context.Context, c campaigns.Claim, id string, err error) campaigns.Outcome {
	if intercom.Unknown(err) {
		return campaigns.Outcome{Result: campaigns.NotDone, Detail: err.Error(), Retry: retryAfter}
	}
	return w.outcome(ctx, c, id, err)
}

// outcome translates what the client said. Whatever may have been done is
// unclear and not tried again here; what surely was not is tried again when the
// reason may pass.
func (w *deliverWorker) outcome(ctx context.Context, c campaigns.Claim, id string, err error) campaigns.Outcome {
	if err == nil {
		return campaigns.Outcome{Result: campaigns.Accepted, ExternalID: id}
	}
	o := campaigns.Outcome{Detail: err.Error(), Retry: retryAfter}
	var e *intercom.Error
	known := errors.As(err, &e)
	switch {
	case intercom.Unknown(err):
		o.Result = campaigns.Unclear
	case intercom.NotSent(err), intercom.RateLimited(err):
		o.Result = campaigns.NotDone
		if known && !e.RetryAt.IsZero() {
			o.Retry = max(time.Until(e.RetryAt), time.Second)
		}
	case known && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		o.Result, o.Failure = campaigns.NotDone, campaigns.WeMayNot
		o.Retry = retryAfter << min(c.Failed(campaigns.WeMayNot), 6) // half an hour at most: somebody has to mend it
	case intercom.Gone(err) && c.Failed(campaigns.ContactGone)+1 < maxRefused: // merged, archived or deleted since: ask who the contact is now
		o.Result, o.Failure = campaigns.NotDone, campaigns.ContactGone
		if err := w.Links.Doubt(ctx, w.Pool, intercom.Ref(c.Key.Ref())); err != nil {
			w.Logger.Warn("link not doubted", slog.Any("delivery", c.Key), slog.Any("error", err))
		}
	default:
		o.Result = campaigns.Refused
	}
	w.Logger.Warn("intercom call failed", slog.Any("delivery", c.Key), slog.String("result", string(o.Result)), slog.Any("error", err))
	return o
}
