-- +goose Up
-- A generation is one list of a segment's members: everybody for whom one
-- version of its rule was true, kept up to date by every tick from the pass that
-- made it on. The one that segments.generation names is in force; another of the
-- same segment is being built beside it, or was replaced by it.

create table dunlin.generations (
    generation int generated always as identity primary key,
    segment    text        not null references dunlin.segments,
    version    int         not null,
    zone       text        not null, -- of the workspace: members depend on it,
    currency   text        not null, -- on this,
    accounts   int[]       not null, -- and on which accounts are ready
    why        text        not null, -- it was built
    opened_at  timestamptz not null, -- business time
    members    bigint      not null default 0,
    -- The pass that builds it goes through the customers by key. Up to this one
    -- everybody is in the list, or is not, as of the last tick.
    passed_account  int    not null default 0,
    passed_customer bigint not null default 0,
    missed     text, -- why changes have passed it by: it must be built anew
    missed_at  timestamptz, -- and the last instant as of which it was exact
    state      text        not null default 'building' check (state in ('building', 'live', 'old'))
);
create unique index generations_one_building on dunlin.generations (segment) where state = 'building';
create unique index generations_one_live on dunlin.generations (segment) where state = 'live';

alter table dunlin.segments
    add column generation int references dunlin.generations, -- in force; null: none was built yet, and nobody is a member
    -- Joins and leaves against the generation before it have been told of the
    -- customers up to this one. A null customer: of everybody.
    add column replaced      int references dunlin.generations,
    add column told_account  int,
    add column told_customer bigint,
    add column evaluate      text not null default '', -- every …; empty: with every tick
    -- What is usual: how many members it had, and when.
    add column usual         bigint,
    add column usual_at      timestamptz,
    add column waits         text, -- an unusual change, until somebody accepts it: its campaigns wait
    add column accepted      boolean not null default false, -- since the last tick
    add column expects_until timestamptz, -- an unusual change, accepted when it was applied: none after this
    add column audited_at    timestamptz,
    add column drift         bigint not null default 0, -- of the last audit
    drop column evaluated_as;
alter table dunlin.segment_versions add column evaluate text not null default '';

-- What a day of the workspace and its accounts were is not known of the lists
-- from before; with an empty zone the next tick builds them anew.
insert into dunlin.generations (segment, version, zone, currency, accounts, why, opened_at, state)
select name, version, '', '', '{}', 'new', evaluated_at, 'live' from dunlin.segments where evaluated_at is not null;
update dunlin.segments s set generation = g.generation from dunlin.generations g where g.segment = s.name;

drop view dunlin.segment_members;
alter table dunlin.members add column generation int;
update dunlin.members m set generation = s.generation from dunlin.segments s where s.name = m.segment;
delete from dunlin.members where generation is null;
alter table dunlin.members drop constraint members_pkey;
drop index dunlin.members_segment;
alter table dunlin.members
    drop column segment,
    alter column generation set not null,
    add primary key (account_id, customer_id, generation);
create index members_generation on dunlin.members (generation, account_id, customer_id);
update dunlin.generations g set members = (select count(*) from dunlin.members m where m.generation = g.generation);

alter table dunlin.membership_log drop constraint membership_log_change_check;
-- episode: a member's card or open invoices are others than before.
alter table dunlin.membership_log add constraint membership_log_change_check check (change in ('join', 'leave', 'episode'));

create view dunlin.segment_members as
select a.name as account, s.name as segment, c.stripe_id, m.joined_at
from dunlin.segments s
join dunlin.members m using (generation)
join dunlin.accounts a using (account_id)
join dunlin.customers c using (account_id, customer_id);
