-- +goose Up
-- Whose news an event about a refund or a dispute is.

-- Its charge: the event names no customer, and the charge's must not be written to
-- before it is applied (no-stale-contact). Null for all other events.
alter table dunlin.stripe_events add column charge text;

-- Of those that wait: as text, because not all that Postgres stores as json it reads.
update dunlin.stripe_events set charge = substring(raw::text from '"charge"\s*:\s*"([A-Za-z0-9_]{1,255})"')
where state = 'stored' and customer = '' and class in ('refunds', 'disputes');

create index stripe_events_charge on dunlin.stripe_events (account_id, charge) where state = 'stored' and charge is not null;
