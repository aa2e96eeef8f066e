package workspace_test

import (
	"testing"

	"github.com/dunlin/dunlin/workspace"
)

func TestParseSettings_Intercom(t *testing.T) {
	t.Parallel()
	parse := func(intercom string) workspace.Settings {
		docs, faults := workspace.Parse("w.yaml", []byte("kind: workspace\nzone: UTC\ncurrency: usd\n"+intercom))
		if len(faults) > 0 || len(docs) != 1 {
			t.Fatal(faults)
		}
		s, faults := workspace.ParseSettings(docs[0])
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return s
	}
	for source, want := range map[string]workspace.Settings{
		"":                            {Region: "us"},
		"intercom: {sender: admin:5}": {Sender: 5, Region: "us"},
		"intercom: {sender: admin:5, region: eu, import: true}":     {Sender: 5, Region: "eu", Import: true},
		"intercom: {sender: admin:5, create_contacts: true}":        {Sender: 5, Region: "us", CreateContacts: true},
		"intercom: {sender: admin:5, external_id: user_id}":         {Sender: 5, Region: "us", ExternalID: "user_id"},
		"intercom: {sender: admin:5, create_contacts: 'false'}":     {Sender: 5, Region: "us"},
		"intercom: {sender: admin:5, region: au, external_id: a b}": {Sender: 5, Region: "au", ExternalID: "a b"},
	} {
		got := parse(source)
		if got.Sender != want.Sender || got.Region != want.Region || got.ExternalID != want.ExternalID ||
			got.CreateContacts != want.CreateContacts || got.Import != want.Import {
			t.Errorf("%s\n got %+v\nwant %+v", source, got, want)
		}
	}
}
