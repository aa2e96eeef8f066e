package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxEndpoints is how many webhook endpoints an account may have (facts 2.2).
const maxEndpoints = 16

// webhookEndpoint is a URL that takes webhooks.
type webhookEndpoint struct {
	cached
	id          string
	url         string
	secret      string // signs what is posted
	version     string // the API version it is pinned to; empty: the account's at the event's time (facts 2.2)
	description string
	enabled     []string // types of events; "*" is all
	metadata    map[string]string
	created     int64
	disabled    bool
	gone        bool // deleted
}

func (e *webhookEndpoint) ident() string { return e.id }
func (e *webhookEndpoint) born() int64   { return e.created }

// wants says whether events of a type are posted to the endpoint.
func (e *webhookEndpoint) wants(typ string) bool {
	return e.takes() && (slices.Contains(e.enabled, "*") || slices.Contains(e.enabled, typ))
}

// takes is false of an endpoint that gets nothing any more, not even what is on
// its way (facts 2.2).
func (e *webhookEndpoint) takes() bool { return !e.disabled && !e.gone }

type endpointShape struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	APIVersion    *string           `json:"api_version"`
	Application   unset             `json:"application"`
	Created       int64             `json:"created"`
	Description   *string           `json:"description"`
	EnabledEvents []string          `json:"enabled_events"`
	Livemode      bool              `json:"livemode"`
	Metadata      map[string]string `json:"metadata"`
	Secret        string            `json:"secret,omitempty"` // only in the answer to its creation
	Status        string            `json:"status"`
	URL           string            `json:"url"`
}

func (e *webhookEndpoint) shape() endpointShape {
	s := endpointShape{ID: e.id, Object: "webhook_endpoint", APIVersion: orNull(e.version), Created: e.created, Description: orNull(e.description),
		EnabledEvents: e.enabled, Metadata: e.metadata, Status: "enabled", URL: e.url}
	if e.disabled {
		s.Status = "disabled"
	}
	return s
}

func (e *webhookEndpoint) raw() json.RawMessage {
	if e.body == nil {
		e.body = mustJSON(e.shape())
	}
	return e.body
}

// addEndpoint makes an endpoint for all events. Its fields are the caller's.
func (w *world) addEndpoint(now int64) *webhookEndpoint {
	w.made++
	key := "endpoint/" + itoa(int64(w.made))
	e := &webhookEndpoint{id: w.id("we_1", key, 23), secret: w.id("whsec_", key, 32), enabled: []string{"*"}, metadata: map[string]string{}, created: now}
	w.endpoints = append(w.endpoints, e)
	w.byID[e.id] = e
	return e
}

// removeEndpoint deletes an endpoint; what was on its way to it is lost.
func (w *world) removeEndpoint(e *webhookEndpoint) {
	e.gone = true
	delete(w.byID, e.id)
	w.endpoints = slices.DeleteFunc(w.endpoints, func(o *webhookEndpoint) bool { return o == e })
}

// changeEndpoint answers what changes the account by HTTP: POST and DELETE of
// webhook endpoints.
func (v *view) changeEndpoint(method string, parts []string, form url.Values) (json.RawMessage, *stripeError) {
	p, err := parseParams(form)
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return v.createEndpoint(p)
	}
	e, ok := v.world.byID[parts[1]].(*webhookEndpoint)
	if !ok {
		return nil, missing(404, "webhook endpoint", "webhook_endpoint", parts[1])
	}
	if method == http.MethodDelete {
		v.world.removeEndpoint(e)
		return mustJSON(struct {
			ID      string `json:"id"`
			Object  string `json:"object"`
			Deleted bool   `json:"deleted"`
		}{e.id, "webhook_endpoint", true}), nil
	}
	if err := p.only("url", "enabled_events", "description", "metadata", "expand", "disabled"); err != nil {
		return nil, err
	}
	disabled, given, err := p.flag("disabled")
	if err != nil {
		return nil, err
	}
	changed := *e
	if err := changed.fill(p); err != nil {
		return nil, err
	}
	if given {
		changed.disabled = disabled
	}
	*e = changed
	e.touch()
	return e.raw(), nil
}

func (v *view) createEndpoint(p *params) (json.RawMessage, *stripeError) {
	if err := p.only("url", "enabled_events", "description", "metadata", "expand", "api_version", "connect"); err != nil {
		return nil, err
	}
	for _, name := range []string{"url", "enabled_events"} {
		if !slices.Contains(p.seen, name) {
			return nil, badRequest("parameter_missing", name, "Missing required param: %s.", name)
		}
	}
	filled := webhookEndpoint{metadata: map[string]string{}, version: p.plain["api_version"]}
	if err := filled.fill(p); err != nil {
		return nil, err
	}
	if filled.version != "" && !knownVersion(filled.version) {
		return nil, badRequest("", "api_version", "Invalid api_version: must be one of %s, %s", APIVersion, APIVersionBasil)
	}
	if len(v.world.endpoints) >= maxEndpoints {
		return nil, badRequest("", "", "You have reached the maximum of %d test webhook endpoints.", maxEndpoints)
	}
	e := v.world.addEndpoint(v.now)
	e.url, e.enabled, e.description, e.metadata, e.version = filled.url, filled.enabled, filled.description, filled.metadata, filled.version
	s := e.shape()
	s.Secret = e.secret
	return mustJSON(s), nil
}

var eventType = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)+$`)

// fill takes what creation and update have in common.
func (e *webhookEndpoint) fill(p *params) *stripeError {
	if text, given := p.plain["url"]; given {
		at, err := url.Parse(text)
		if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
			return badRequest("url_invalid", "url", "Not a valid URL")
		}
		e.url = text
	}
	if types, given := p.lists["enabled_events"]; given {
		for n, typ := range types {
			if typ != "*" && !eventType.MatchString(typ) {
				return badRequest("", "enabled_events["+itoa(int64(n))+"]", "Invalid enabled_events[%d]: must be the type of an event, or *", n)
			}
		}
		e.enabled = types
	}
	if text, given := p.plain["description"]; given {
		e.description = text
	}
	e.metadata = mergeMetadata(e.metadata, p.named)
	return nil
}

// mergeMetadata sets the keys that are given; an empty value removes its key.
func mergeMetadata(old, given map[string]string) map[string]string {
	merged := map[string]string{}
	for _, from := range []map[string]string{old, given} {
		for key, value := range from {
			if merged[key] = value; strings.TrimSpace(value) == "" {
				delete(merged, key)
			}
		}
	}
	return merged
}
