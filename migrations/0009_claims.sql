-- Ids whose keys were proven; proven_at is Unix milliseconds. Until 30 days after that, writes in the name
-- of such an id must prove its key. Delete a row to let anybody register the id again, e.g. after its
-- owner has lost the key.
CREATE TABLE claims (
    peer_id   TEXT    NOT NULL PRIMARY KEY CHECK (peer_id <> '' AND peer_id NOT GLOB '*[^A-Za-z0-9._-]*'),
    proven_at INTEGER NOT NULL CHECK (proven_at BETWEEN 0 AND 253402300799999)
) STRICT, WITHOUT ROWID;

-- Whether the sender of this registration proved to hold the key of peer_id.
ALTER TABLE peers ADD COLUMN authenticated INTEGER NOT NULL DEFAULT 0 CHECK (authenticated IN (0, 1));
