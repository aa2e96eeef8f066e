-- +goose Up
-- The decision log (every-why): what was decided about a delivery, and everything
-- the decision was made of. Nothing here is ever changed: a month of it is dropped
-- as a whole when it is older than the workspace's retention.

create sequence dunlin.decisions_id;

create table dunlin.decisions (
    account_id  int         not null,
    customer_id bigint      not null,
    decided_at  timestamptz not null, -- business time
    decision_id bigint      not null default nextval('dunlin.decisions_id'), -- orders those of one instant
    campaign    text        not null,
    episode     text        not null,
    step        text        not null,
    at          timestamptz not null default clock_timestamp(), -- machine time
    verdict     text        not null check (verdict in ('send', 'wait', 'skip', 'stop', 'fail')),
    reason      text, -- the branch that was taken; null: nothing stood against it
    until       timestamptz, -- of a wait, business time
    version     int         not null, -- of the campaign
    inputs      jsonb       not null, -- no names, no addresses
    primary key (account_id, customer_id, decided_at, decision_id)
) partition by range (decided_at);

-- Where decisions of a month go that has no partition of its own yet.
create table dunlin.decisions_rest partition of dunlin.decisions default;

-- +goose StatementBegin
create function dunlin.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'dunlin.% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
-- +goose StatementEnd

create trigger decisions_append_only before update or delete or truncate on dunlin.decisions
    for each statement execute function dunlin.refuse_change();

-- keep_decisions makes the partitions of this month and the two that follow, and
-- drops those that ended more than so many months ago, a year's at most. Months
-- are UTC's. It runs with the rights of whoever migrates, so that a worker needs no
-- more of the log than insert and select.
-- +goose StatementBegin
create function dunlin.keep_decisions(now timestamptz, keep_months int, out made int, out dropped int)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '2s'
as $$
declare
    this  timestamp := date_trunc('month', now at time zone 'UTC');
    keep  timestamp := (now at time zone 'UTC') - make_interval(months => keep_months);
    month timestamp;
    part  text;
begin
    made := 0;
    dropped := 0;
    if not pg_try_advisory_xact_lock('dunlin.decisions'::regclass::oid::bigint) then
        return; -- another process is at it
    end if;
    for ahead in 0..2 loop
        month := this + make_interval(months => ahead);
        part := 'decisions_' || to_char(month, 'YYYY_MM');
        continue when to_regclass('dunlin.' || part) is not null;
        -- Who logs a decision meanwhile waits, and does not end up in the rest when
        -- its own month is there. Attached, and not made as a partition: that would
        -- need a lock that holds up readers, too.
        lock table dunlin.decisions in share row exclusive mode;
        lock table dunlin.decisions_rest in access exclusive mode;
        execute format('create table dunlin.%I (like dunlin.decisions including all)', part);
        execute format('with moved as (delete from dunlin.decisions_rest where decided_at >= %L and decided_at < %L returning *)
                        insert into dunlin.%I select * from moved', month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC', part);
        execute format('alter table dunlin.decisions attach partition dunlin.%I for values from (%L) to (%L)',
                       part, month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
        made := made + 1;
    end loop;
    for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'dunlin.decisions'::regclass and c.relname ~ '^decisions_\d{4,}_\d\d$'
          and to_date(substr(c.relname, 11), 'YYYY_MM') + interval '1 month' <= keep
        order by 1 limit 12
    loop
        execute format('drop table dunlin.%I', part);
        dropped := dropped + 1;
    end loop;
    delete from dunlin.decisions_rest where ctid = any (array(
        select ctid from dunlin.decisions_rest where decided_at < keep at time zone 'UTC' limit 10000));
end $$;
-- +goose StatementEnd

revoke all on function dunlin.keep_decisions from public;
