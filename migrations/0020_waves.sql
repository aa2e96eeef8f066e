-- +goose Up
-- A wave of deliveries, decided and claimed within minutes of each other.

-- Room on each page for what a poke and a claim change in a row: without it every
-- change of a row that was just made writes all its indexes again.
alter table dunlin.enrollments set (fillfactor = 80);
alter table dunlin.deliveries set (fillfactor = 80);

-- one-budget: what a contact was sent lately. The predicate keeps the planner from
-- asking deliveries_customer_contacted for a contact, which it finds cheaper as
-- long as statistics say that nobody was contacted yet, and which then reads all
-- that were.
drop index dunlin.deliveries_contacted;
create index deliveries_contacted on dunlin.deliveries (contact_id, contacted_at) where contact_id is not null;
