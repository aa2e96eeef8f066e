-- +goose Up
-- For analysts: these three keep their names and columns (DESIGN.md section 11).

create view dunlin.customer_attributes as
select a.name as account, c.*
from dunlin.customers c
join dunlin.accounts a using (account_id);

create view dunlin.segment_members as
select a.name as account, m.segment, c.stripe_id, m.joined_at
from dunlin.members m
join dunlin.accounts a using (account_id)
join dunlin.customers c using (account_id, customer_id);

create view dunlin.contact_log as
select a.name as account, c.stripe_id, d.campaign, d.episode, d.step, d.action, d.state, d.reason,
       d.scheduled_at, d.claimed_at, d.ended_at, d.contact_id, d.external_id
from dunlin.deliveries d
join dunlin.accounts a using (account_id)
join dunlin.customers c using (account_id, customer_id)
where d.state <> 'planned';
