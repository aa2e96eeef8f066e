package campaigns

import (
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

func parseStep(m *workspace.Mapping, known Known) Step {
	s := Step{Name: m.Text("name", true).Value, Expires: defaultExpires}
	s.At = duration(m, "at", true)
	if f := m.Text("if", false); f.Set {
		s.If = parseRule(m, f, known)
	}
	if f := m.Text("expires", false); f.Set {
		s.Expires = duration(m, "expires", true)
		if d, err := rule.ParseDuration(f.Value); err == nil && d.N <= 0 {
			m.Add(f.Fault("write how long after its time it is still of use, as in \"3 days\"", "a step that expires after %q never happens", f.Value))
		}
	}
	actions := 0
	var names []string
	for _, action := range Actions {
		names = append(names, string(action))
		if m.Has(string(action)) {
			actions++
			s.Action = action
			parsers[action](&s, m, known)
		}
	}
	s.parseContact(m)
	m.Done()
	if actions != 1 && s.Name != "" {
		m.Add(m.Here().Fault("give it one of "+strings.Join(names, ", "), "step %q does %d things; a step does one", s.Name, actions))
	}
	return s
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
		m.Add(f.Fault("take it out", "a step with %s never reaches the customer by itself", s.Action))
	}
}

func (s *Step) parseMessage(m *workspace.Mapping, known Known) {
	x := m.Map(string(Message))
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
	if !x.Has("variants") {
		s.Variants = []Variant{s.parseWording(x)}
	}
	for _, v := range x.Maps("variants") {
		variant := s.parseWording(v)
		variant.Name = v.Text("name", true).Value
		variant.Weight = v.Number("weight", 1, 1, 1000)
		if slices.ContainsFunc(s.Variants, func(o Variant) bool { return o.Name == variant.Name }) {
			v.Add(v.Text("name", true).Fault("give it another name", "there are two variants named %q", variant.Name))
		}
		s.Variants = append(s.Variants, variant)
		v.Done()
	}
	if x.Has("variants") {
		for _, key := range []string{"body", "subject"} {
			if x.Has(key) {
				x.Add(x.Here().Fault("move it into a variant", "%q stands beside the variants", key))
			}
		}
		if len(s.Variants) == 1 {
			x.Add(x.Here().Fault("add another, or write body without variants", "one variant alone is nothing to compare"))
		}
	}
	x.Done()
}

// parseWording reads what a message says.
func (s *Step) parseWording(m *workspace.Mapping) Variant {
	v := Variant{Weight: 1, Body: text(m, "body", true, true)}
	switch {
	case s.Channel == Email:
		v.Subject = text(m, "subject", true, false)
	case m.Has("subject"):
		m.Add(m.Here().Fault("take it out, or write channel: email", "an in-app message has no subject"))
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
	x := m.Map(string(Task))
	if x == nil {
		return
	}
	s.Title = text(x, "title", true, false)
	s.Body = text(x, "body", true, false)
	if s.Due = duration(x, "due", true); s.Due.N < 0 {
		x.Add(x.Text("due", true).Fault("", "a task cannot be due before it is opened"))
	}
	if f := x.Text("team", true); f.Set {
		s.Team = f.Value
		if _, ok := known.Settings.Teams[f.Value]; !ok && !known.Stored {
			x.Add(f.Fault("add it to \"teams:\" of the workspace", "there is no team %q", f.Value))
		}
	}
	x.Done()
}

func (s *Step) parseTag(m *workspace.Mapping, _ Known) {
	f := m.Text(string(s.Action), false)
	if s.Tag = strings.TrimSpace(f.Value); s.Tag == "" && f.Set {
		m.Add(f.Fault("", "the tag is empty"))
	}
}

func (s *Step) parseEvent(m *workspace.Mapping, _ Known) {
	x := m.Map(string(Event))
	if x == nil {
		return
	}
	s.Event = x.Text("name", true).Value
	if md := x.Map("metadata"); md != nil {
		s.Values = values(md)
		if len(s.Values) > 10 { // facts/intercom.md 4.9
			md.Add(md.Here().Fault("leave the least useful out", "an event has at most 10 values, and this one %d", len(s.Values)))
		}
	}
	x.Done()
}

func (s *Step) parseNote(m *workspace.Mapping, known Known) {
	if m.Plain(string(Note)) {
		s.Body = text(m, string(Note), true, true)
		return
	}
	x := m.Map(string(Note))
	if x == nil {
		return
	}
	s.Sender = sender(x, known, "note")
	s.Body = text(x, "body", true, true)
	x.Done()
}

func (s *Step) parseAttributes(m *workspace.Mapping, _ Known) {
	if x := m.Map(string(Attributes)); x != nil {
		s.Values = values(x)
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

func (s *Step) parseWebhook(m *workspace.Mapping, _ Known) {
	x := m.Map(string(Webhook))
	if x == nil {
		return
	}
	if f := x.Text("url", true); f.Set {
		u, err := url.Parse(f.Value)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			x.Add(f.Fault("write it as in https://example.com/dunlin", "%q is not an https address", f.Value))
		}
		s.URL = f.Value
	}
	if f := x.Text("secret", true); f.Set {
		if !envName.MatchString(f.Value) {
			x.Add(f.Fault("write the name of an environment variable, as in CRM_SECRET, and put the secret there", "secret is not the secret itself"))
		}
		s.Secret = f.Value
	}
	x.Done()
}
