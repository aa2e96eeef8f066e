-- +goose Up
-- The mirror: one row per Stripe object per account, written by stripesync
-- only. Mirror tables have no foreign keys, because Stripe's events come in any
-- order. raw is json and not jsonb, so that it stays byte for byte what Stripe
-- sent. as_of is Stripe's clock: the newest as_of wins (DESIGN.md section 6).

create table dunlin.accounts (
    account_id  int generated always as identity primary key,
    name        text        not null unique, -- the {account} of /webhooks/stripe/{account}
    created_at  timestamptz not null,
    mirrored_at timestamptz, -- the first full sync is in the mirror: projection may run
    ready_at    timestamptz  -- every customer is projected: segments may be evaluated (honest-mirror)
);

-- One backfill. It is finished only when every class of it is (honest-mirror).
create table dunlin.sync_runs (
    account_id  int         not null references dunlin.accounts,
    run_id      bigint generated always as identity,
    started_at  timestamptz not null, -- objects created later than this come by webhook
    finished_at timestamptz,
    primary key (account_id, run_id)
);

create table dunlin.sync_progress (
    account_id  int    not null,
    run_id      bigint not null,
    class       text   not null, -- of the list: customers …, archived prices; last attributes, the projection
    cursor      text   not null default '', -- starting_after of the next page; of attributes the last customer
    objects     bigint not null default 0,
    finished_at timestamptz,
    primary key (account_id, run_id, class),
    foreign key (account_id, run_id) references dunlin.sync_runs
);

create table dunlin.stripe_customers (
    account_id int         not null,
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, id)
);

create table dunlin.stripe_subscriptions (
    account_id int         not null,
    customer   text        not null,
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, customer, id)
);

create table dunlin.stripe_invoices (
    account_id int         not null,
    customer   text        not null, -- empty for an invoice without a customer
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, customer, id)
);

create table dunlin.stripe_charges (
    account_id int         not null,
    customer   text        not null, -- empty for a guest's charge
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, customer, id)
);

-- Payment methods and what came before them: card_, src_ and ba_ objects. They
-- arrive inside expanded customers and subscriptions, and by event. A detached
-- one stays with its last customer, deleted.
create table dunlin.stripe_payment_methods (
    account_id int         not null,
    customer   text        not null,
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, customer, id)
);

create table dunlin.stripe_products (
    account_id int         not null,
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, id)
);

create table dunlin.stripe_prices (
    account_id int         not null,
    id         text        not null,
    raw        json        not null,
    as_of      timestamptz not null,
    deleted    boolean     not null default false,
    primary key (account_id, id)
);

-- Every event we answered 2xx to is here, whatever became of it (safe-webhooks).
create table dunlin.stripe_events (
    account_id   int         not null,
    customer     text        not null, -- empty when the event is nobody's
    id           text        not null,
    type         text        not null,
    api_version  text        not null, -- empty when the event had none
    class        text        not null, -- of its object, as in the mirror; empty when we do not mirror it
    object_id    text        not null,
    created      timestamptz not null,
    raw          json        not null,
    received_at  timestamptz not null, -- business time
    -- applied: the mirror holds its payload, or something newer. ignored: we do
    -- not mirror its type, or the fault says why it could not be used.
    state        text        not null default 'stored' check (state in ('stored', 'applied', 'refetched', 'ignored')),
    settled_at   timestamptz,          -- business time
    leased_until timestamptz,          -- machine time: somebody is applying it, or it waits out a fault
    attempts     int         not null default 0,
    fault        text,                 -- why the last attempt to apply it failed, or why it is ignored
    primary key (account_id, customer, id)
);
create index stripe_events_stored on dunlin.stripe_events (account_id, customer, created) where state = 'stored';
