package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// An intercomAttribute is a custom attribute; a contact's of any other name is
// refused (4.5).
type intercomAttribute struct {
	id          int
	model       string // contact or company
	name, label string
	dataType    string // string, integer, float, boolean or date
	options     []string
}

// intercomAttributes are those of a fresh workspace.
func intercomAttributes() []*intercomAttribute {
	return []*intercomAttribute{
		{id: 7, model: "contact", name: IntercomTimezone, label: "Time zone", dataType: "string"},
		{id: 8, model: "contact", name: IntercomOptOut, label: "No billing messages", dataType: "boolean"},
	}
}

// attribute finds a custom attribute; names are unique across models, and their
// case counts (4.5, 4.6).
func (i *Intercom) attribute(name string) *intercomAttribute {
	at := slices.IndexFunc(i.attributes, func(a *intercomAttribute) bool { return a.name == name })
	if at < 0 {
		return nil
	}
	return i.attributes[at]
}

// getDataAttributes lists the attributes of a model: of contacts a few of
// Intercom's own, which have no id, and the workspace's (4.6).
func (i *Intercom) getDataAttributes(c intercomCall) intercomAnswer {
	model := c.URL.Query().Get("model")
	switch model {
	case "", "contact", "company":
	case "conversation":
		return intercomError(http.StatusUnprocessableEntity, "parameter_invalid",
			"model=conversation is no longer supported. Use GET /conversations/attributes instead")
	default:
		return intercomError(http.StatusBadRequest, "parameter_invalid", "The Data Attribute model field must be either contact or company")
	}
	data := []any{}
	if model != "company" {
		for _, own := range []*intercomAttribute{
			{name: "name", label: "Name", dataType: "string"}, {name: "email", label: "Email", dataType: "string"},
			{name: "external_id", label: "User ID", dataType: "string"}, {name: "created_at", label: "Signed up", dataType: "date"},
		} {
			own.model = "contact"
			data = append(data, own.json())
		}
	}
	for _, a := range i.attributes {
		if model == "" || model == a.model {
			data = append(data, a.json())
		}
	}
	return intercomOK(map[string]any{"type": "list", "data": data})
}

func (a *intercomAttribute) json() map[string]any {
	custom := a.id != 0
	out := map[string]any{
		"type": "data_attribute", "model": a.model, "name": a.name, "full_name": a.name, "label": a.label,
		"description": "", "data_type": a.dataType, "api_writable": true, "messenger_writable": false,
		"ui_writable": custom, "custom": custom, "archived": false,
	}
	if custom {
		out["id"], out["full_name"], out["admin_id"] = a.id, "custom_attributes."+a.name, IntercomAdmin
		out["created_at"], out["updated_at"] = 1700000000, 1700000000
	}
	if len(a.options) > 0 {
		out["options"] = a.options
	}
	return out
}

// intercomDataTypes are what a new attribute can be, and what it is called then.
var intercomDataTypes = map[string]string{
	"string": "string", "integer": "integer", "float": "float", "boolean": "boolean", "date": "date", "datetime": "date", "options": "string",
}

// postDataAttribute makes a custom attribute. A second one of the name is
// refused, whichever model has the first (4.6).
func (i *Intercom) postDataAttribute(c intercomCall) intercomAnswer {
	var request struct {
		Name     string `json:"name"`
		Model    string `json:"model"`
		DataType string `json:"data_type"`
		Options  []struct {
			Value string `json:"value"`
		} `json:"options"`
	}
	if answer, ok := c.decode(&request); !ok {
		return answer
	}
	dataType := intercomDataTypes[request.DataType]
	refuse := func(message string) intercomAnswer {
		return intercomError(http.StatusBadRequest, "parameter_invalid", message)
	}
	switch {
	case request.Model != "contact" && request.Model != "company":
		return refuse("The Data Attribute model field must be either contact or company")
	case dataType == "":
		return refuse("Data Type isn't an option")
	case request.Name == "" || strings.ContainsFunc(request.Name, intercomNoNameRune):
		return refuse("Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens")
	case i.attribute(request.Name) != nil:
		data := map[string]string{"contact": "people", "company": "company"}[request.Model]
		return refuse(fmt.Sprintf("You already have '%s' in your company data. To save this as new %s data, use a different name.", request.Name, data))
	case request.DataType == "options" && len(request.Options) < 2:
		return refuse("Options isn't an array")
	}
	i.serial["data attribute"]++
	a := &intercomAttribute{id: int(i.serial["data attribute"]), model: request.Model, name: request.Name, label: request.Name, dataType: dataType}
	for _, option := range request.Options {
		a.options = append(a.options, option.Value)
	}
	i.attributes = append(i.attributes, a)
	return intercomOK(a.json())
}

// intercomNoNameRune says what an attribute's name cannot have. Underscores and
// spaces work in spite of the message.
func intercomNoNameRune(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Sc, r) && !strings.ContainsRune("-_ ", r)
}

// checkAttribute says why a custom attribute cannot take a value: it must
// exist, have the type, and text must be short (4.5).
func (i *Intercom) checkAttribute(name string, value any) string {
	attribute := i.attribute(name)
	if attribute == nil || attribute.model != "contact" {
		return fmt.Sprintf("Custom attribute '%s' does not exist", name)
	}
	if value == nil {
		return ""
	}
	fits := false
	switch value := value.(type) {
	case string:
		if len([]rune(value)) > 255 {
			return fmt.Sprintf("Custom attribute '%s' is too long: 255 characters at most", name)
		}
		fits = attribute.dataType == "string"
	case bool:
		fits = attribute.dataType == "boolean"
	case json.Number:
		fits = attribute.dataType == "integer" || attribute.dataType == "float" || attribute.dataType == "date"
	}
	if !fits {
		return fmt.Sprintf("Custom attribute '%s' is not of type %s", name, attribute.dataType)
	}
	return ""
}

// intercomPairs is what was written, a line for each name, in their order.
func intercomPairs(values map[string]any) string {
	lines := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, fmt.Sprintf("%s: %v", name, values[name]))
	}
	return strings.Join(lines, "\n")
}
