package sandbox

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// The judge must recognise what the examples say, whatever is filled in.
func TestRecognise_Examples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var got []string
	for _, file := range files {
		source, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		for documents := yaml.NewDecoder(source); ; {
			var definition struct {
				Name  string
				Steps []struct {
					Name    string
					Message struct{ Body string }
					Task    struct{ Title, Body string }
					Tag     string
				}
			}
			if err := documents.Decode(&definition); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, step := range definition.Steps {
				a := Accepted{Kind: "tag", Text: step.Tag}
				switch {
				case step.Message.Body != "":
					a = Accepted{Kind: "message", Text: intercomPlain(filledIn(step.Message.Body))}
				case step.Task.Title != "":
					title := filledIn(step.Task.Title)
					a = Accepted{Kind: "ticket", Title: title, Text: title + "\n" + intercomPlain(filledIn(step.Task.Body))}
				}
				found := recognise(a)
				if want := definition.Name + "/" + step.Name; found.String() != want {
					t.Errorf("%q\n got %s\nwant %s", a.Text, found, want)
				}
				got = append(got, a.Kind+" "+found.String())
				if card := (&CardState{Brand: "American Express", Last4: "0005", ExpMonth: 11, ExpYear: 2026}); found.card != nil && !found.card.names(card) {
					t.Errorf("%q\n names %+v\nwanted %+v", a.Text, *found.card, *card)
				}
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"message annual-offer/offer", "message card-expiring/nudge", "message payment-failed/nudge", "message payment-failed/second-nudge",
		"tag annual-offer/mark", "tag card-expiring/mark", "ticket card-expiring/call", "ticket payment-failed/follow-up",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recognised (-want +got):\n%s", diff)
	}
}

var templateParts = regexp.MustCompile(`\{\{[^}]*\}\}`)

// filledIn puts values where a template has names.
func filledIn(line string) string {
	return templateParts.ReplaceAllStringFunc(line, func(part string) string {
		switch {
		case strings.Contains(part, "%Y"):
			return "30 November 2026"
		case strings.Contains(part, "| date"):
			return "30 November"
		case strings.Contains(part, "card_brand"):
			return "American Express"
		case strings.Contains(part, "card_last4"):
			return "0005"
		case strings.Contains(part, "count"):
			return "2"
		}
		return "1,299.00 usd"
	})
}

// A sandbox makes its own half of a case.
func TestSandbox_Case(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Seed: 1, Customers: 20})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Case(s.Now(), s.Now().AddDate(0, 0, 1), nil)
	if len(c.Residents) != 20 || len(c.Locations) == 0 {
		t.Errorf("got %d residents and %d locations", len(c.Residents), len(c.Locations))
	}
	if v := Judge(c); len(v.Details) > 0 {
		t.Errorf("nothing can be wrong after a day: %q", v.Details)
	}
}
