package stripesync

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A page is one answer to a list request.
type page struct {
	rows   []row
	n      int       // objects
	last   string    // id of the last one: where the next page starts
	oldest time.Time // when the last one was made; zero when it does not say
	more   bool
}

func (s *Sync) readPage(ctx context.Context, run run, p *part) (page, error) {
	got, err := s.stripe.get(ctx, p.path, p.values(p.from, p.until, run, p.cursor, pageSize), pageTries)
	if err != nil {
		return page{}, err
	}
	body, err := readList(p.path, got.raw)
	if err != nil {
		return page{}, err
	}
	out := page{more: body.HasMore && len(body.Data) > 0}
	for _, raw := range body.Data {
		h, err := readHead(raw)
		if err != nil || h.id == "" {
			return page{}, fmt.Errorf("GET %s: an object in the answer has no id", p.path)
		}
		out.last, out.oldest = h.id, h.created
		if !h.created.IsZero() && (h.created.Before(p.from) || !p.until.IsZero() && !h.created.Before(p.until)) {
			continue // somebody else's, since the part was divided
		}
		out.n++
		out.rows = append(out.rows, listedRow(p.class, h, raw, got.asOf)...)
	}
	out.rows, err = s.withUnsaid(ctx, out.rows)
	return out, err
}

// listedRow is an object of a list, with what is expanded inside it.
func listedRow(class class, h head, raw []byte, asOf time.Time) []row {
	r := row{ref: ref{class, "", h.id}, raw: raw, asOf: asOf, deleted: h.deleted}
	switch {
	case class == customerClass:
		r.customer = h.id
	case class.owned():
		r.customer = h.customer
	}
	return withExpanded(r)
}

// A listBody is Stripe's envelope of a list.
type listBody struct {
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
}

func readList(path string, raw []byte) (listBody, error) {
	var body listBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return body, fmt.Errorf("GET %s: the answer is no list: %w", path, err)
	}
	return body, nil
}
