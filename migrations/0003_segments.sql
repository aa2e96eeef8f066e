-- +goose Up
-- Segments and who is in them. Definitions are immutable versions.

create table dunlin.segments (
    name         text primary key,
    version      int         not null,
    evaluated_at timestamptz, -- business time of the last tick that looked at everybody
    evaluated_as text,        -- the rule and its bounds then, hashed: the same again leaves only changed customers to look at
    fault        text         -- why the last tick could not
);

create table dunlin.segment_versions (
    name        text        not null references dunlin.segments deferrable initially deferred,
    version     int         not null,
    description text        not null,
    rule        text        not null, -- the source; the tree is derived from it
    created_at  timestamptz not null,
    primary key (name, version)
);

-- One evaluation at one instant. at never goes back.
create table dunlin.ticks (
    tick_id     bigint generated always as identity primary key,
    at          timestamptz not null, -- business time
    started_at  timestamptz not null default clock_timestamp(), -- machine time
    finished_at timestamptz,
    joined      int not null default 0,
    left_       int not null default 0
);
create index ticks_at on dunlin.ticks (at desc);

create table dunlin.members (
    account_id  int         not null,
    customer_id bigint      not null,
    segment     text        not null,
    joined_at   timestamptz not null,
    primary key (account_id, customer_id, segment)
);
create index members_segment on dunlin.members (segment, account_id, customer_id);

create table dunlin.membership_log (
    account_id  int         not null,
    customer_id bigint      not null,
    segment     text        not null,
    tick_id     bigint      not null,
    change      text        not null check (change in ('join', 'leave')),
    at          timestamptz not null,
    primary key (account_id, customer_id, segment, tick_id)
);
create index membership_log_tick on dunlin.membership_log (tick_id, segment);
