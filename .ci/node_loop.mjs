// Runs the loop of examples/node-loop.ts, compiled, against the real server:
// node .ci/node_loop.mjs SERVER LOOP.js
//
// Waits for log lines of the server, never for a fixed time; everything must happen within the
// deadline.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [binary, loop] = process.argv.slice(2).map((path) => resolve(path));
const folder = mkdtempSync(join(tmpdir(), "node-loop-"));
const database = join(folder, "peers.db");
const sql = (text) => execFileSync("sqlite3", [database, ".timeout 5000", text]).toString();
let server;
const finish = (code) => {
  server?.process.kill("SIGKILL");
  rmSync(folder, { recursive: true });
  process.exit(code);
};
// The test listens to console.error below; its own fault must be seen all the same.
const print = console.error;
process.on("uncaughtException", (error) => { print(error); finish(1); });
setTimeout(() => { throw new Error("not done in time"); }, 120_000);

/** Starts the server; `line` waits for its next log line that contains `words`. */
async function start(addr) {
  const env = { LISTEN_ADDR: addr, DATABASE_URL: `sqlite://${database}`, RUST_LOG: "debug",
    HEARTBEAT_INTERVAL_SECS: "1", PEER_TIMEOUT_SECS: "2" };
  const child = spawn(binary, { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  const lines = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
  const line = async (words) => {
    for (;;) {
      const { value, done } = await lines.next();
      assert(!done, `the server ended before it said ${words}`);
      if (value.includes(words)) return value;
    }
  };
  const said = await line("listening on http://");
  return { process: child, line, addr: said.match(/http:\/\/([^ ]+)/)[1] };
}

/** The requests of the loop, their responses, and the times of both. */
const exchanges = [];
const unwrapped = fetch;
globalThis.fetch = async (url, options) => {
  const exchange = { path: new URL(url).pathname, at: performance.now() };
  exchanges.push(exchange);
  const response = await unwrapped(url, options);
  exchange.status = response.status;
  exchange.retryAfter = response.headers.get("Retry-After");
  exchange.answered = performance.now();
  return response;
};

server = await start("127.0.0.1:0");
const { stayRegistered } = await import(pathToFileURL(loop));
const peerId = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const node = { peerId, addresses: ["/ip6/fd00::1/tcp/4001"], networkId: "mainnet" };
const stop = new AbortController();
// A trailing slash in the address is no fault.
const ended = stayRegistered(`http://${server.addr}/`, node, stop.signal);

console.log("registers and sends heartbeats, as often as it is told");
await server.line(`registered peer=${peerId}`);
for (let count = 0; count < 3; count++) await server.line(`heartbeat peer=${peerId}`);
assert.deepEqual(exchanges.slice(0, 4).map(({ path }) => path), ["/register", "/heartbeat", "/heartbeat", "/heartbeat"]);
for (let at = 1; at < 4; at++) {
  const pause = exchanges[at].at - exchanges[at - 1].answered;
  assert(pause >= 890 && pause < 2000, `a pause of ${pause} ms instead of a second, give or take a tenth`);
}

console.log("is forgotten, and registers again, once");
sql("DELETE FROM peers");
await server.line("refused an unknown peer");
await server.line(`registered peer=${peerId}`);
await server.line(`heartbeat peer=${peerId}`);
assert.equal(exchanges.filter(({ path }) => path === "/register").length, 2);

console.log("waits for Retry-After when the database takes no writes");
sql("CREATE TRIGGER refuse BEFORE UPDATE ON peers BEGIN SELECT RAISE(ABORT, 'no'); END");
await server.line("cannot write to the database");
sql("DROP TRIGGER refuse");
await server.line("the database works again");
await server.line(`heartbeat peer=${peerId}`);
const refused = exchanges.findIndex(({ status }) => status === 503);
const waited = (exchanges[refused + 1].at - exchanges[refused].answered) / 1000;
assert(waited >= Number(exchanges[refused].retryAfter), `waited ${waited} s`);
assert.equal(exchanges[refused + 1].path, "/heartbeat");

console.log("finds the server again after a restart, with a heartbeat");
const before = exchanges.length;
server.process.kill("SIGTERM");
await server.line("stopped");
server = await start(server.addr);
await server.line(`heartbeat peer=${peerId}`);
assert(exchanges.slice(before).every(({ path }) => path === "/heartbeat"));

console.log("ends when it is stopped");
stop.abort();
await ended;

console.log("says each trouble in one line, and its end");
const said = [];
console.error = (text) => said.push(text);
const troubles = [
  [401, {}, "fails: 401"], [404, {}, "fails: 404"], [405, {}, "fails: 405"], [413, {}, "fails: 413"],
  [415, {}, "fails: 415"], [500, {}, "fails: 500"], [200, {}, "not as a registry does"],
  [301, { Location: "https://r.org/register" }, "redirects to https://r.org: use"],
  [503, { "Retry-After": "0" }, "asks this node to wait: 503 from a proxy"],
];
for (const [status, headers, words] of troubles) {
  said.length = 0;
  let count = 0;
  const enough = new AbortController();
  const stranger = createServer((request, response) => {
    const isWell = ++count > 2; // two requests meet the trouble
    if (isWell) setTimeout(() => enough.abort(), 100);
    response.writeHead(isWell ? 200 : status, headers);
    response.end(isWell ? JSON.stringify({ success: true, peerId }) : "<html>");
  });
  await new Promise((listening) => stranger.listen(0, "127.0.0.1", listening));
  await stayRegistered(`http://127.0.0.1:${stranger.address().port}`, node, enough.signal);
  stranger.close();
  assert.equal(said.length, 2, `${status}: ${said}`);
  assert(said[0].includes(words), said[0]);
  assert(said[1].includes("works again"), said[1]);
}
console.error = print;
finish(0);
