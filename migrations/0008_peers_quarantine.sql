-- Rows of any table that the registry could not read, at most 10,000, the oldest go first. Nothing
-- here counts for anything; delete what you have seen.
CREATE TABLE peers_quarantine (
    id           INTEGER PRIMARY KEY,
    source       TEXT    NOT NULL,
    row          TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    set_aside_at INTEGER NOT NULL
) STRICT;
