-- +goose Up
-- Reasons not to contact a customer that somebody gave. An open dispute is one,
-- too, and is read from dunlin.disputes.

create table dunlin.holds (
    account_id  int         not null,
    customer_id bigint      not null,
    hold_id     bigint      generated always as identity,
    kind        text        not null check (kind in ('manual', 'promise')),
    reason      text        not null check (reason <> ''),
    set_by      text        not null,
    set_at      timestamptz not null, -- business time
    until       timestamptz,          -- business time, excluded; null: until it is lifted
    lifted_by   text,
    lifted_at   timestamptz,          -- business time; null: nobody lifted it
    primary key (account_id, customer_id, hold_id),
    constraint holds_ends_later check (until > set_at),
    constraint holds_promise_ends check (kind <> 'promise' or until is not null)
);
create unique index holds_hold_id on dunlin.holds (hold_id);
