-- +goose Up
-- What may have been done at Intercom is looked for there, until it is found or a
-- person has to say.

alter table dunlin.deliveries
    add column doubted_at timestamptz, -- machine time: since when the outcome is unknown
    add column look_at    timestamptz, -- machine time: of the next look at Intercom, or until when somebody is at one; null: there is no more
    add column looks      int     not null default 0,     -- since doubted_at, that Intercom answered
    add column resent     boolean not null default false; -- on_unknown: resend was followed, which happens once

-- What is unknown from before is looked for, too, and not sent again.
update dunlin.deliveries set doubted_at = clock_timestamp(), look_at = clock_timestamp(), resent = true where state = 'unknown';

create index deliveries_look on dunlin.deliveries (look_at) where look_at is not null;

-- What people say of an outcome, and what was found, stands in the decision log.
alter table dunlin.decisions
    drop constraint decisions_verdict_check,
    add constraint decisions_verdict_check check (verdict in ('send', 'wait', 'skip', 'stop', 'fail', 'settle'));
