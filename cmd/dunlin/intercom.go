package main

import (
	"context"
	"strconv"
	"time"

	"github.com/dunlin/dunlin/intercom"
	"github.com/dunlin/dunlin/jobs"
	"github.com/dunlin/dunlin/workspace"
)

type intercomCmd struct {
	Setup intercomSetupCmd `cmd:"" help:"Create the ticket type of follow-up tasks, with its reference attribute."`
}

type intercomSetupCmd struct{}

func (intercomSetupCmd) Help() string {
	return "Finds or creates the back-office ticket type and the attribute that lets a ticket be found again. Running it twice is running it once."
}

// Run sets Intercom up.
func (intercomSetupCmd) Run(ctx context.Context, a *app) error {
	if a.env.IntercomToken == "" {
		return usagef("INTERCOM_ACCESS_TOKEN is not set; setting Intercom up needs it")
	}
	return a.withProduct(ctx, func(p *product) error {
		objects, err := intercom.Setup(ctx, p.intercom, p.Pool, time.Now())
		if err != nil {
			return err
		}
		if a.json {
			return a.line(map[string]string{"ticket_type": objects.TicketType, "reference_attribute": objects.Reference})
		}
		a.say("ticket type %s with attribute %s is ready", objects.TicketType, objects.ReferenceAttribute)
		return nil
	})
}

// intercomFindings is what doctor has to say of Intercom.
func (p *product) intercomFindings(ctx context.Context) ([]intercom.Finding, error) {
	settings, err := workspace.Load(ctx, p.Pool)
	if err != nil {
		return nil, err
	}
	want := intercom.Expected{
		Teams: settings.Teams, Owners: map[string][]int64{}, Import: settings.Import, Settings: jobs.Linking(settings, false),
	}
	for team, rota := range settings.Rotas {
		if len(rota.Owners) > 0 {
			want.Owners[team] = rota.Owners
		}
	}
	if settings.Sender != 0 {
		want.Sender = strconv.FormatInt(settings.Sender, 10)
	}
	return intercom.Check(ctx, p.intercom, p.Pool, want), nil
}
