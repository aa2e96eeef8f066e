-- +goose Up
-- Which calls of a delivery count as tried in vain.

-- attempts counts claims, also those that were given back before their call. How
-- often a call was made and answered with a no that may pass is counted apart.
alter table dunlin.deliveries
    add column failure  text,                   -- what the last such answer said; null: there was none
    add column failures int not null default 0; -- such answers in a row
