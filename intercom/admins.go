package intercom

import "context"

// An Identity is whom a token speaks for: a teammate and their workspace.
type Identity struct {
	AdminID  string
	Seat     bool   // the teammate has an inbox seat
	AppID    string // the workspace's id_code
	Timezone string // the workspace's, an IANA name
	Region   string // US, EU or AU: where the workspace is hosted
}

// Me returns whom the token speaks for. It is the proof that a token works.
func (c *Client) Me(ctx context.Context) (Identity, error) {
	var out struct {
		ID   text `json:"id"`
		Seat flag `json:"has_inbox_seat"`
		App  struct {
			IDCode   text `json:"id_code"`
			Timezone text `json:"timezone"`
			Region   text `json:"region"`
		} `json:"app"`
	}
	err := c.do(ctx, call{op: "GET /me", path: []string{"me"}, out: &out, ok: func() bool { return out.ID != "" }})
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		AdminID:  string(out.ID),
		Seat:     bool(out.Seat),
		AppID:    string(out.App.IDCode),
		Timezone: string(out.App.Timezone),
		Region:   string(out.App.Region),
	}, nil
}

// An Admin is a teammate.
type Admin struct {
	ID   string
	Seat bool // has an inbox seat: replies reach somebody
	Away bool // in away mode
}

// Admins returns all teammates of the workspace, those without a seat included.
func (c *Client) Admins(ctx context.Context) ([]Admin, error) {
	var out struct {
		Admins []struct {
			ID   text `json:"id"`
			Seat flag `json:"has_inbox_seat"`
			Away flag `json:"away_mode_enabled"`
		} `json:"admins"`
	}
	if err := c.do(ctx, call{op: "GET /admins", path: []string{"admins"}, out: &out}); err != nil {
		return nil, err
	}
	admins := make([]Admin, len(out.Admins))
	for i, a := range out.Admins {
		admins[i] = Admin{ID: string(a.ID), Seat: bool(a.Seat), Away: bool(a.Away)}
	}
	return admins, nil
}

// A Team is an inbox that tickets can be assigned to.
type Team struct{ ID, Name string }

// Teams returns all teams of the workspace.
func (c *Client) Teams(ctx context.Context) ([]Team, error) {
	var out struct {
		Teams []struct {
			ID   text `json:"id"`
			Name text `json:"name"`
		} `json:"teams"`
	}
	if err := c.do(ctx, call{op: "GET /teams", path: []string{"teams"}, out: &out}); err != nil {
		return nil, err
	}
	teams := make([]Team, len(out.Teams))
	for i, t := range out.Teams {
		teams[i] = Team{ID: string(t.ID), Name: string(t.Name)}
	}
	return teams, nil
}
