/** Keeps a node registered for as long as the process lives. */
export async function stayRegistered(registry: string, node: { peerId: string; addresses: string[] }) {
  const headers = { "Content-Type": "application/json" };
  let path = "register", intervalSecs = 120, failures = 0;
  for (;;) {
    let waitSecs = Math.random() * Math.min(intervalSecs, 5 ** failures++); // if nothing else is said
    try {
      const body = JSON.stringify(path === "register" ? node : { peerId: node.peerId });
      const signal = AbortSignal.timeout(10_000);
      const response = await fetch(`${registry}/${path}`, { method: "POST", headers, body, signal });
      const answer = await response.json().catch(() => ({})); // a proxy's page is no JSON
      if (response.ok && answer.peerId === node.peerId) {
        [path, failures, intervalSecs] = ["heartbeat", 0, answer.heartbeatIntervalSecs || 120];
        waitSecs = intervalSecs * (0.9 + 0.2 * Math.random()); // nodes started together drift apart
      } else if (path === "heartbeat" && response.status === 404 && answer.code === "peer_not_found") {
        [path, waitSecs] = ["register", 0]; // at once, but once: then come heartbeats again
      } else if (response.status === 429 || response.status === 503) {
        const after = response.headers.get("Retry-After") ?? ""; // seconds or a date
        const secs = Number(after) || (Date.parse(after) - Date.now()) / 1000 || 5;
        waitSecs += Math.min(Math.max(secs, 0), 600);
      } else if (response.status < 500 && answer.code) {
        console.error(`${registry} refuses the node: ${answer.error}`);
        waitSecs = 600;
      }
    } catch {} // out of reach
    await new Promise((wake) => setTimeout(wake, waitSecs * 1000));
  }
}
