-- Bytes sent on each day, in UTC; those of live TURN sessions are added as the sessions end, and at
-- midnight.
CREATE TABLE traffic_days (
    day           TEXT    NOT NULL PRIMARY KEY CHECK (day IS date(day)),
    http_bytes    INTEGER NOT NULL,
    relayed_bytes INTEGER NOT NULL
) STRICT;

-- How tight the registry is, and what operators have said about it; times in Unix milliseconds.
CREATE TABLE cost_state (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    mode             TEXT    NOT NULL,
    mode_since       INTEGER NOT NULL,
    bill_spend_usd   REAL,
    bill_as_of       INTEGER,
    bill_metered_usd REAL,
    forced_mode      TEXT,
    forced_until     INTEGER,
    CHECK ((bill_spend_usd IS NULL) = (bill_as_of IS NULL)),
    CHECK ((bill_spend_usd IS NULL) = (bill_metered_usd IS NULL)),
    CHECK ((forced_mode IS NULL) = (forced_until IS NULL))
) STRICT;
