-- +goose Up
-- A customer has few deliveries: those that reached them are found by the primary
-- key as fast, and every claim had to keep this index.
drop index dunlin.deliveries_customer_contacted;
