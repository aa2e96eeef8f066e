-- +goose Up
-- When campaigns were started, paused and resumed, so that it can be told of any
-- instant (every-why); and from when a step counts that was planned after its
-- enrollment began.

create table dunlin.campaign_states (
    state_id bigint      generated always as identity primary key,
    campaign text        not null references dunlin.campaigns,
    state    text        not null check (state in ('running', 'paused')),
    since    timestamptz not null -- business time
);
create index campaign_states_campaign on dunlin.campaign_states (campaign, since);

-- What was before is not known: only how each campaign stands now.
insert into dunlin.campaign_states (campaign, state, since)
select name, state, now() from dunlin.campaigns where state <> 'draft';

-- Of a step that came with a move to another version, or was superseded and got
-- its chance after all: its time is not before this, so that it does not expire
-- for what happened before. Business time; null: it was planned at enrollment.
alter table dunlin.deliveries add column not_before timestamptz;
