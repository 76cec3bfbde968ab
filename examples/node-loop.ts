/** Keeps a node registered for as long as the process lives. */
export async function stayRegistered(registry: string, node: { peerId: string; addresses: string[] }) {
  const headers = { "Content-Type": "application/json" };
  let path = "register", intervalSecs = 120, failures = 0;
  for (;;) {
    let waitSecs = Math.random() * Math.min(intervalSecs, 5 ** failures++); // if nothing else is said
    try {
      const body = JSON.stringify(path === "register" ? node : { peerId: node.peerId });
      const options = { method: "POST", headers, body, redirect: "error", signal: AbortSignal.timeout(10_000) } as const;
      const response = await fetch(`${registry}/${path}`, options);
      const answer = await response.json().catch(() => ({})); // a proxy's page is no JSON
      if (response.ok && answer.peerId === node.peerId) {
        [path, failures] = ["heartbeat", 0];
        intervalSecs = Math.min(Math.max(Number(answer.heartbeatIntervalSecs) || 120, 1), 3600);
        waitSecs = intervalSecs * (0.9 + 0.2 * Math.random()); // nodes started together drift apart
      } else if (path === "heartbeat" && response.status === 404 && answer.code === "peer_not_found") {
        [path, waitSecs] = ["register", 0]; // at once, but once: then come heartbeats again
      } else if (response.status === 429 || response.status === 503) {
        const after = response.headers.get("Retry-After") ?? ""; // seconds or a date
        const asked = Number(after) || (Date.parse(after) - Date.now()) / 1000 || 5;
        const secs = Math.min(Math.max(asked, 0), 600);
        const spread = secs < 10 ? Math.min(secs, intervalSecs) : intervalSecs; // all are told the same date
        waitSecs = secs + Math.max(Math.random() * spread, waitSecs);
      } else if ([400, 403].includes(response.status) && answer.code) {
        const words = String(answer.error).slice(0, 512).replace(/\p{C}/gu, "?"); // they end up in a terminal
        console.error(`${registry} refuses the node: ${words}`);
        waitSecs = 540 + 120 * Math.random();
      }
    } catch {} // out of reach
    await new Promise((wake) => setTimeout(wake, waitSecs * 1000));
  }
}
