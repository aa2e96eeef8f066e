-- +goose Up
-- What is asked of tasks and enrollments when their day is over.

-- The ticket of a task that was done lately is looked at, too: somebody may have
-- opened it again, and the notification of that may never have come.
create index tasks_done on dunlin.tasks (done_at) where state = 'done' and ticket_id is not null;

-- every-why: which version an enrollment was on before it was moved to another.
create table dunlin.enrollment_moves (
    account_id  int         not null,
    customer_id bigint      not null,
    campaign    text        not null,
    episode     text        not null,
    moved_at    timestamptz not null, -- business time
    version     int         not null, -- until then
    primary key (account_id, customer_id, campaign, episode, moved_at)
);
