-- +goose Up
-- The billing picture of each customer: one typed column per attribute of the
-- catalog (customers.Attributes), named like the attribute; money is two columns,
-- name and name_currency. A test holds catalog and columns together.

create table dunlin.customers (
    account_id                   int         not null references dunlin.accounts,
    customer_id                  bigint generated always as identity,
    stripe_id                    text        not null,
    email                        text,
    name                         text,
    first_name                   text,
    country                      text,
    currency                     text,
    metadata                     jsonb       not null default '{}',
    deleted                      boolean     not null default false,
    delinquent                   boolean     not null default false,
    account_balance              numeric,
    account_balance_currency     text,
    plan                         text,
    plan_price                   numeric,
    plan_price_currency          text,
    plan_interval                text,
    plan_interval_count          int,
    subscription_status          text,
    subscription_period_start_at timestamptz,
    mrr                          numeric,
    mrr_currency                 text,
    card_brand                   text,
    card_last4                   text,
    card_expires_at              date,
    last_charge_amount           numeric,
    last_charge_amount_currency  text,
    last_charge_at               timestamptz,
    lifetime_spend               numeric,
    lifetime_spend_currency      text,
    open_invoice_amount          numeric,
    open_invoice_amount_currency text,
    open_invoice_count           int         not null default 0,
    next_charge_at               timestamptz,
    -- Not attributes: what episodes and quiet hours need.
    card_id                      text, -- the payment method behind card_*
    state                        text, -- of the billing address, as Stripe has it
    projected_at                 timestamptz not null, -- business time
    primary key (account_id, customer_id),
    constraint customers_stripe_id unique (account_id, stripe_id)
);

-- Append-only news for the tick, which consumes it with delete … returning.
create table dunlin.changed_customers (
    account_id  int    not null,
    customer_id bigint not null,
    change_id   bigint generated always as identity,
    attributes  text[] not null, -- the catalog names that changed
    primary key (account_id, customer_id, change_id)
);
