-- The active peers with times for a person to read. Leases stand still while the registry is down,
-- so if it has not been heard of for a fifth of the timeout (it speaks up every tenth), the view
-- shows the leases as they stood when it was last alive.
CREATE VIEW active_peers AS
WITH wall AS (
    SELECT *, CAST(strftime('%s', 'now') AS INTEGER) * 1000 AS now FROM registry_state
),
moment AS (
    SELECT peer_timeout_ms,
           CASE WHEN now BETWEEN alive_at AND alive_at + peer_timeout_ms / 5
                THEN now ELSE alive_at END AS as_of
    FROM wall
),
lease AS (
    SELECT peers.*,
           peer_timeout_ms - (as_of - last_seen) + (
               SELECT coalesce(sum(ended_at - started_at), 0)
               FROM outages WHERE started_at >= last_seen
           ) AS left_ms
    FROM peers, moment
)
SELECT peer_id,
       datetime(last_seen / 1000, 'unixepoch') AS last_seen_utc,
       left_ms / 1000 AS lease_secs_left,
       datetime(registered_at / 1000, 'unixepoch') AS registered_utc,
       network_id,
       version,
       crypto_ipv6,
       addresses,
       turn_addresses,
       turn_port
FROM lease
WHERE left_ms >= 0
ORDER BY peer_id;
