-- +goose Up
-- Catch-up: what is known of Stripe's own list of events, and what reading cost.

alter table dunlin.accounts
    -- The Stripe account, acct_…, that the name stands for. Null: no key has told yet.
    add column stripe_id text,
    -- Stripe's clock: what Stripe has told up to here is stored. Null: no sync has finished.
    add column feed_until timestamptz,
    -- Why the lists have to be read again: events that nobody stored are gone from
    -- Stripe's list, too. Null: they do not.
    add column resync text;

-- Accounts that were synced before catch-up: up to their last sync, what came by
-- webhook since then notwithstanding. A run of the projection alone has read no
-- list.
update dunlin.accounts a set feed_until = (
    select max(r.started_at) from dunlin.sync_runs r
    where r.account_id = a.account_id and r.finished_at is not null and exists (
        select from dunlin.sync_progress p where p.account_id = r.account_id and p.run_id = r.run_id and p.class <> 'attributes'))
where mirrored_at is not null;

-- A list is read in parts, by when its objects were made, several at a time.
alter table dunlin.sync_progress drop constraint sync_progress_pkey;
alter table dunlin.sync_progress
    add column part    int not null default 0,
    add column made_from  timestamptz, -- objects made at this instant or later; null: from the first one on
    add column made_until timestamptz, -- objects made before this instant; null: until the run's start, inclusive
    add primary key (account_id, run_id, class, part);

-- A sync that was broken off also reads what is new.
insert into dunlin.sync_progress (account_id, run_id, class)
select r.account_id, r.run_id, c.class from dunlin.sync_runs r cross join (values ('refunds'), ('disputes')) c (class)
where r.finished_at is null and exists (
    select from dunlin.sync_progress p where p.account_id = r.account_id and p.run_id = r.run_id and p.class <> 'attributes');

-- GETs sent to Stripe, which counts them against the account's read allocation.
create table dunlin.stripe_reads (
    account_id int    not null,
    month      date   not null, -- the first of it, in UTC
    reads      bigint not null,
    primary key (account_id, month)
);

-- What comparing the mirror with Stripe found, one row for each class and time.
create table dunlin.stripe_comparisons (
    account_id  int         not null,
    compared_at timestamptz not null, -- business time
    class       text        not null,
    compared    int         not null, -- objects
    differed    int         not null, -- of them: not in the mirror, or other than at Stripe; repaired
    primary key (account_id, compared_at, class)
);

-- Money that went back. Both are kept by the customer of their charge.
create table dunlin.stripe_refunds (
    account_id int         not null,
    customer   text        not null, -- empty for a guest's charge
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, customer, id)
);

create table dunlin.stripe_disputes (
    account_id int         not null,
    customer   text        not null, -- empty for a guest's charge
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, customer, id)
);

-- The items of subscriptions that have more than Stripe puts inside them.
create table dunlin.stripe_subscription_items (
    account_id int         not null,
    customer   text        not null,
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, customer, id)
);

-- Stripe's JSON is large enough to be compressed. With lz4, where the server was
-- built with it, that takes a fraction of the time.
-- +goose StatementBegin
do $$
declare
    mirror text;
begin
    for mirror in
        select table_name from information_schema.columns
        where table_schema = 'dunlin' and column_name = 'raw' and table_name like 'stripe\_%'
    loop
        execute format('alter table dunlin.%I alter column raw set compression lz4', mirror);
    end loop;
exception
    when feature_not_supported then null;
end $$;
-- +goose StatementEnd
