-- What outage credit is reckoned from: when the registry was last known to work, and the stretches
-- of time, in Unix milliseconds, in which it did not. An outage older than every lease is dropped.
CREATE TABLE registry_state (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    alive_at        INTEGER NOT NULL,
    peer_timeout_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE outages (
    started_at INTEGER PRIMARY KEY,
    ended_at   INTEGER NOT NULL CHECK (ended_at > started_at)
) STRICT;
