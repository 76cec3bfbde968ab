-- What the operator has said of peers, registered or not. Who is not in here is free.
CREATE TABLE peer_tiers (
    peer_id TEXT NOT NULL PRIMARY KEY,
    tier    TEXT NOT NULL CHECK (tier IN ('free', 'basic', 'standard', 'premium'))
) STRICT;
