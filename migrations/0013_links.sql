-- +goose Up
-- Which contact a customer is, in full: written by the intercom package only.

alter table dunlin.links
    add column external_id text, -- the company's own id of the customer, when it was checked
    add column language    text; -- of the contact, as in de or pt-BR

-- Another customer of the same address may have a contact that search does not show yet.
create index links_email on dunlin.links (lower(email)) where contact_id is not null;

-- Addresses, hashed, for which a contact is being made: a handful at a time.
create table dunlin.contact_creations (
    address      text        primary key,
    leased_until timestamptz not null -- machine time
);

-- While customers are imported into Intercom: since when, and where the round
-- through them is. One row, or none while it is off.
create table dunlin.imports (
    one         boolean     primary key default true check (one),
    since       timestamptz not null, -- business time: no older event is sent
    round_at    timestamptz not null, -- machine time: when the round began
    round_until timestamptz,          -- business time up to which the round's events go; null: it is at the customers
    account_id  int         not null default 0, -- after which customer the round goes on
    customer_id bigint      not null default 0,
    event_at    timestamptz,          -- after which event it goes on
    event_id    text        not null default ''
);

-- What was last written to the contact of a customer. Of several customers that
-- are one contact, one is written.
create table dunlin.imported_customers (
    account_id   int         not null,
    customer_id  bigint      not null,
    contact_id   text        not null,
    fingerprint  bytea       not null, -- of the attributes
    written_at   timestamptz not null, -- business time
    primary key (account_id, customer_id)
);

-- Events that were sent, or refused for good, so that each is sent once.
create table dunlin.imported_events (
    account_id  int         not null,
    customer_id bigint      not null,
    id          text        collate "C" not null, -- of dunlin.events
    created_at  timestamptz not null,
    refused     text,                  -- why; null: it was sent
    primary key (account_id, customer_id, id)
);
create index on dunlin.imported_events (created_at);
