-- One row a peer. Times are Unix milliseconds, lists are JSON text. Checks spell out NULL, since the
-- JSON functions of older sqlite3 shells answer it differently.
CREATE TABLE peers (
    id               INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 9007199254740992),
    peer_id          TEXT    NOT NULL UNIQUE CHECK (peer_id <> '' AND peer_id NOT GLOB '*[^A-Za-z0-9._-]*'),
    last_seen        INTEGER NOT NULL,
    registered_at    INTEGER NOT NULL,
    network_id       TEXT,
    version          TEXT,
    crypto_ipv6      TEXT,
    addresses        TEXT    NOT NULL CHECK (json_valid(addresses) AND json_type(addresses) = 'array'),
    privacy_mode     INTEGER NOT NULL CHECK (privacy_mode IN (0, 1)),
    bootstrap_capable INTEGER NOT NULL CHECK (bootstrap_capable IN (0, 1)),
    turn_capable     INTEGER NOT NULL CHECK (turn_capable IN (0, 1)),
    -- A TURN server has all three, any other peer none.
    turn_addresses   TEXT    CHECK (turn_addresses IS NULL OR json_valid(turn_addresses) AND json_type(turn_addresses) = 'array'),
    turn_port        INTEGER CHECK (turn_port BETWEEN 1 AND 65535),
    turn_capacity    INTEGER CHECK (turn_capacity BETWEEN 1 AND 4294967295),
    software_version TEXT,
    server_port      INTEGER CHECK (server_port BETWEEN 1 AND 65535),
    node_type        INTEGER CHECK (node_type BETWEEN 0 AND 65535),
    stores           TEXT    NOT NULL CHECK (json_valid(stores) AND json_type(stores) = 'array'),
    capabilities     TEXT    CHECK (capabilities IS NULL OR json_valid(capabilities)),
    capability_list  TEXT    CHECK (capability_list IS NULL OR json_valid(capability_list)),
    CHECK ((turn_addresses IS NULL) = (turn_port IS NULL)),
    CHECK ((turn_addresses IS NULL) = (turn_capacity IS NULL))
) STRICT;

CREATE INDEX peers_last_seen ON peers (last_seen);
