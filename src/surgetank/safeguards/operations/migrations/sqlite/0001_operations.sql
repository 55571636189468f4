-- Operations. `operation` holds what changes and is small; `body` what never does; `step` has a
-- row for a step from the moment it first moves. Times are seconds since 1970 UTC.

create table operation (
    number integer primary key autoincrement, -- order of submission
    id text not null unique,                  -- SHA-256 of the idempotency key, 32 hex digits
    lane text not null check (lane in ('fresh', 'backlog')),
    state text not null,
    queue text,            -- what it waits for: see queue.py; null when nothing is left to do
    run_at real not null,  -- due from then; while leased, the lease ends then
    fence integer not null default 0, -- goes up with every write
    worker text not null default '',
    owed integer not null default 0,  -- optional steps still to be done
    deadline_at real,
    created_at real not null,
    finished_at real,
    detail text not null default ''
) strict;

create index operation_due on operation (queue, run_at) where queue is not null;
create index operation_deadline on operation (deadline_at)
    where deadline_at is not null and state in ('ready', 'waiting');
create index operation_finished on operation (finished_at)
    where finished_at is not null and queue is null;

create table body (
    number integer primary key references operation (number) on delete cascade,
    key text not null,
    kind text not null,
    region text not null,
    steps text not null -- JSON
) strict;

create table step (
    number integer not null references operation (number) on delete cascade,
    position integer not null,
    state text not null,
    tries integer not null,  -- calls begun since it was last put off
    sleeps integer not null, -- times it was blocked
    flags integer not null,  -- 1: on its fallback, 2: owed and given up
    checkpoint text not null,
    detail text not null,
    primary key (number, position)
) strict, without rowid;

-- Counts kept by the database, so that reading them costs the same with ten rows or a million.
create table tally (
    lane text not null,
    state text not null,
    operations integer not null,
    owed integer not null,
    primary key (lane, state)
) strict, without rowid;

create trigger operation_added after insert on operation begin
    insert into tally values (new.lane, new.state, 1, new.owed)
    on conflict do update set operations = operations + 1, owed = owed + excluded.owed;
end;

create trigger operation_moved after update of lane, state, owed on operation
when old.state <> new.state or old.lane <> new.lane or old.owed <> new.owed begin
    update tally set operations = operations - 1, owed = owed - old.owed
    where lane = old.lane and state = old.state;
    insert into tally values (new.lane, new.state, 1, new.owed)
    on conflict do update set operations = operations + 1, owed = owed + excluded.owed;
end;

create trigger operation_forgotten after delete on operation begin
    update tally set operations = operations - 1, owed = owed - old.owed
    where lane = old.lane and state = old.state;
end;
