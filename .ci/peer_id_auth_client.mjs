// libp2p's stock client of the scheme libp2p-PeerID, as a node uses it. Runs in Node and, bundled, in a
// web page. Returns what the caller of fetch sees; peer_id_auth.mjs checks it.

import { http } from "@libp2p/http";
import { ServerInitiatedHandshake } from "@libp2p/http-peer-id-auth";
import { peerIdAuth } from "@libp2p/http/middleware";
import { generateKeyPair } from "@libp2p/crypto/keys";
import { createLibp2p } from "libp2p";

/** Requests and their responses since the last call of `takeExchanges`. */
let exchanges = [];
const unwrapped = globalThis.fetch;
globalThis.fetch = async (url, options = {}) => {
  const exchange = {
    request: `${options.method ?? "GET"} ${new URL(url).pathname}`,
    authorization: new Headers(options.headers).get("authorization"),
  };
  exchanges.push(exchange);
  const response = await unwrapped(url, options);
  exchange.status = response.status;
  // In a page these are null unless the server exposes them.
  exchange.challenge = response.headers.get("www-authenticate");
  exchange.info = response.headers.get("authentication-info");
  exchange.body = await response.clone().json().catch(() => null);
  return response;
};

function takeExchanges() {
  const taken = exchanges;
  exchanges = [];
  return taken;
}

/** A node with a new key. Its `fetch` proves the key, and takes only the server `serverId`, if given. */
async function createNode(serverId) {
  const privateKey = await generateKeyPair("Ed25519");
  const libp2p = await createLibp2p({ privateKey, start: false, services: { http: http() } });
  // The tokens are in the middleware, so all requests must share one.
  let auth;
  const middleware = [
    (components) => auth ??= peerIdAuth({
      verifyPeer: (id) => serverId === undefined || id.toString() === serverId,
    })(components),
  ];
  return {
    privateKey,
    peerId: libp2p.peerId.toString(),
    fetch: (url, init) => libp2p.services.http.fetch(url, { ...init, middleware }),
  };
}

/** The options of fetch for a POST. */
function post(body, headers = {}) {
  const method = "POST";
  return { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** Registers a peer at `registry`, keeps it alive, and deletes it. */
export async function takePart(registry) {
  const { peerId: registryId } = await (await fetch(`${registry}/health`)).json();
  const [node, stranger] = [await createNode(registryId), await createNode(registryId)];
  const { peerId } = node;
  const heartbeat = { peerId };
  // A node that proves its key may leave out its crypto-IPv6, which follows from the key.
  const registration = { peerId, addresses: [] };
  const takeover = { ...registration, cryptoIPv6: "fd00::1" };
  const ownPath = `${registry}/peers/${peerId}`;
  takeExchanges();

  await node.fetch(`${registry}/register`, post(registration));
  const registers = takeExchanges();
  for (let count = 0; count < 2; count++) await node.fetch(`${registry}/heartbeat`, post(heartbeat));
  const heartbeats = takeExchanges();
  await fetch(`${registry}/heartbeat`, post(heartbeat));
  await fetch(`${registry}/register`, post(takeover));
  const unproven = takeExchanges();
  const error = await answerChallenge(`${registry}/heartbeat`, heartbeat, node.privateKey);
  const answers = takeExchanges();
  await fetch(ownPath);
  const listed = takeExchanges();
  await stranger.fetch(ownPath, { method: "DELETE" });
  const strangers = takeExchanges();
  await node.fetch(ownPath, { method: "DELETE" });
  const deletes = takeExchanges();
  await fetch(ownPath);
  await fetch(`${registry}/register`, post(takeover));
  const afterwards = takeExchanges();
  return {
    peerId, registers, heartbeats, unproven, error, answers, listed, strangers, deletes, afterwards,
  };
}

/** Posts without a proof, answers the challenge, uses the token. Returns the name of an error. */
async function answerChallenge(url, body, privateKey) {
  const handshake = new ServerInitiatedHandshake(privateKey, new URL(url).host);
  try {
    const challenged = await fetch(url, post(body));
    const challenge = challenged.headers.get("www-authenticate");
    const answer = await handshake.answerServerChallenge(challenge);
    const proven = await fetch(url, post(body, { authorization: answer }));
    const authorization = await handshake.decodeBearerToken(proven.headers.get("authentication-info"));
    await fetch(url, post(body, { authorization }));
    return null;
  } catch (error) {
    return error.name;
  }
}

/** Registers at `server`, which may be no honest one, and lets the client begin the handshake. */
export async function challengeServer(server, serverId) {
  takeExchanges();
  const node = await createNode(serverId);
  const body = { peerId: node.peerId, addresses: [] };
  const registering = node.fetch(`${server}/register`, post(body));
  const error = await registering.then(() => null, (error) => error.name);
  return { error, exchanges: takeExchanges() };
}

/** Registers at `server`, which may be no honest one, and lets the server begin the handshake. */
export async function beChallenged(server) {
  takeExchanges();
  const node = await createNode();
  const body = { peerId: node.peerId, addresses: [] };
  const error = await answerChallenge(`${server}/register`, body, node.privateKey);
  return { error, exchanges: takeExchanges() };
}
