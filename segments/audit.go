package segments

import (
	"context"
	"fmt"
	"time"
)

// An Audit compared the list of a segment with its rule, over every customer.
type Audit struct {
	Segment string `json:"segment"`
	Members int64  `json:"members"`
	Missing int64  `json:"missing"` // were not in the list, and should have been
	Surplus int64  `json:"surplus"` // were, and should not
}

// auditEvery is how often, in business time, each list is audited unasked.
const auditEvery = 24 * time.Hour

// auditOne audits the list in force when it is its turn. A tick audits one
// segment, because it takes as long as evaluating everybody.
func (e *evaluation) auditOne(ctx context.Context, s *state) error {
	if s.building != nil || s.live.Missed != "" || s.told != beyond || s.Evaluate != "" || s.flipped && e.audit == nil {
		return nil
	}
	if e.audit != nil && !e.audit(s.Name) ||
		e.audit == nil && (e.audited || s.AuditedAt == nil || e.tick.At.Sub(*s.AuditedAt) < auditEvery) {
		return nil
	}
	e.audited = true
	m, err := e.amongAll(ctx, s, s.live, stretch{}, beyond)
	if err != nil {
		return err
	}
	e.moved[s.Name] = append(e.moved[s.Name], m.refs()...)
	// Whoever wrote members by hand did not keep count either.
	err = e.tx.QueryRow(ctx, `
		update dunlin.generations g set members = (select count(*) from dunlin.members m where m.generation = g.generation)
		where generation = $1 returning members`, s.live.ID).Scan(&s.live.Members)
	if err != nil {
		return fmt.Errorf("count members: %w", err)
	}
	a := Audit{s.Name, s.live.Members, m.joined, m.left}
	e.tick.Audits = append(e.tick.Audits, a)
	if a.Missing+a.Surplus > 0 {
		e.logger.Error("membership had drifted; repaired", "segment", s.Name, "missing", a.Missing, "surplus", a.Surplus)
	}
	_, err = e.tx.Exec(ctx, `update dunlin.segments set audited_at = $2, drift = $3 where name = $1`, s.Name, e.tick.At, a.Missing+a.Surplus)
	if err != nil {
		return fmt.Errorf("record the audit: %w", err)
	}
	return nil
}
