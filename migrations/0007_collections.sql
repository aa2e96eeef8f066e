-- +goose Up
-- The elements of a customer's collections: one row for each, one typed column
-- per field of the catalog (customers.Attributes), named like the field; money
-- is two columns, name and name_currency. Null is missing. The projection writes
-- them from the mirror, of which they are no part. A test holds catalog, columns
-- and indexes together.
--
-- Ids are collate "C" because ties of created_at are broken by bytes. The
-- fingerprint is of all other columns: a projection reads it to find the few rows
-- that are no longer what the mirror says.

create table dunlin.subscriptions (
    account_id          int         not null,
    customer_id         bigint      not null,
    id                  text        collate "C" not null,
    created_at          timestamptz not null,
    status              text,
    plan                text,
    plan_price          numeric,
    plan_price_currency text,
    plan_interval       text,
    plan_interval_count numeric,
    quantity            numeric,
    mrr                 numeric,
    mrr_currency        text,
    currency            text,
    period_start_at     timestamptz,
    period_end_at       timestamptz,
    trial_ends_at       timestamptz,
    cancels_at          timestamptz,
    canceled_at         timestamptz,
    cancellation_reason text,
    collection_method   text,
    collection_paused   boolean,
    metadata            jsonb,
    fingerprint         bigint      not null default 0,
    primary key (account_id, customer_id, id)
);

create table dunlin.subscription_items (
    account_id          int         not null,
    customer_id         bigint      not null,
    id                  text        collate "C" not null,
    created_at          timestamptz not null,
    subscription        text, -- its id
    status              text, -- of the subscription
    plan                text,
    plan_price          numeric,
    plan_price_currency text,
    plan_interval       text,
    plan_interval_count numeric,
    quantity            numeric,
    mrr                 numeric,
    mrr_currency        text,
    product             text, -- its id
    price               text, -- its id
    metered             boolean,
    fingerprint         bigint      not null default 0,
    primary key (account_id, customer_id, id)
);

create table dunlin.invoices (
    account_id                int         not null,
    customer_id               bigint      not null,
    id                        text        collate "C" not null,
    created_at                timestamptz not null,
    number                    text,
    status                    text,
    currency                  text,
    total                     numeric,
    total_currency            text,
    amount_due                numeric,
    amount_due_currency       text,
    amount_paid               numeric,
    amount_paid_currency      text,
    amount_remaining          numeric,
    amount_remaining_currency text,
    due_at                    timestamptz,
    finalized_at              timestamptz,
    paid_at                   timestamptz,
    next_payment_attempt_at   timestamptz,
    attempt_count             numeric,
    collection_method         text,
    billing_reason            text,
    subscription              text, -- its id
    metadata                  jsonb,
    fingerprint               bigint      not null default 0,
    primary key (account_id, customer_id, id)
);

create table dunlin.charges (
    account_id               int         not null,
    customer_id              bigint      not null,
    id                       text        collate "C" not null,
    created_at               timestamptz not null,
    status                   text,
    amount                   numeric,
    amount_currency          text,
    amount_captured          numeric,
    amount_captured_currency text,
    amount_refunded          numeric,
    amount_refunded_currency text,
    currency                 text,
    captured                 boolean,
    refunded                 boolean,
    disputed                 boolean,
    failure_code             text,
    failure_message          text,
    payment_method_type      text,
    invoice                  text, -- its id
    description              text,
    metadata                 jsonb,
    fingerprint              bigint      not null default 0,
    primary key (account_id, customer_id, id)
);

-- A tick looks for the owners of dates and instants that its bounds have passed:
-- each such column has an index on it alone. A range implies that the column is
-- not null, so nulls, which most are, need not be in it.

create index on dunlin.customers (subscription_period_start_at) include (account_id, customer_id) where subscription_period_start_at is not null;
create index on dunlin.customers (card_expires_at) include (account_id, customer_id) where card_expires_at is not null;
create index on dunlin.customers (last_charge_at) include (account_id, customer_id) where last_charge_at is not null;
create index on dunlin.customers (next_charge_at) include (account_id, customer_id) where next_charge_at is not null;

create index on dunlin.subscriptions (created_at) include (account_id, customer_id);
create index on dunlin.subscriptions (period_start_at) include (account_id, customer_id) where period_start_at is not null;
create index on dunlin.subscriptions (period_end_at) include (account_id, customer_id) where period_end_at is not null;
create index on dunlin.subscriptions (trial_ends_at) include (account_id, customer_id) where trial_ends_at is not null;
create index on dunlin.subscriptions (cancels_at) include (account_id, customer_id) where cancels_at is not null;
create index on dunlin.subscriptions (canceled_at) include (account_id, customer_id) where canceled_at is not null;

create index on dunlin.subscription_items (created_at) include (account_id, customer_id);

create index on dunlin.invoices (created_at) include (account_id, customer_id);
create index on dunlin.invoices (due_at) include (account_id, customer_id) where due_at is not null;
create index on dunlin.invoices (finalized_at) include (account_id, customer_id) where finalized_at is not null;
create index on dunlin.invoices (paid_at) include (account_id, customer_id) where paid_at is not null;
create index on dunlin.invoices (next_payment_attempt_at) include (account_id, customer_id) where next_payment_attempt_at is not null;

create index on dunlin.charges (created_at) include (account_id, customer_id);

-- For counts and previews. Amounts are compared within one currency only; plans
-- also by how they begin.

create index on dunlin.customers (account_balance_currency, account_balance) where account_balance is not null;
create index on dunlin.customers (plan_price_currency, plan_price) where plan_price is not null;
create index on dunlin.customers (mrr_currency, mrr) where mrr is not null;
create index on dunlin.customers (last_charge_amount_currency, last_charge_amount) where last_charge_amount is not null;
create index on dunlin.customers (lifetime_spend_currency, lifetime_spend) where lifetime_spend is not null;
create index on dunlin.customers (open_invoice_amount_currency, open_invoice_amount) where open_invoice_amount is not null;
create index on dunlin.customers (subscription_status);
create index on dunlin.customers (plan text_pattern_ops) where plan is not null;

-- Customers of before have no elements yet, and nobody may be evaluated against
-- empty collections (honest-mirror). What is in the mirror stays; each account
-- gets a run of nothing but the projection, and is ready again after it.

insert into dunlin.sync_runs (account_id, started_at)
select account_id, ready_at from dunlin.accounts where ready_at is not null;

insert into dunlin.sync_progress (account_id, run_id, class)
select a.account_id, max(r.run_id), 'attributes'
from dunlin.accounts a join dunlin.sync_runs r using (account_id)
where a.ready_at is not null group by a.account_id;

update dunlin.accounts set ready_at = null where ready_at is not null;

-- A first projection that was under way starts again.
update dunlin.sync_progress set cursor = '', objects = 0 where class = 'attributes' and finished_at is null;
