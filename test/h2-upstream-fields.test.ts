// What servers get of a request: the same over HTTP/2 as over HTTP/1.1.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { request } from "./support/message.ts";
import { NodeH2Server } from "./support/node-h2-server.ts";
import { exchange } from "./support/peer.ts";
import { type ProxyUnderTest, startProxy } from "./support/proxy.ts";
import { Pki } from "./support/tls.ts";
import { echoed, secured, trusting } from "./support/to-h2-servers.ts";

let pki: Pki;
let server: NodeH2Server;
beforeAll(async () => {
  pki = await Pki.make();
  server = await NodeH2Server.start({ tls: await pki.pems({ names: ["127.0.0.1"] }) });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  pki[Symbol.dispose]();
});

const ID = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
const SENT = [
  "X-Forwarded-For: 203.0.113.9",
  "X-Forwarded-Proto: https",
  `X-Request-Id: ${ID}`,
  "Forwarded: for=203.0.113.9",
  "Via: 1.1 other",
  "Cookie: a=1; b=2",
  "Authorization: Basic c2VjcmV0",
  "X-Twice: 1",
  "X-Twice: 2",
  "X-Empty:",
  "X-Hop: 1",
  "Connection: x-hop",
  "Proxy-Connection: keep-alive",
  "Accept-Encoding: gzip",
];

type Route = NonNullable<ProxyUnderTest["routes"]>[number];
const TRUSTED = ["127.0.0.1"];
const CASES: readonly (readonly [name: string, trusted: string[], route: Route, hostHeader: string])[] = [
  ["a stranger's", [], {}, "preserve"],
  ["a trusted peer's", TRUSTED, {}, "preserve"],
  [
    "with edits",
    [],
    { requestHeaders: { set: { "x-forwarded-for": "mine", "X-Set": "1" }, add: { via: "9 x" }, remove: ["cookie"] } },
    "preserve",
  ],
  [
    "with edits, a trusted peer's",
    TRUSTED,
    {
      requestHeaders: { set: { "x-twice": "3" }, remove: ["x-forwarded-proto"] },
      rewrite: { stripPrefix: "/a" },
    },
    "preserve",
  ],
  ["with a host of the upstream's", [], {}, "app.internal"],
];

/** What the server has got of a GET and of a POST: all fields by name, less those of the connection. */
async function received(http2: boolean, trusted: string[], route: Route, hostHeader: string): Promise<object[]> {
  await using proxy = await startProxy({
    trustedProxies: trusted,
    upstreams: { app: { servers: [secured(server)], ...trusting(pki), hostHeader, http2 } },
    routes: [{ ...route, to: "app" }],
  });
  const all: object[] = [];
  for (const body of ["", "body"]) {
    const came = await exchange(proxy.port, request("/a/b?c=d", SENT, body === "" ? "GET" : "POST", body));
    const { version, headers } = echoed(came);
    expect(version).toBe(http2 ? 2 : 1);
    const {
      ":authority": authority,
      ":path": path,
      ":method": _method,
      ":scheme": scheme,
      connection,
      ...rest
    } = headers;
    if (http2) expect([scheme, connection]).toEqual(["https", undefined!]);
    const id = rest["x-request-id"];
    all.push({
      ...rest,
      "x-request-id": id === ID ? ID : typeof id,
      via: rest.via?.replace(/sluice\S*/, "sluice"),
      host: authority ?? headers.host,
      path,
    });
  }
  return all;
}

for (const [name, ...options] of CASES)
  test(`a request: ${name}`, async () => {
    const overH2 = await received(true, ...options);
    expect(overH2).toEqual(await received(false, ...options));
    for (const gone of ["x-hop", "proxy-connection", "keep-alive"]) expect(overH2[0]).not.toHaveProperty(gone);
  });
