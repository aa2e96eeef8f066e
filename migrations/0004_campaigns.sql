-- +goose Up
-- What is said to whom. Definitions are immutable versions; an enrollment is
-- pinned to one of them.

-- The workspace's settings, every version of them; the newest is in force.
create table dunlin.workspace (
    version    int         primary key,
    source     text        not null, -- yaml
    created_at timestamptz not null
);

-- dunlin stop: while a row here has no lifted_at, nothing leaves.
create table dunlin.stops (
    stop_id    bigint generated always as identity primary key,
    stopped_at timestamptz not null,
    lifted_at  timestamptz
);
create unique index stops_one_open on dunlin.stops ((true)) where lifted_at is null;

create table dunlin.campaigns (
    name       text primary key,
    version    int  not null,
    state      text not null default 'draft' check (state in ('draft', 'running', 'paused')),
    started_at timestamptz -- of the first start; joins before it are existing members
);

create table dunlin.campaign_versions (
    name       text        not null references dunlin.campaigns deferrable initially deferred,
    version    int         not null,
    source     text        not null, -- yaml
    created_at timestamptz not null,
    primary key (name, version)
);

-- One customer's passage through one campaign for one episode.
create table dunlin.enrollments (
    account_id  int         not null,
    customer_id bigint      not null,
    campaign    text        not null,
    episode     text        not null,
    version     int         not null,
    state       text        not null check (state in ('active', 'finished', 'exited')),
    reason      text, -- why it ended
    enrolled_at timestamptz not null,
    starts_at   timestamptz not null, -- nothing happens before: later than enrolled_at on quick re-entry
    ended_at    timestamptz,
    primary key (account_id, customer_id, campaign, episode),
    foreign key (campaign, version) references dunlin.campaign_versions (name, version)
);
create index enrollments_active on dunlin.enrollments (campaign, account_id, customer_id) where state = 'active';

-- One row for each step of an enrollment: its effect on the outside world. The
-- claim is committed before the call leaves, so claimed with a lapsed lease
-- means: outcome unknown.
create table dunlin.deliveries (
    account_id   int         not null,
    customer_id  bigint      not null,
    campaign     text        not null,
    episode      text        not null,
    step         text        not null, -- the step's name: the same in every version
    action       text        not null check (action in ('message', 'task', 'tag')),
    state        text        not null check (state in ('planned', 'claimed', 'sent', 'skipped', 'failed', 'unknown')),
    reason       text,                 -- why skipped, failed, unknown, or what a planned one waits for
    scheduled_at timestamptz,          -- the step's own time, not before the enrollment's start; null while its anchor is missing
    due_at       timestamptz,          -- when to decide (again); not before scheduled_at
    expires_at   timestamptz,          -- not sent by then: skipped
    decided_at   timestamptz,          -- business time of the last decision
    attempts     int         not null default 0, -- claims so far; more than one only after a call that surely did nothing
    token        uuid,                 -- of the attempt that holds the claim
    leased_until timestamptz,          -- machine time
    poked_until  timestamptz,          -- machine time: a job for it is on its way until then
    claimed_at   timestamptz,          -- business time
    ended_at     timestamptz,          -- business time of the terminal state
    contact_id   text,                 -- the Intercom contact it was claimed for
    external_id  text,                 -- Intercom's id of what we made
    detail       text,                 -- what Intercom said when it went wrong
    -- one-contact: campaigns.Store relies on the name.
    constraint deliveries_one_contact primary key (account_id, customer_id, campaign, episode, step),
    foreign key (account_id, customer_id, campaign, episode) references dunlin.enrollments
);
create index deliveries_due on dunlin.deliveries (due_at) where state = 'planned';
create index deliveries_claimed on dunlin.deliveries (leased_until) where state = 'claimed';

-- Follow-up for a colleague. It is a row of ours first, a ticket second.
create table dunlin.tasks (
    account_id    int         not null,
    customer_id   bigint      not null,
    campaign      text        not null,
    episode       text        not null,
    step          text        not null,
    task_id       bigint generated always as identity,
    title         text        not null,
    body          text        not null,
    team          text        not null,
    state         text        not null default 'open' check (state in ('open', 'done')),
    money_at_risk numeric,
    money_at_risk_currency text,
    opened_at     timestamptz not null,
    due_at        timestamptz not null,
    snoozed_until timestamptz,
    done_at       timestamptz,
    ticket_id     text,
    primary key (account_id, customer_id, campaign, episode, step),
    foreign key (account_id, customer_id, campaign, episode, step) references dunlin.deliveries
);
create unique index tasks_task_id on dunlin.tasks (task_id);
