-- +goose Up
-- Since when a campaign enrolls whom it enrolls: its start, or its last edit to
-- another segment, episode or trigger. What happened before does not trigger it
-- (no-surprise-blast). Null: it was never started.
alter table dunlin.campaigns add column scoped_at timestamptz;
update dunlin.campaigns set scoped_at = started_at;
