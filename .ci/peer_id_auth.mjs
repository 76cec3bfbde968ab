// Runs libp2p's stock JavaScript client of the scheme libp2p-PeerID against the real server, in Node and
// in a page of another origin in headless Chromium:
// node peer_id_auth.mjs SERVER CHROMIUM
//
// It must be in a folder where npm has installed the packages, with peer_id_auth_client.mjs beside it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as sendRequest } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { generateKeyPair, publicKeyToProtobuf } from "@libp2p/crypto/keys";
import { createServerChallenge, serverResponds } from "@libp2p/http-peer-id-auth";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import * as client from "./peer_id_auth_client.mjs";

const [binary, browserBinary] = process.argv.slice(2).map((path) => resolve(path));
const folder = mkdtempSync(join(tmpdir(), "peer-id-auth-"));
let server, browser;
const finish = async (code) => {
  await browser?.close();
  server?.kill("SIGKILL");
  rmSync(folder, { recursive: true });
  process.exit(code);
};
process.on("uncaughtException", (error) => { console.error(error); finish(1); });
setTimeout(() => { throw new Error("not done in time"); }, 120_000);

/** Starts the registry, which clients may call `hosts`. Returns its port. */
async function startRegistry(hosts) {
  const env = { LISTEN_ADDR: "127.0.0.1:0", DATABASE_URL: `sqlite://${join(folder, "peers.db")}`,
    PUBLIC_HOSTS: hosts };
  server = spawn(binary, { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  const lines = createInterface({ input: server.stderr });
  return new Promise((started, failed) => {
    lines.on("close", () => failed(new Error("the server ended before it listened")));
    lines.on("line", (line) => {
      const port = line.match(/listening on http:\/\/[^ ]+:(\d+)/)?.[1];
      if (port !== undefined) started(port);
    });
  });
}

/** Starts an HTTP server. Returns its port. */
async function listen(handle) {
  const listener = createServer((request, response) => {
    handle(request, response).catch((error) => setImmediate(() => { throw error; }));
  });
  await new Promise((listening) => listener.listen(0, "127.0.0.1", listening));
  return listener.address().port;
}

/** Starts a server of the scheme that responds to requests as `respond` says. Returns its port. */
function startStub(respond) {
  return listen(async (request, response) => {
    response.setHeader("Access-Control-Allow-Origin", "*");
    response.setHeader("Access-Control-Allow-Headers", "authorization, content-type");
    response.setHeader("Access-Control-Allow-Methods", "OPTIONS, POST");
    response.setHeader("Access-Control-Expose-Headers", "www-authenticate, authentication-info");
    const isPreflight = request.headers["access-control-request-method"] !== undefined;
    const { authenticate, info } = isPreflight ? {} : await respond(request.headers);
    if (authenticate) response.setHeader("WWW-Authenticate", authenticate);
    if (info) response.setHeader("Authentication-Info", info);
    response.writeHead(authenticate ? 401 : 200).end("{}");
  });
}

const [key, otherKey] = [await generateKeyPair("Ed25519"), await generateKeyPair("Ed25519")];
/** A key as headers have it: base64url with padding, of which an Ed25519 key needs none. */
const textOf = ({ publicKey }) => Buffer.from(publicKeyToProtobuf(publicKey)).toString("base64url");

/** What a server that is called `name` and signs with `signer` responds to the header `authorization`. */
const step = (authorization, name, signer = key) =>
  authorization ? serverResponds(authorization, name, signer)
    : createServerChallenge(name, key).then((authenticate) => ({ authenticate }));
/** Replaces `from` in both headers of a response. */
const change = ({ authenticate, info }, from, to) =>
  ({ authenticate: authenticate?.replace(from, to), info: info?.replace(from, to) });

/** Servers that do not prove what they must, and the error with which the client refuses each. */
const LIARS = [
  ["signs with another key than it names", "InvalidSignatureError", async ({ authorization, host }) =>
    change(await step(authorization, host, otherKey), textOf(otherKey), textOf(key))],
  ["signs for another name", "InvalidSignatureError", ({ authorization }) =>
    step(authorization, "registry.example")],
  ["signs another challenge", "InvalidSignatureError", ({ authorization, host }) =>
    step(authorization?.replace(/challenge-server="[^"]*"/, `challenge-server="${"A".repeat(43)}="`), host)],
  ["sends no signature", "InvalidMessageError", async ({ authorization, host }) =>
    change(await step(authorization, host), /sig="[^"]*"/, 'x="y"')],
];

const requestsOf = (exchanges) => exchanges.map(({ request, status }) => `${request} ${status}`);
const bearerOf = (exchange) => exchange.info?.match(/bearer="([^"]+)"/)?.[1];

/** Has a client take part in the registry at `url`, with `call` to call what its module exports. */
async function examine(call, url) {
  const seen = await call("takePart", url);
  const { peerId } = seen;

  console.log("  registers after one handshake");
  assert.deepEqual(requestsOf(seen.registers), ["OPTIONS /register 401", "POST /register 200"]);
  const [challenged, registered] = seen.registers;
  assert.match(challenged.authorization, /challenge-server=/);
  assert.match(challenged.challenge, /^libp2p-PeerID .*sig=/);
  const token = bearerOf(registered);
  assert(token, "the response to the proof has no token that the client can read");

  console.log("  sends heartbeats with the token, without a second handshake");
  assert.deepEqual(requestsOf(seen.heartbeats), ["POST /heartbeat 200", "POST /heartbeat 200"]);
  for (const heartbeat of seen.heartbeats) {
    assert.equal(heartbeat.authorization, `libp2p-PeerID bearer="${token}"`);
    assert.equal(heartbeat.info, null);
    assert.equal(heartbeat.body.peerId, peerId);
  }

  console.log("  has claimed its id");
  for (const refused of seen.unproven) assertUnproven(refused);
  assert.deepEqual(requestsOf(seen.unproven), ["POST /heartbeat 401", "POST /register 401"]);
  assert.deepEqual(requestsOf(seen.listed), [`GET /peers/${peerId} 200`]);
  assert.equal(seen.listed[0].body.peer.authenticated, true);

  console.log("  answers a challenge of the server, and verifies the server in turn");
  assert.equal(seen.error, null);
  assert.deepEqual(requestsOf(seen.answers),
    ["POST /heartbeat 401", "POST /heartbeat 200", "POST /heartbeat 200"]);
  assertUnproven(seen.answers[0]);
  assert.match(seen.answers[1].info, /sig=/);
  assert.equal(seen.answers[2].authorization, `libp2p-PeerID bearer="${bearerOf(seen.answers[1])}"`);

  console.log("  is not deleted by a stranger, and deletes itself");
  const path = `/peers/${peerId}`;
  assert.deepEqual(requestsOf(seen.strangers), [`OPTIONS ${path} 401`, `DELETE ${path} 403`]);
  assert.equal(seen.strangers[1].body.code, "identity_mismatch");
  assert.deepEqual(requestsOf(seen.deletes), [`DELETE ${path} 200`]);
  assert.deepEqual(requestsOf(seen.afterwards), [`GET ${path} 404`, "POST /register 401"]);
}

function assertUnproven({ authorization, body, challenge }) {
  assert.equal(authorization, null);
  assert.equal(body.code, "authentication_required");
  assert.match(challenge, /^libp2p-PeerID challenge-client=/);
}

/** Shows that the client verifies servers: whatever it accepts from the registry, it has checked. */
async function examineChecks(call, nameOf, registryPort) {
  console.log("  takes a stub for a server that proves its key");
  const honest = nameOf(await startStub(({ authorization, host }) => step(authorization, host)));
  const accepted = await call("challengeServer", honest);
  assert.deepEqual([accepted.error, ...requestsOf(accepted.exchanges)],
    [null, "OPTIONS /register 401", "POST /register 200"]);
  assert.equal((await call("beChallenged", honest)).error, null);

  for (const [fault, error, respond] of LIARS) {
    console.log(`  refuses a server that ${fault}`);
    const liar = nameOf(await startStub(respond));
    await assertRefuses(call, liar, error);
    assert.equal((await call("beChallenged", liar)).error, error);
  }
  console.log("  refuses a server that passes its challenge on to the registry");
  const relay = await startStub(({ authorization }) => new Promise((done, failed) => {
    const options = { method: "OPTIONS", headers: { authorization } };
    sendRequest(`http://127.0.0.1:${registryPort}/register`, options, ({ headers }) => {
      done({ authenticate: headers["www-authenticate"] });
    }).on("error", failed).end();
  }));
  await assertRefuses(call, nameOf(relay), "InvalidSignatureError");
  console.log("  refuses the registry if it expects another key");
  const otherId = otherKey.publicKey.toString();
  await assertRefuses(call, nameOf(registryPort), "InvalidPeerError", otherId);
}

/** The client challenges the server at `url`, and sends nothing more once it has seen the response. */
async function assertRefuses(call, url, error, serverId) {
  const refused = await call("challengeServer", url, serverId);
  assert.deepEqual([refused.error, ...requestsOf(refused.exchanges)], [error, "OPTIONS /register 401"]);
  assert.match(refused.exchanges[0].challenge, /^libp2p-PeerID /);
}

/** Opens a page with the client. Its registry and its stubs have other names than itself. */
async function openPage() {
  const source = fileURLToPath(new URL("peer_id_auth_client.mjs", import.meta.url));
  const bundle = await build({ entryPoints: [source], bundle: true, write: false, format: "iife",
    globalName: "client" });
  const script = bundle.outputFiles[0].text.replaceAll("</script", "<\\/script");
  const page = `<!doctype html><script>${script}</script>`;
  const port = await listen(async (request, response) => {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(page);
  });
  browser = await chromium.launch({ executablePath: browserBinary,
    args: ["--host-resolver-rules=MAP *.test 127.0.0.1"] });
  const opened = await browser.newPage();
  opened.on("pageerror", (error) => setImmediate(() => { throw error; }));
  await opened.goto(`http://localhost:${port}/`);
  return opened;
}

const port = await startRegistry("127.0.0.1, registry.test");
console.log("in Node");
const inNode = (name, ...args) => client[name](...args);
const byAddress = (port) => `http://127.0.0.1:${port}`;
await examine(inNode, byAddress(port));
await examineChecks(inNode, byAddress, port);

console.log("in a page of another origin, in Chromium");
const page = await openPage();
const inPage = (name, ...args) =>
  page.evaluate(([name, args]) => globalThis.client[name](...args), [name, args]);
// Pages of localhost and registries of localhost are exempt from a rule; this name is not.
const byName = (port) => `http://registry.test:${port}`;
await examine(inPage, byName(port));
await examineChecks(inPage, byName, port);
await finish(0);
