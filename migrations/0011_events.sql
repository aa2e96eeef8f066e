-- +goose Up
-- Refunds, disputes and events of a customer, and what their attributes were.

create table dunlin.refunds (
    account_id      int         not null,
    customer_id     bigint      not null,
    id              text        collate "C" not null,
    created_at      timestamptz not null,
    amount          numeric,
    amount_currency text,
    status          text,
    reason          text,
    charge          text,
    fingerprint     bigint      not null default 0,
    primary key (account_id, customer_id, id)
);
create index on dunlin.refunds (created_at) include (account_id, customer_id);

create table dunlin.disputes (
    account_id      int         not null,
    customer_id     bigint      not null,
    id              text        collate "C" not null,
    created_at      timestamptz not null,
    amount          numeric,
    amount_currency text,
    status          text,
    reason          text,
    evidence_due_at timestamptz,
    charge          text,
    fingerprint     bigint      not null default 0,
    primary key (account_id, customer_id, id)
);
create index on dunlin.disputes (created_at) include (account_id, customer_id);
create index on dunlin.disputes (evidence_due_at) include (account_id, customer_id) where evidence_due_at is not null;

create table dunlin.events (
    account_id      int         not null,
    customer_id     bigint      not null,
    id              text        collate "C" not null, -- type:object, so that each is there once
    created_at      timestamptz not null,
    type            text,
    object          text,
    amount          numeric,
    amount_currency text,
    fingerprint     bigint      not null default 0,
    primary key (account_id, customer_id, id)
);
create index on dunlin.events (created_at) include (account_id, customer_id);

-- What attributes were before each change: the picture of a past instant is
-- today's, with the changes since then undone, the newest first.
create table dunlin.customer_history (
    account_id  int         not null,
    customer_id bigint      not null,
    history_id  bigint      generated always as identity,
    changed_at  timestamptz not null, -- business time
    was         jsonb       not null, -- by name, of those that changed; null: missing
    primary key (account_id, customer_id, history_id)
);

-- Since when changes are kept of a customer: of those from before, since they are
-- projected again.
alter table dunlin.customers add column known_since timestamptz not null default clock_timestamp(); -- business time
update dunlin.customers set known_since = 'infinity';

-- The view of 0009, and one column more.
create or replace view dunlin.customer_attributes as
select a.name as account, c.account_id, c.customer_id, c.stripe_id, c.email, c.name, c.first_name, c.country, c.currency, c.metadata, c.deleted,
       c.delinquent, c.account_balance, c.account_balance_currency, c.plan, c.plan_price, c.plan_price_currency, c.plan_interval,
       c.plan_interval_count, c.subscription_status, c.subscription_period_start_at, c.mrr, c.mrr_currency, c.card_brand, c.card_last4,
       c.card_expires_at, c.last_charge_amount, c.last_charge_amount_currency, c.last_charge_at, c.lifetime_spend, c.lifetime_spend_currency,
       c.open_invoice_amount, c.open_invoice_amount_currency, c.open_invoice_count, c.next_charge_at, c.card_id, c.state, c.projected_at,
       c.livemode, c.created_at, c.subscription_period_end_at, c.subscription_count, c.quantity, c.plans, c.trial_ends_at, c.cancels_at,
       c.canceled_at, c.cancellation_reason, c.collection_paused, c.coupon, c.coupon_ends_at, c.card_wallet, c.card_updated_at,
       c.payment_method_type, c.payment_count, c.last_payment_at, c.last_payment_amount, c.last_payment_amount_currency,
       c.failed_payment_count, c.last_failure_at, c.last_failure_reason, c.oldest_open_invoice_due_at, c.invoice_attempt_count,
       c.next_payment_attempt_at, c.known_since
from dunlin.customers c
join dunlin.accounts a using (account_id);

-- As in 0007 and 0009: accounts are projected again. There were no refunds and
-- disputes in the mirror, so that their lists are read, too, up to now.
insert into dunlin.sync_runs (account_id, started_at)
select account_id, ready_at from dunlin.accounts where ready_at is not null;

insert into dunlin.sync_progress (account_id, run_id, class)
select a.account_id, max(r.run_id), 'attributes'
from dunlin.accounts a join dunlin.sync_runs r using (account_id)
where a.ready_at is not null group by a.account_id;

update dunlin.accounts set ready_at = null where ready_at is not null;
update dunlin.sync_progress set cursor = '', objects = 0 where class = 'attributes' and finished_at is null;

update dunlin.sync_runs r set started_at = clock_timestamp()
where finished_at is null and not exists (
    select from dunlin.sync_progress p where p.account_id = r.account_id and p.run_id = r.run_id and p.class <> 'attributes');

insert into dunlin.sync_progress (account_id, run_id, class)
select r.account_id, r.run_id, l.class
from dunlin.sync_runs r cross join (values ('refunds'), ('disputes')) as l (class)
where r.finished_at is null
on conflict do nothing;
