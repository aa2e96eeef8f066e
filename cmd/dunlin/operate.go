package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dunlin/dunlin/campaigns"
	"github.com/dunlin/dunlin/workspace"
)

type stopCmd struct{}

func (stopCmd) Help() string {
	return "From the next claim on, no message, ticket or tag leaves, in any process, whatever is restarted. What is due waits, named. A call already on its way is not recalled."
}

// Run stops.
func (stopCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		if err := workspace.Stop(ctx, db.Pool, time.Now()); err != nil {
			return err
		}
		if a.json {
			return a.line(map[string]bool{"stopped": true})
		}
		a.say("stopped: nothing leaves until dunlin resume")
		return nil
	})
}

type resumeCmd struct{}

// Run lifts the stop and lets what waited for it be decided afresh.
func (resumeCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(db *database) error {
		var was bool
		err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) (err error) {
			if was, err = workspace.Resume(ctx, tx, time.Now()); err != nil || !was {
				return err
			}
			return campaigns.Awaken(ctx, tx, campaigns.Stopped, time.Now())
		})
		switch {
		case err != nil:
			return err
		case a.json:
			return a.line(map[string]bool{"stopped": false, "was_stopped": was})
		case was:
			a.say("resumed: what waited is decided afresh")
		default:
			a.say("nothing was stopped")
		}
		return nil
	})
}

type migrateCmd struct{}

// Run migrates; opening the database does.
func (migrateCmd) Run(ctx context.Context, a *app) error {
	return a.withDatabase(ctx, func(*database) error {
		a.say("the database is up to date")
		return nil
	})
}

type versionCmd struct{}

// version is set by the linker (see Makefile); go install sets the module's.
var version string

// Run prints what this binary was built from.
func (versionCmd) Run(a *app) error {
	version, revision, goVersion := version, "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
		if v := info.Main.Version; version == "" && v != "" && v != "(devel)" {
			version = v
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	if version == "" {
		version = "development"
	}
	if a.json {
		return a.line(map[string]string{"version": version, "revision": revision, "go": goVersion})
	}
	fmt.Fprintf(a.out, "dunlin %s %s %s\n", version, revision, goVersion)
	return nil
}
