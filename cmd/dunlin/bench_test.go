package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// BenchmarkFigures measures, once, what the product aims for, prints it and
// writes docs/benchmarks.md. A missed aim is printed; a wrong count fails. See
// make bench for how to run it, and benchSizes for how large.
func BenchmarkFigures(b *testing.B) {
	f := &figures{B: b, sizes: readBenchSizes(b), began: time.Now(), load: loadAverage()}
	f.start()
	f.parsing()
	small := f.onSmall()
	f.onLarge(small)
	f.onJoin()
	f.onStripe()
	f.onDue()
	f.onMorning()
	f.write()
}

// benchSizes are read from the environment.
type benchSizes struct {
	Small, Large int // BENCH_SMALL and BENCH_LARGE: customers, of the same twenty segments. 50,000 and 2,000,000.
	Join         int // BENCH_JOIN: customers who all join one segment. 1,000,000.
	Synced       int // BENCH_SYNCED: customers that are read from Stripe. 100,000.
	Due          int // BENCH_DUE: customers with a delivery, all due at one instant. 100,000.
	Morning      int // BENCH_MORNING: people who wait for the end of the night. 50,000.
	Changed      int // BENCH_CHANGED: customers that changed before a tick, and values that its bounds pass. 2,000.
	Seconds      int // BENCH_SECONDS: of changes, a hundred each. 30.
}

func readBenchSizes(b *testing.B) benchSizes {
	b.Helper()
	number := func(name string, fallback int) int {
		text := cmp.Or(os.Getenv(name), strconv.Itoa(fallback))
		n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if err != nil || n < 1 {
			b.Fatalf("%s is %q; use a number above 0", name, text)
		}
		return n
	}
	s := benchSizes{
		Small: number("BENCH_SMALL", 50_000), Large: number("BENCH_LARGE", 2_000_000), Join: number("BENCH_JOIN", 1_000_000), Synced: number("BENCH_SYNCED", 100_000),
		Due: number("BENCH_DUE", 100_000), Morning: number("BENCH_MORNING", 50_000),
		Changed: number("BENCH_CHANGED", 2_000), Seconds: number("BENCH_SECONDS", 30),
	}
	if least := max(2*s.Changed, 200*s.Seconds); s.Small < least {
		b.Fatalf("BENCH_SMALL is %d; with BENCH_CHANGED=%d and BENCH_SECONDS=%d it must be %d", s.Small, s.Changed, s.Seconds, least)
	}
	return s
}

// command is what was typed, with the sizes spelled out.
func (s benchSizes) command() string {
	return fmt.Sprintf("make bench BENCH_SMALL=%d BENCH_LARGE=%d BENCH_JOIN=%d BENCH_SYNCED=%d BENCH_DUE=%d BENCH_MORNING=%d BENCH_CHANGED=%d BENCH_SECONDS=%d",
		s.Small, s.Large, s.Join, s.Synced, s.Due, s.Morning, s.Changed, s.Seconds)
}

// figures are one run.
type figures struct {
	*testing.B
	sizes  benchSizes
	began  time.Time
	admin  *pgx.Conn // of the maintenance database
	url    string    // its address
	server string    // what is known of the server, in one line
	load   string    // of the machine before anything began

	rows  []figure
	notes []string // paragraphs and tables below the figures
}

// A figure is one line of the report.
type figure struct {
	name, measured, aim string
	met                 bool
}

func (f *figures) figure(name, measured, aim string, met bool) {
	f.rows = append(f.rows, figure{name, measured, aim, met})
	f.progress("%s: %s (aim %s): %s", name, measured, aim, verdict(met))
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

func (f *figures) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// progress goes to standard error: standard output is go test's.
func (f *figures) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%8s  %s\n", time.Since(f.began).Round(time.Second), fmt.Sprintf(format, args...))
}

// check fails the run.
func (f *figures) check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// onSmall measures what needs no size, and the tick to compare with.
func (f *figures) onSmall() ticks {
	w := f.newWorld("small", f.sizes.Small)
	defer w.drop()
	w.fill(true)
	w.build()
	t := w.ticks()
	w.joinsVisible()
	w.audit()
	return t
}

func (f *figures) onLarge(small ticks) {
	w := f.newWorld("large", f.sizes.Large)
	defer w.drop()
	w.fill(true)
	w.build()
	large := w.ticks()
	full := w.againstHand()
	w.plans()
	f.compare(small, large, full)
	w.audit()
}

func (f *figures) onJoin() {
	w := f.newWorld("join", f.sizes.Join)
	defer w.drop()
	w.fill(false)
	w.everybodyJoins()
}

const reportPath = "../../docs/benchmarks.md"

// write prints the report and stores it.
func (f *figures) write() {
	text := f.report()
	f.check(os.WriteFile(reportPath, []byte(text), 0o644))
	fmt.Printf("\n%s\n", text)
}

func (f *figures) report() string {
	var s strings.Builder
	s.WriteString("# Benchmarks\n\nWritten by `make bench`; each run replaces it. [Sizes and code](../cmd/dunlin/bench_test.go).\n\n")
	s.WriteString("| figure | measured | aim | |\n|---|---|---|---|\n")
	for _, r := range f.rows {
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", r.name, r.measured, r.aim, verdict(r.met))
	}
	fmt.Fprintf(&s, "\n- Machine: %d cores, %d GB RAM, %s/%s, %s; load before it began: %s\n- Server: %s\n- Date: %s, in %s\n- Command: `%s`\n",
		runtime.NumCPU(), memory()>>30, runtime.GOOS, runtime.GOARCH, runtime.Version(), f.load, f.server,
		f.began.UTC().Format(time.DateOnly), time.Since(f.began).Round(time.Second), f.sizes.command())
	fmt.Fprintf(&s, "- Sizes: %s, %s and %s customers; all but the last with one subscription, one item, one or two invoices and two charges each, and %d segments\n",
		thousands(f.sizes.Small), thousands(f.sizes.Large), thousands(f.sizes.Join), len(benchSegments))
	for _, n := range f.notes {
		s.WriteString("\n" + n + "\n")
	}
	return s.String()
}

// memory is how many bytes the machine has; zero where the system does not say.
func memory() int64 {
	data, _ := os.ReadFile("/proc/meminfo") // Linux
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemTotal:" {
			kB, _ := strconv.ParseInt(fields[1], 10, 64)
			return kB << 10
		}
	}
	return 0
}

// loadAverage is how many processes have been busy, on average of one minute: figures of
// a machine that does other things are not worth much.
func loadAverage() string {
	data, _ := os.ReadFile("/proc/loadavg") // Linux
	first, _, _ := strings.Cut(string(data), " ")
	return cmp.Or(first, "unknown")
}

func thousands[N int | int64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

func median[T cmp.Ordered](list []T) T {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}

// quantile of a sorted list, by the nearest rank.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
