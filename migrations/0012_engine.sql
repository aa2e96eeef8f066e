-- +goose Up
-- What the whole campaign language needs of enrollments and deliveries.

alter table dunlin.enrollments
    add column anchored_at timestamptz, -- the event that triggered it: what its steps count from; null: starts_at
    add column held_out   boolean,     -- nothing is done to the person, to compare; null: not decided yet
    add column goal_until timestamptz, -- until then the goal is looked for; null: there is none
    add column goal_at    timestamptz; -- business time at which it was seen to be reached
create index enrollments_goal on dunlin.enrollments (campaign, version, account_id, customer_id) where goal_until is not null and goal_at is null;
create index enrollments_versions on dunlin.enrollments (campaign, version) where state = 'active';

alter table dunlin.deliveries drop constraint deliveries_action_check;
alter table dunlin.deliveries
    add constraint deliveries_action_check
        check (action in ('message', 'task', 'tag', 'untag', 'event', 'note', 'attributes', 'webhook')),
    add column contacts     boolean  not null default false, -- it reaches the customer
    add column priority     smallint not null default 50,    -- of its campaign
    add column variant      text,                            -- of its message, when there are several
    add column contacted_at timestamptz;                     -- business time from which it counts in the contact budget

update dunlin.deliveries set contacts = true,
       contacted_at = case when state in ('claimed', 'sent', 'unknown') then claimed_at end
where action = 'message';

-- one-budget: what reached a person lately, by contact, and by customer where no
-- contact was known.
create index deliveries_contacted on dunlin.deliveries (contact_id, contacted_at) where contacted_at is not null;
create index deliveries_customer_contacted on dunlin.deliveries (account_id, customer_id, contacted_at) where contacted_at is not null;
