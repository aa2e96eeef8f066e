-- +goose Up
-- Tasks with an owner, and with a ticket that is followed both ways. What is known
-- of the ticket stands beside what the task says: the difference is what Intercom
-- has to be told, and what is seen to differ from the known is news from there.

alter table dunlin.tasks
    add column owner                bigint,      -- Intercom admin; null: it waits in the team's queue
    add column assigned_at          timestamptz, -- business time; null: it was never handed out
    add column done_because         text,        -- contacted, done or ticket by people; else why the enrollment ended
    add column stays                boolean     not null default false, -- somebody opened it again: it is open until it is done
    add column note                 text,        -- for colleagues, to be added to the ticket
    add column notes                int         not null default 0, -- so many were written; it numbers them
    add column contact_note         text,        -- Intercom's id of the note that took the ticket's place
    add column ticket_resolved      boolean     not null default false,
    add column ticket_owner         bigint,
    add column ticket_snoozed_until timestamptz,
    add column ticket_at            timestamptz, -- Intercom's clock: of what is known
    add column ask_at               timestamptz, -- business time of the next look at the ticket; null: at once
    add column leased_until         timestamptz, -- machine time: somebody is at it, or it rests after a failure
    add column attempts             int         not null default 0, -- failed, in a row
    add column detail               text,        -- what Intercom said when it went wrong
    add column untold               boolean     not null generated always as (
        ticket_id is not null and (
            (state = 'done') <> ticket_resolved
            or owner is not null and owner is distinct from ticket_owner
            or snoozed_until is not null and snoozed_until is distinct from ticket_snoozed_until
            or note is not null)) stored;

update dunlin.tasks set done_because = 'done' where state = 'done';

create unique index tasks_ticket_id on dunlin.tasks (ticket_id) where ticket_id is not null;
create index tasks_open on dunlin.tasks (owner, team) where state = 'open';
create index tasks_untold on dunlin.tasks (task_id) where untold;
create index tasks_ask on dunlin.tasks (ask_at) where state = 'open' and ticket_id is not null;
create index tasks_assigned on dunlin.tasks (owner, assigned_at) where owner is not null;

-- News of tickets as Intercom posted them, each once.
create table dunlin.intercom_news (
    id         text        primary key, -- Intercom's: a notification comes more than once
    topic      text        not null,
    created_at timestamptz not null, -- Intercom's clock
    item       json        not null, -- as it was posted
    stored_at  timestamptz not null, -- business time
    taken_at   timestamptz           -- business time
);
create index intercom_news_waiting on dunlin.intercom_news (created_at) where taken_at is null;
create index intercom_news_taken on dunlin.intercom_news (taken_at) where taken_at is not null;
