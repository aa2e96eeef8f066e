package campaigns

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// defaultExpires is how long after its time a step is still worth doing.
var defaultExpires = rule.Duration{N: 3, Unit: rule.Day}

// parsers read what stands below the key of an action.
var parsers = map[Action]func(*Step, *workspace.Mapping, Known){
	Message: (*Step).parseMessage, Task: (*Step).parseTask, Tag: (*Step).parseTag, Untag: (*Step).parseTag,
	Event: (*Step).parseEvent, Note: (*Step).parseNote, Attributes: (*Step).parseAttributes, Webhook: (*Step).parseWebhook,
}

// maxName bounds the name of a step, in bytes: it is part of keys in Postgres.
const maxName = 100

func parseStep(m *workspace.Mapping, known Known) Step {
	s := Step{Expires: defaultExpires}
	name := m.Text("name", true)
	if s.Name = name.Value; len(s.Name) > maxName && !known.Stored {
		m.Add(name.Fault("take a short one, as in \"second-nudge\"", "the step's name is longer than %d characters", maxName))
	}
	_, s.At, _ = duration(m, "at", true)
	if f := m.Text("if", false); f.Set {
		s.If = parseRule(m, f, known)
	}
	if f, expires, ok := duration(m, "expires", false); ok {
		s.Expires = expires
		if expires.N <= 0 {
			m.Add(f.Fault("write how long after its time it is still of use, as in \"3 days\"", "a step that expires after %q never happens", f.Value))
		}
	}
	var found []string
	for _, action := range Actions {
		if m.Has(string(action)) {
			found = append(found, string(action))
			s.Action = action
			parsers[action](&s, m, known)
		}
	}
	switch {
	case len(found) == 0 && name.Set:
		m.Add(m.Here().Fault("give it one of "+actionNames(), "step %q does nothing", s.Name))
	case len(found) > 1:
		m.Add(m.Key(found[1]).Fault("make a step of each", "step %q does %d things (%s); a step does one", s.Name, len(found), strings.Join(found, ", ")))
	}
	s.parseContact(m)
	m.Elsewhere("indent it, so that it stands below its action, as in \"message:\"", belowAction...)
	m.Elsewhere("it belongs to the campaign: put it above \"steps:\"", "goal", "goal_within", "priority", "holdout", "anchor", "episode", "data_no_older_than", "on_unknown")
	m.Done()
	return s
}

// belowAction and besideAction are keys that people confuse.
var (
	belowAction  = []string{"channel", "from", "traceable", "template", "variants", "subject", "body", "title", "team", "due", "metadata", "url", "secret"}
	besideAction = []string{"at", "if", "expires", "contact"}
)

func actionNames() string {
	var names []string
	for _, a := range Actions {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

// below reads what stands below the key of an action.
func below(m *workspace.Mapping, a Action, example string) *workspace.Mapping {
	if m.Plain(string(a)) {
		m.Add(m.Text(string(a), false).Fault("write it as in \""+string(a)+": "+example+"\"", "%q has keys of its own", string(a)))
		return nil
	}
	x := m.Map(string(a))
	if x != nil {
		x.Elsewhere("it belongs to the step: put it beside \""+string(a)+":\", not below it", besideAction...)
	}
	return x
}

// plainName refuses a template where the same name stands for everybody.
func plainName(m *workspace.Mapping, f workspace.Field, known Known) {
	if !known.Stored && strings.Contains(f.Value, "{{") {
		m.Add(f.Fault("write it without {{ }}", "%q is the same for every customer, and nothing in it is filled in", f.Value))
	}
}

// parseContact reads whether the step reaches the customer.
func (s *Step) parseContact(m *workspace.Mapping) {
	f := m.Choice("contact", false, "false", "true")
	s.Contact = s.Action == Message || f.Value == "true"
	switch {
	case !m.Has("contact"):
	case s.Action == Message:
		m.Add(f.Fault("take it out", "a message always reaches the customer"))
	case slices.Contains([]Action{Task, Note, Attributes, Untag}, s.Action) && s.Contact:
		m.Add(f.Fault("take it out; contact: true is for a tag, event or webhook that starts something at the customer's", "%q never reaches the customer by itself", string(s.Action)))
	}
}

func (s *Step) parseMessage(m *workspace.Mapping, known Known) {
	x := below(m, Message, "{channel: inapp, body: Hi}")
	if x == nil {
		return
	}
	s.Channel = Channel(x.Choice("channel", true, string(InApp), string(Email)).Value)
	s.Sender = sender(x, known, "message")
	if f := x.Choice("traceable", false, "false", "true"); f.Value == "true" {
		s.Traceable = true
		if s.Channel == Email {
			x.Add(f.Fault("take it out", "only in-app messages open a conversation that can be looked up"))
		}
	}
	if f := x.Choice("template", false, "personal", "plain"); f.Set {
		s.Plain = f.Value == "plain"
		if s.Channel == InApp {
			x.Add(f.Fault("take it out, or write channel: email", "only an e-mail has a template"))
		}
	}
	if x.Has("variants") {
		s.parseVariants(x)
	} else {
		s.Variants = []Variant{s.parseWording(x)}
	}
	x.Done()
}

// parseVariants reads wordings between which persons are divided.
func (s *Step) parseVariants(x *workspace.Mapping) {
	entries := x.Maps("variants")
	for _, v := range entries {
		name := v.Text("name", true)
		variant := s.parseWording(v)
		variant.Name = name.Value
		variant.Weight = v.Number("weight", 1, 1, 1000)
		for n, o := range s.Variants {
			said := o.Body.Written() && variant.Body.Written()
			switch {
			case name.Set && o.Name == variant.Name:
				v.Add(name.Fault("give it another name", "there are two variants named %q", variant.Name))
			case said && wording(entries[n], "subject") == wording(v, "subject") && wording(entries[n], "body") == wording(v, "body"):
				v.Add(v.Key("body").Fault("word one of them differently, or keep only one", "variants %q and %q say the same", o.Name, variant.Name))
			}
		}
		s.Variants = append(s.Variants, variant)
		v.Done()
	}
	for _, key := range []string{"body", "subject"} {
		if x.Has(key) {
			x.Add(x.Key(key).Fault("move it into a variant", "%q stands beside the variants", key))
		}
	}
	if len(entries) == 0 || len(s.Variants) == 1 {
		x.Add(x.Key("variants").Fault("write at least two, or body without variants", "there is nothing to compare"))
	}
}

// wording is a text as it stands in the file, in all its languages.
func wording(m *workspace.Mapping, key string) string {
	if !m.Has(key) || m.Plain(key) {
		return m.Text(key, false).Value
	}
	var all strings.Builder
	x := m.Map(key)
	for _, language := range x.Keys() {
		if x.Plain(language) {
			all.WriteString(language + ": " + x.Text(language, false).Value + "\n")
		}
	}
	return all.String()
}

// sameLanguages refuses two texts that are shown together and would mix
// languages for somebody. A text that is written once goes with any.
func sameLanguages(m *workspace.Mapping, a, b Text, keyA, keyB string) {
	if slices.Contains(a.languages, "") || slices.Contains(b.languages, "") || !a.Written() || !b.Written() {
		return
	}
	for _, x := range []struct {
		has, lacks   Text
		written, key string
	}{{a, b, keyA, keyB}, {b, a, keyB, keyA}} {
		for _, l := range x.has.languages {
			if !slices.Contains(x.lacks.languages, l) {
				m.Add(m.Key(x.key).Fault(fmt.Sprintf("add a line \"%s: …\", or take it out of %q", l, x.written), "%q has no words in %q, in which %q is written", x.key, l, x.written))
			}
		}
	}
}

// parseWording reads what a message says.
func (s *Step) parseWording(m *workspace.Mapping) Variant {
	v := Variant{Weight: 1, Body: text(m, "body", true, true)}
	switch {
	case s.Channel == Email:
		v.Subject = text(m, "subject", true, false)
		sameLanguages(m, v.Subject, v.Body, "subject", "body")
	case m.Has("subject") && s.Channel == InApp:
		m.Add(m.Key("subject").Fault("take it out, or write channel: email", "an in-app message has no subject"))
	}
	return v
}

func sender(m *workspace.Mapping, known Known, what string) int64 {
	id := m.Sender("from")
	if id == 0 && known.Settings.Sender == 0 && !known.Stored {
		m.Add(m.Here().Fault("add \"from: admin:ID\" here, or \"intercom: {sender: admin:ID}\" to the workspace", "the %s has no sender", what))
	}
	return id
}

func (s *Step) parseTask(m *workspace.Mapping, known Known) {
	x := below(m, Task, "{title: Call, body: …, team: billing, due: 1 day}")
	if x == nil {
		return
	}
	s.Title = text(x, "title", true, false)
	s.Body = text(x, "body", true, false)
	sameLanguages(x, s.Title, s.Body, "title", "body")
	f, due, _ := duration(x, "due", true)
	if s.Due = due; due.N < 0 {
		x.Add(f.Fault("due counts from the moment the task is opened: take out the minus", "a task cannot be due before it is opened"))
	}
	if f := x.Text("team", true); f.Set {
		s.Team = f.Value
		if _, ok := known.Settings.Teams[f.Value]; !ok && !known.Stored {
			hint := "add it to \"teams:\" of the workspace"
			near := workspace.Nearest(f.Value, slices.Sorted(maps.Keys(known.Settings.Teams)))
			for name, id := range known.Settings.Teams {
				if id == f.Value {
					near = name
				}
			}
			if near != "" {
				hint = "did you mean \"" + near + "\"?"
			}
			x.Add(f.Fault(hint, "there is no team %q", f.Value))
		}
	}
	x.Done()
}

func (s *Step) parseTag(m *workspace.Mapping, known Known) {
	f := m.Text(string(s.Action), true)
	s.Tag = strings.TrimSpace(f.Value)
	plainName(m, f, known)
}

func (s *Step) parseEvent(m *workspace.Mapping, known Known) {
	x := below(m, Event, "{name: card-expired}")
	if x == nil {
		return
	}
	f := x.Text("name", true)
	s.Event = f.Value
	plainName(x, f, known)
	if md := x.Map("metadata"); md != nil {
		s.Values = values(md)
		if len(s.Values) > 10 { // facts/intercom.md 4.9
			x.Add(x.Key("metadata").Fault("leave the least useful out", "Intercom keeps 10 values of an event, and this one has %d", len(s.Values)))
		}
	}
	x.Done()
}

func (s *Step) parseNote(m *workspace.Mapping, known Known) {
	if m.Plain(string(Note)) {
		s.Body = text(m, string(Note), true, true)
		if known.Settings.Sender == 0 && !known.Stored {
			m.Add(m.Key(string(Note)).Fault("write \"note: {from: admin:ID, body: …}\", or add \"intercom: {sender: admin:ID}\" to the workspace", "the note has no sender"))
		}
		return
	}
	x := below(m, Note, "{body: Hi}")
	if x == nil {
		return
	}
	s.Sender = sender(x, known, "note")
	s.Body = text(x, "body", true, true)
	x.Done()
}

func (s *Step) parseAttributes(m *workspace.Mapping, _ Known) {
	x := below(m, Attributes, "{plan: Pro}")
	if x == nil {
		return
	}
	s.Values = values(x)
	for _, v := range s.Values {
		if strings.ContainsAny(v.Name, ".$") { // facts/intercom.md 4.5
			x.Add(x.Key(v.Name).Fault("write "+strings.NewReplacer(".", "_", "$", "").Replace(v.Name), "an attribute at Intercom has no dot and no dollar sign in its name"))
		}
	}
}

// values reads names and their texts.
func values(m *workspace.Mapping) (list []Value) {
	for _, name := range m.Keys() {
		list = append(list, Value{Name: name, Text: text(m, name, true, false)})
	}
	if len(list) == 0 {
		m.Add(m.Here().Fault("write lines of \"name: text\"", "there is nothing to write"))
	}
	return list
}

var envName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

func (s *Step) parseWebhook(m *workspace.Mapping, known Known) {
	x := below(m, Webhook, "{url: https://example.com/dunlin, secret: CRM_SECRET}")
	if x == nil {
		return
	}
	if f := x.Text("url", true); f.Set {
		u, err := url.Parse(f.Value)
		switch {
		case err != nil || u.Scheme != "https" || u.Host == "":
			x.Add(f.Fault("write it as in https://example.com/dunlin", "%q is not an https address", f.Value))
		case u.User != nil:
			x.Add(f.Fault("take out what stands before the @; what is sent is signed with the secret", "an address with a password in it is read by whoever reads the definition"))
		}
		plainName(x, f, known)
		s.URL = f.Value
	}
	if f := x.Text("secret", true); f.Set {
		if !envName.MatchString(f.Value) {
			x.Add(f.Fault("write the name of an environment variable, as in CRM_SECRET, and put the secret there", "secret is the name of where the secret stands, not the secret itself"))
		}
		s.Secret = f.Value
	}
	x.Done()
}
