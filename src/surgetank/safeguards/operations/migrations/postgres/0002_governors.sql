-- Readable from version 1.
-- Governors that workers share: one row for each dependency. Times in `state` are on this server's
-- clock.

create table surgetank.governor (
    dependency text collate "C" primary key,
    state text -- JSON with a version: see ledger_text.py; null before the first exchange has ended
) with (
    fillfactor = 50, -- Each exchange writes the row anew: beside the old one, and so in no index.
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0
);
