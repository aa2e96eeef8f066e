-- +goose Up
-- The attributes that were missing, and the cards of a customer. Numbers that
-- Stripe sends are numeric, because some have no bound; those that we count are
-- int. Lists and counts are never missing: of nothing they are empty and 0.

alter table dunlin.customers
    add column account                      text, -- its name in dunlin.accounts
    add column livemode                     boolean,
    add column created_at                   timestamptz,
    add column subscription_period_end_at   timestamptz,
    add column subscription_count           int     not null default 0,
    add column quantity                     numeric,
    add column plans                        text[]  not null default '{}',
    add column trial_ends_at                timestamptz,
    add column cancels_at                   timestamptz,
    add column canceled_at                  timestamptz,
    add column cancellation_reason          text,
    add column collection_paused            boolean,
    add column coupon                       text,
    add column coupon_ends_at               timestamptz,
    add column card_wallet                  text,
    add column card_updated_at              timestamptz,
    add column payment_method_type          text,
    add column payment_count                int     not null default 0,
    add column last_payment_at              timestamptz,
    add column last_payment_amount          numeric,
    add column last_payment_amount_currency text,
    add column failed_payment_count         int     not null default 0,
    add column last_failure_at              timestamptz,
    add column last_failure_reason          text,
    add column oldest_open_invoice_due_at   timestamptz,
    add column invoice_attempt_count        numeric,
    add column next_payment_attempt_at      timestamptz;

create table dunlin.cards (
    account_id  int         not null,
    customer_id bigint      not null,
    id          text        collate "C" not null,
    created_at  timestamptz not null,
    brand       text,
    last4       text,
    expires_at  date, -- the last good day
    is_default  boolean,
    wallet      text,
    funding     text,
    country     text, -- of the bank
    metadata    jsonb,
    fingerprint bigint      not null default 0,
    primary key (account_id, customer_id, id)
);

create index on dunlin.customers (created_at) include (account_id, customer_id) where created_at is not null;
create index on dunlin.customers (subscription_period_end_at) include (account_id, customer_id) where subscription_period_end_at is not null;
create index on dunlin.customers (trial_ends_at) include (account_id, customer_id) where trial_ends_at is not null;
create index on dunlin.customers (cancels_at) include (account_id, customer_id) where cancels_at is not null;
create index on dunlin.customers (canceled_at) include (account_id, customer_id) where canceled_at is not null;
create index on dunlin.customers (coupon_ends_at) include (account_id, customer_id) where coupon_ends_at is not null;
create index on dunlin.customers (card_updated_at) include (account_id, customer_id) where card_updated_at is not null;
create index on dunlin.customers (last_payment_at) include (account_id, customer_id) where last_payment_at is not null;
create index on dunlin.customers (last_failure_at) include (account_id, customer_id) where last_failure_at is not null;
create index on dunlin.customers (oldest_open_invoice_due_at) include (account_id, customer_id) where oldest_open_invoice_due_at is not null;
create index on dunlin.customers (next_payment_attempt_at) include (account_id, customer_id) where next_payment_attempt_at is not null;
create index on dunlin.customers (last_payment_amount_currency, last_payment_amount) where last_payment_amount is not null;

create index on dunlin.cards (created_at) include (account_id, customer_id);
create index on dunlin.cards (expires_at) include (account_id, customer_id) where expires_at is not null;

-- The view names its columns: account is the account's own name, also before the
-- customer has been projected again.
drop view dunlin.customer_attributes;
create view dunlin.customer_attributes as
select a.name as account, c.account_id, c.customer_id, c.stripe_id, c.email, c.name, c.first_name, c.country, c.currency, c.metadata, c.deleted,
       c.delinquent, c.account_balance, c.account_balance_currency, c.plan, c.plan_price, c.plan_price_currency, c.plan_interval,
       c.plan_interval_count, c.subscription_status, c.subscription_period_start_at, c.mrr, c.mrr_currency, c.card_brand, c.card_last4,
       c.card_expires_at, c.last_charge_amount, c.last_charge_amount_currency, c.last_charge_at, c.lifetime_spend, c.lifetime_spend_currency,
       c.open_invoice_amount, c.open_invoice_amount_currency, c.open_invoice_count, c.next_charge_at, c.card_id, c.state, c.projected_at,
       c.livemode, c.created_at, c.subscription_period_end_at, c.subscription_count, c.quantity, c.plans, c.trial_ends_at, c.cancels_at,
       c.canceled_at, c.cancellation_reason, c.collection_paused, c.coupon, c.coupon_ends_at, c.card_wallet, c.card_updated_at,
       c.payment_method_type, c.payment_count, c.last_payment_at, c.last_payment_amount, c.last_payment_amount_currency,
       c.failed_payment_count, c.last_failure_at, c.last_failure_reason, c.oldest_open_invoice_due_at, c.invoice_attempt_count,
       c.next_payment_attempt_at
from dunlin.customers c
join dunlin.accounts a using (account_id);

-- Customers of before lack all of this, and nobody may be evaluated against what
-- is not there yet (honest-mirror): as in 0007, what is in the mirror stays, each
-- account gets a run of nothing but the projection, and is ready again after it.

insert into dunlin.sync_runs (account_id, started_at)
select account_id, ready_at from dunlin.accounts where ready_at is not null;

insert into dunlin.sync_progress (account_id, run_id, class)
select a.account_id, max(r.run_id), 'attributes'
from dunlin.accounts a join dunlin.sync_runs r using (account_id)
where a.ready_at is not null group by a.account_id;

update dunlin.accounts set ready_at = null where ready_at is not null;

-- A first projection that was under way starts again.
update dunlin.sync_progress set cursor = '', objects = 0 where class = 'attributes' and finished_at is null;
