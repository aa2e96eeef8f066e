-- +goose Up
-- The ticket of a task that was done lately is looked at, too: somebody may have
-- opened it again, and the notification of that may never have come.
create index tasks_done on dunlin.tasks (done_at) where state = 'done' and ticket_id is not null;
