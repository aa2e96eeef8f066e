package sandbox

// A Record is what the product says became of one delivery.
type Record struct {
	Due
	Kind    string // as of [Accepted]
	Contact string // Intercom's id; empty: it had none
	ID      string // Intercom's id of what was made; empty: not known, or nothing was
	State   string // sent and unknown mean what they say; any other means that nothing reached Intercom
}

// judgeRecords holds the records against what was accepted, one by one. What
// Intercom has several times is for judgeDuplicates.
func (j *judge) judgeRecords() {
	if j.Records == nil {
		return
	}
	type made struct{ kind, contact, id string }
	type meant struct{ kind, contact, campaign, step string }
	byID, byMeaning := map[made]*sent{}, map[meant][]*sent{}
	for n := range j.sent {
		s := &j.sent[n]
		byID[made{s.Kind, s.Contact, s.ID}] = s
		m := meant{s.Kind, s.Contact, s.about.campaign, s.about.step}
		byMeaning[m] = append(byMeaning[m], s)
	}
	known := map[*sent]bool{}
	for _, r := range j.Records {
		m := meant{r.Kind, r.Contact, r.Campaign, r.Step}
		switch {
		case r.State != "sent" || r.ID == "":
		case r.Kind == "tag":
			if len(byMeaning[m]) == 0 {
				j.disagree("the records call the tag of %s/%s sent, of %s, and contact %s never got it", r.Campaign, r.Step, r.Customer, r.Contact)
			}
		case counted(r.Kind):
			s := byID[made{r.Kind, r.Contact, r.ID}]
			if s == nil || known[s] {
				j.disagree("the records call %s %s of %s/%s sent, of %s, and Intercom has none for contact %s", r.Kind, r.ID, r.Campaign, r.Step, r.Customer, r.Contact)
				continue
			}
			known[s] = true
		}
	}
	for _, r := range j.Records {
		if r.State != "unknown" {
			continue
		}
		for _, s := range byMeaning[meant{r.Kind, r.Contact, r.Campaign, r.Step}] {
			if !known[s] {
				known[s] = true
				break
			}
		}
	}
	for n := range j.sent {
		if s := &j.sent[n]; counted(s.Kind) && !known[s] && !s.doubled {
			j.found(&j.verdict.Disagreements, s.At, "disagreement: the records do not know %s", s)
		}
	}
}

// disagree counts a finding that has no time but the end.
func (j *judge) disagree(format string, args ...any) {
	j.found(&j.verdict.Disagreements, j.Until, "disagreement: "+format, args...)
}

// counted are the kinds of which each one is seen by somebody and has an id.
func counted(kind string) bool { return kind == "message" || kind == "ticket" || kind == "note" }
