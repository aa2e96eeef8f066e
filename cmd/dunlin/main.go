// Command dunlin keeps a company's Stripe data in Postgres, knows which
// customers are in which segment, and sees to it that those who need a word
// about a card or an invoice get one, once, at a decent hour, in Intercom.
//
// Run dunlin --help for the subcommands. Text for people and progress go to
// standard error, what was asked for to standard output; --json prints one
// object per line. The exit status is 0 when done, 1 when it failed, 2 when it
// was used wrongly or a definition is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // quiet hours must not depend on what the machine has installed

	"github.com/alecthomas/kong"

	"github.com/dunlin/dunlin/segments/rule"
	"github.com/dunlin/dunlin/workspace"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is every subcommand; one file each, or one for a family.
type cli struct {
	JSON    bool `help:"Print one JSON object per line on standard output." name:"json"`
	Verbose bool `help:"Log more." short:"v"`

	Demo demoCmd `cmd:"" help:"Watch the whole product work, against a sandbox of Stripe and Intercom."`

	Up    upCmd    `cmd:"" help:"Run both halves: HTTP and jobs." group:"run"`
	Serve serveCmd `cmd:"" help:"Run the HTTP half: webhooks and health." group:"run"`
	Work  workCmd  `cmd:"" help:"Run the jobs half; with --once, catch up, tick, drain and exit (for cron)." group:"run"`
	Stop  stopCmd  `cmd:"" help:"Stop everything that leaves, at once, until dunlin resume." group:"run"`

	Resume  resumeCmd  `cmd:"" help:"Lift a stop." group:"run"`
	Migrate migrateCmd `cmd:"" help:"Bring the database's tables up to date." group:"run"`
	Doctor  doctorCmd  `cmd:"" help:"Check the set-up and say what to do about each finding." group:"run"`
	Version versionCmd `cmd:"" help:"Print the version." group:"run"`

	Sync     syncCmd     `cmd:"" help:"Read the Stripe account into the mirror." group:"data"`
	Stripe   stripeCmd   `cmd:"" help:"Set Stripe up." group:"data"`
	Tick     tickCmd     `cmd:"" help:"Evaluate all segments once, in the foreground." group:"data"`
	Customer customerCmd `cmd:"" name:"customers" help:"Look at customers." group:"data"`
	Intercom intercomCmd `cmd:"" help:"Set Intercom up." group:"data"`

	Plan   planCmd   `cmd:"" help:"Show what definitions would change, and store nothing." group:"definitions"`
	Apply  applyCmd  `cmd:"" help:"Store definitions; starts nothing." group:"definitions"`
	Export exportCmd `cmd:"" help:"Print the definitions in force." group:"definitions"`

	Segments   segmentsCmd   `cmd:"" help:"Check rules, look at segments." group:"definitions"`
	Campaigns  campaignsCmd  `cmd:"" help:"Start, pause and look at campaigns." group:"definitions"`
	Why        whyCmd        `cmd:"" help:"Why a customer hears from a campaign, or does not, and what would change it." group:"work"`
	Deliveries deliveriesCmd `cmd:"" help:"What was sent, skipped, or waits, and why." group:"work"`
	Tasks      tasksCmd      `cmd:"" help:"Follow-up tasks, the most money first." group:"work"`
	Holds      holdsCmd      `cmd:"" help:"Who is not to be contacted, why, and until when." group:"work"`
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	cancel()
	os.Exit(status)
}

// run is the whole program, with everything it touches as an argument.
func run(ctx context.Context, args, environ []string, in io.Reader, out, errs io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("dunlin"),
		kong.Description("Segments over your Stripe data, and the right word in Intercom at the right time."),
		kong.Writers(out, errs),
		kong.Exit(func(status int) { exited = status }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "run", Title: "Run it:"}, {Key: "data", Title: "Data:"},
			{Key: "definitions", Title: "Segments and campaigns:"}, {Key: "work", Title: "What happened:"},
		}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(errs, "dunlin:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	chosen, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(errs, "dunlin: %v\n", err)
		var p *kong.ParseError
		if errors.As(err, &p) && p.Context != nil {
			fmt.Fprintf(errs, "see: dunlin %s --help\n", strings.TrimSpace(strings.TrimPrefix(p.Context.Command(), "dunlin")))
		}
		return exitUsage
	}
	level := slog.LevelInfo
	switch {
	case c.Verbose:
		level = slog.LevelDebug
	case strings.HasPrefix(chosen.Command(), "demo"):
		level = slog.LevelWarn // the demo tells a story; the log would talk over it
	}
	a := &app{
		in: in, out: out, errs: errs, json: c.JSON,
		logger: slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level})),
	}
	slog.SetDefault(a.logger) // for what the mirror holds and nobody can read
	if a.env, err = readEnvironment(environ); err != nil {
		return a.report(&usageError{err})
	}
	return a.report(chosen.Run(ctx, a))
}

// app is what every subcommand works with.
type app struct {
	in        io.Reader
	out, errs io.Writer
	json      bool
	logger    *slog.Logger
	env       environment
}

// usageError is a mistake of whoever gave the command.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// errSilent ends with status 1 after the command has said why itself.
var errSilent = errors.New("already reported")

// report prints what went wrong for the person who can mend it, and returns the
// exit status.
func (a *app) report(err error) int {
	var faults workspace.Faults
	var wrongRule *rule.Error
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.As(err, &faults):
		fmt.Fprint(a.errs, faults.Explain())
		return exitUsage
	case errors.As(err, &wrongRule):
		fmt.Fprint(a.errs, wrongRule.Explain())
		return exitUsage
	case errors.As(err, &usage):
		fmt.Fprintf(a.errs, "dunlin: %v\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(a.errs, "dunlin: interrupted")
		return exitFailed
	}
	fmt.Fprintf(a.errs, "dunlin: %v\n", err)
	return exitFailed
}
