-- +goose Up
-- Which Intercom contact a customer is, and what we need to know of it before
-- we write: written by the intercom package only.

create table dunlin.links (
    account_id  int         not null,
    customer_id bigint      not null,
    state       text        not null check (state in ('linked', 'none', 'ambiguous')),
    contact_id  text,
    role        text,        -- user or lead, as Intercom has it
    email       text,        -- the address it was matched on
    timezone    text,        -- IANA name, from the contact attribute of the settings
    country     text,        -- from Intercom's location, alpha-2
    region      text,
    opted_out   text,        -- why it may not be contacted; null when it may
    checked_at  timestamptz not null, -- business time
    primary key (account_id, customer_id),
    constraint links_contact check ((state = 'linked') = (contact_id is not null))
);
create index links_contact_id on dunlin.links (contact_id) where contact_id is not null;

-- What dunlin intercom setup and tag steps made or found at Intercom: ids by name.
create table dunlin.intercom_objects (
    name       text primary key, -- ticket_type, reference_attribute, tag:NAME (lower case)
    id         text        not null,
    label      text        not null, -- what Intercom calls it; tickets name their attributes by it
    checked_at timestamptz not null  -- business time
);
