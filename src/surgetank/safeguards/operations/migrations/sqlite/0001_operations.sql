-- Readable from version 1.
-- Operations. `operation` holds what changes and is small; `body` what never does, so that a change
-- does not copy it. Times are seconds since 1970 UTC. Who writes keeps `tally`: no trigger does.

create table operation (
    number integer primary key autoincrement, -- order of submission
    id blob not null unique,          -- names the idempotency key, in 16 bytes: see record.py, identify
    lane text not null check (lane in ('fresh', 'backlog')),
    state text not null,
    queue text,            -- what it waits for: see queue.py; null when nothing is left to do
    run_at real not null,  -- due from then; while leased, the lease ends then
    fence integer not null default 0, -- goes up with every write
    worker text not null default '',
    owed integer not null default 0,  -- optional steps still to be done
    priority integer not null default 0,
    stop text not null default '',    -- while leased: what others want it to become
    let_go integer not null default 0, -- holds numbered up to this one do not hold it
    deadline_at real,
    created_at real not null,
    finished_at real,
    progress text not null default '' -- JSON: how far each step has come; empty before the first write
) strict;

create index operation_due on operation (queue, run_at) where queue is not null;
create index operation_deadline on operation (deadline_at)
    where deadline_at is not null and state in ('ready', 'waiting');
create index operation_finished on operation (finished_at)
    where finished_at is not null and queue is null;

create table body (
    number integer primary key references operation (number) on delete cascade,
    kind text not null,
    region text not null,
    subject text not null,
    content text not null -- JSON: key, generation, steps
) strict;

-- The newest generation that is wanted of each subject.
create table subject (
    name text primary key,
    generation integer not null,
    number integer not null,   -- of the operation that brings it about
    holder integer,            -- number of an older one, whose call was under way when this came
    changed_at real not null
) strict, without rowid;

create index subject_changed on subject (changed_at);

create table hold (
    number integer primary key autoincrement,
    scope text not null,
    name text not null,
    since real not null,
    held_by text not null,
    reason text not null,
    unique (scope, name)
) strict;

-- Counts, so that reading them costs the same with ten rows or a million.
create table tally (
    lane text not null,
    state text not null,
    operations integer not null,
    owed integer not null,
    primary key (lane, state)
) strict, without rowid;
