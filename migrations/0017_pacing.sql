-- +goose Up
-- How much of Intercom's rate limit is used, shared by all processes: written by
-- the intercom package only. Losing it costs a careful start, so it stays out of
-- the log.
create unlogged table dunlin.intercom_windows (
    app           text        primary key, -- a digest of host and token: an app in a workspace
    revision      bigint      not null,    -- of this row; a process writes only what it has read
    number        bigint      not null,    -- of the window, from 1
    reset         bigint      not null,    -- Intercom's name of the newest window it told of: X-RateLimit-Reset; 0: none
    known         boolean     not null,    -- an answer has told of this window; until then few calls leave
    allowed       int         not null,    -- calls in a window
    used          int         not null,    -- of them: leased by processes, or used as Intercom says
    percent       int         not null,    -- of allowed that is used; less than 100 after a 429 that allowed does not explain
    pressed       bigint      not null,    -- number of the window that had such a 429 last; 0: none
    ends_at       timestamptz not null,    -- machine time
    blocked_until timestamptz              -- machine time; after a 429 nothing leaves before then
);
