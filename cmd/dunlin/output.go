package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// line prints one JSON object on a line of standard output.
func (a *app) line(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// say prints a line for people on standard error: progress and remarks.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.errs, format+"\n", args...)
}

// list prints rows: as JSON objects, or as a table with a heading.
func list[T any](a *app, rows []T, heading string, cells func(T) []string) error {
	if a.json {
		for _, r := range rows {
			if err := a.line(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) == 0 {
		a.say("none")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(heading, " ", "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(cells(r), "\t"))
	}
	return w.Flush()
}

// when prints an instant for people, in the zone of the workspace.
func when(t *time.Time, zone *time.Location) string {
	if t == nil {
		return "-"
	}
	return t.In(zone).Format("2006-01-02 15:04")
}

// moneyJSON is money as JSON has it: a decimal string in major units.
type moneyJSON struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// plural is "1 customer", "2 customers".
func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
