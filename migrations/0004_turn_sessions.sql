-- One row a TURN session, live until expires_at and kept for late reports a while longer. Times are
-- Unix milliseconds. What it relayed is what was reported, or else accrued_bytes until rate_from and
-- mbps since then; booked_bytes of that are in traffic_days, as of booked_until.
CREATE TABLE turn_sessions (
    session_id     TEXT    NOT NULL PRIMARY KEY,
    peer_id        TEXT    NOT NULL,
    server_id      TEXT    NOT NULL,
    tier           TEXT    NOT NULL CHECK (tier IN ('free', 'basic', 'standard', 'premium')),
    mbps           INTEGER NOT NULL CHECK (mbps BETWEEN 1 AND 100000),
    granted_at     INTEGER NOT NULL CHECK (granted_at BETWEEN 0 AND 253402300799999),
    expires_at     INTEGER NOT NULL CHECK (expires_at BETWEEN granted_at AND 253402300799999),
    rate_from      INTEGER NOT NULL CHECK (rate_from BETWEEN granted_at AND expires_at),
    accrued_bytes  INTEGER NOT NULL CHECK (accrued_bytes BETWEEN 0 AND 4611686018427387904),
    reported_bytes INTEGER          CHECK (reported_bytes BETWEEN 0 AND 4611686018427387904),
    booked_bytes   INTEGER NOT NULL CHECK (booked_bytes BETWEEN 0 AND 4611686018427387904),
    booked_until   INTEGER NOT NULL CHECK (booked_until BETWEEN granted_at AND expires_at)
) STRICT;

CREATE INDEX turn_sessions_expires_at ON turn_sessions (expires_at);
