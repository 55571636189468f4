-- Readable from version 1.
-- Governors that the workers of one host share. Times in `state` are on the host's own clock.

create table governor (
    dependency text primary key,
    state text not null               -- JSON with a version: see ledger_text.py
) strict, without rowid;
