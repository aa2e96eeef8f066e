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

-- The import of customers into Intercom: since when it is on, and where the round
-- through customers and then events is. One row, or none while it is off.
create table dunlin.imports (
    one          boolean     primary key default true check (one),
    since        timestamptz not null, -- business time: no older event is sent
    at_events    boolean     not null default false, -- the round is through with the customers
    account_id   int         not null default 0,     -- after which customer it goes on, or after which event
    customer_id  bigint      not null default 0,
    event_at     timestamptz,
    event_id     text        not null default '',
    next_at      timestamptz, -- machine time: when the next round begins; null: one is under way
    leased_until timestamptz  -- machine time: somebody is at it
);

-- What was last written to the contact of a customer. Of several customers that
-- are one contact, one is written.
create table dunlin.imported_customers (
    account_id   int         not null,
    customer_id  bigint      not null,
    contact_id   text        not null,
    fingerprint  bytea       not null, -- of the attributes; empty: they were refused
    projected_at timestamptz not null, -- of the picture they are from
    primary key (account_id, customer_id)
);
create index on dunlin.imported_customers (contact_id);

-- Events that were sent, or never will be, so that each is sent once.
create table dunlin.imported_events (
    account_id  int         not null,
    customer_id bigint      not null,
    id          text        collate "C" not null, -- of dunlin.events
    created_at  timestamptz not null,
    refused     text,       -- why it was not, or may not have been; null: it was sent
    primary key (account_id, customer_id, id)
);
create index on dunlin.imported_events (created_at);
