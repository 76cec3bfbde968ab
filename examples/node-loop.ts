/** Keeps a node registered until `stop` is aborted. Says each new trouble, and its end, in one line. */
export async function stayRegistered(
  registry: string, node: { peerId: string; addresses: string[]; [field: string]: unknown }, stop?: AbortSignal,
) {
  const url = new URL(registry), headers: Record<string, string> = { "Content-Type": "application/json" };
  const [user, password] = [url.username, url.password].map(decodeURIComponent);
  if (user) headers.Authorization = `Basic ${btoa(`${user}:${password}`)}`;
  url.username = url.password = "";
  const base = url.href.replace(/\/+$/, "");
  let path = "register", intervalSecs = 120, failures = 0, trouble = "", noted = "";
  const print = (text: string) => // texts of others end up in a terminal
    console.error(`${base}: ${text.slice(0, 512).replace(/\p{C}/gu, "?")}`);
  const say = (text: string) => { // once
    if (text !== trouble) print(text || "works again");
    trouble = text;
  };
  while (!stop?.aborted) {
    let waitSecs = Math.random() * Math.min(intervalSecs, 5 ** failures++); // if nothing else is said
    try {
      const body = JSON.stringify(path === "register" ? node : { peerId: node.peerId });
      const signal = AbortSignal.any([AbortSignal.timeout(10_000), ...(stop ? [stop] : [])]);
      const response = await fetch(`${base}/${path}`, { method: "POST", headers, body, redirect: "manual", signal });
      const answer = await response.json().catch(() => null) ?? {}; // a proxy's page is no JSON
      const reason = `${response.status} ${answer.code ?? ""} ${answer.error ?? ""}`.trim();
      if (response.ok && answer.success === true && answer.peerId) { // the id as base58, if it was a CID
        [path, failures] = ["heartbeat", 0];
        intervalSecs = Math.min(Math.max(Number(answer.heartbeatIntervalSecs) || 120, 1), 3600);
        waitSecs = intervalSecs * (0.9 + 0.2 * Math.random()); // nodes started together drift apart
        say("");
        const dropped = (answer.dropped ?? []).map((part: { reason: string }) => part.reason);
        const notes = [...dropped, answer.warning].filter(Boolean).join("; ");
        if (notes && notes !== noted) print(`takes the node, but: ${noted = notes}`);
      } else if (path === "heartbeat" && response.status === 404 && answer.code === "peer_not_found") {
        [path, waitSecs] = ["register", 0]; // at once, but once: then come heartbeats again
      } else if (response.status === 429 || response.status === 503) {
        const after = response.headers.get("Retry-After") ?? ""; // seconds or a date
        const asked = Number(after) || (Date.parse(after) - Date.now()) / 1000 || 5;
        const secs = Math.min(Math.max(asked, 0), 600);
        const spread = secs < 10 ? Math.min(secs, intervalSecs) : intervalSecs; // all are told the same date
        waitSecs = secs + Math.max(Math.random() * spread, waitSecs);
        say(`asks this node to wait: ${response.status} ${answer.code ?? "from a proxy"}`);
      } else if ([400, 403].includes(response.status) && answer.code) {
        say(`refuses the node: ${reason}`);
        waitSecs = 540 + 120 * Math.random();
      } else if (response.status === 0 || (response.status >= 300 && response.status < 400)) {
        const to = response.headers.get("Location")?.replace(/\/(register|heartbeat)$/, "");
        say(`redirects to ${to ?? "another address"}: use that address`);
      } else if (["authentication_required", "invalid_authentication"].includes(answer.code)) {
        say(`refuses the node: ${reason}; the id was proven with its key, and this loop proves nothing`);
        waitSecs = 540 + 120 * Math.random();
      } else if (response.status === 401) say(`fails: ${reason}, write USER:PASSWORD@ into the address`);
      else say(response.ok ? "answers, but not as a registry does" : `fails: ${reason}`);
    } catch (error) {
      const { message, cause } = error as Error;
      if (!stop?.aborted) say(`is not reachable: ${(cause as Error | undefined)?.message || message}`);
    }
    await new Promise<void>((wake) => {
      const timer = setTimeout(done, waitSecs * 1000);
      function done() { clearTimeout(timer); stop?.removeEventListener("abort", done); wake(); }
      stop?.aborted ? done() : stop?.addEventListener("abort", done);
    });
  }
}
