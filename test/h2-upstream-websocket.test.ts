// WebSockets to servers that speak HTTP/2 (RFC 8441).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { H2Peer } from "./support/h2-peer.ts";
import { data, headers, lastData } from "./support/h2-wire.ts";
import { request } from "./support/message.ts";
import { NodeH2Server } from "./support/node-h2-server.ts";
import { exchange, Peer } from "./support/peer.ts";
import { Pki } from "./support/tls.ts";
import { echoed, proxyFor, secured, started, trusting } from "./support/to-h2-servers.ts";

let pki: Pki;
/** For 127.0.0.1. */
let tls: { readonly cert: string; readonly key: string };
beforeAll(async () => {
  pki = await Pki.make();
  tls = await pki.pems({ names: ["127.0.0.1"] });
});
afterAll(() => pki[Symbol.dispose]());

describe("WebSocket", () => {
  const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
  const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  const ASK = ["Connection: Upgrade", "Upgrade: websocket", `Sec-WebSocket-Key: ${KEY}`, "Sec-WebSocket-Version: 13"];

  /** Sends bytes to and fro until both sides have ended. */
  async function talks(client: Peer): Promise<void> {
    const head = await client.head();
    expect([head.status, head.field("upgrade"), head.field("sec-websocket-accept")]).toEqual([
      101,
      "websocket",
      ACCEPT,
    ]);
    for (const text of ["\x81\x05hello", "x".repeat(300_000)]) {
      client.send(text);
      expect((await client.bytes(text.length)) === text).toBe(true);
    }
    client.finish();
    await client.end();
  }

  test("by extended CONNECT", async () => {
    await using it = await started({ settings: { enableConnectProtocol: true } });
    for (let i = 0; i < 2; i += 1) {
      await using client = await Peer.connect(it.proxy.port);
      await talks(client.send(request("/tunnel", ASK)));
    }
    expect(it.server.said.filter(({ kind }) => kind === "request").map(({ method }) => method)).toEqual([
      "CONNECT",
      "CONNECT",
    ]);
    await it.server.hears("closed", "/tunnel");
    expect((await exchange(it.proxy.port, request("/"))).status).toBe(200);
    expect(await it.server.count("session")).toBe(1);
  });

  test("a tunnel that is denied", async () => {
    await using it = await started({ settings: { enableConnectProtocol: true } });
    const came = await exchange(it.proxy.port, request("/deny", ASK));
    expect([came.status, came.body]).toEqual([403, "no tunnel"]);
  });

  test("a client that leaves takes the tunnel along", async () => {
    await using it = await started({ settings: { enableConnectProtocol: true } });
    await using client = await Peer.connect(it.proxy.port);
    expect((await client.send(request("/tunnel", ASK)).head()).status).toBe(101);
    client.reset();
    await it.server.hears("closed", "/tunnel");
  });

  test("from a client that speaks HTTP/2 too, and that is denied what it asks for", async () => {
    await using it = await started({ settings: { enableConnectProtocol: true } });
    await using client = await H2Peer.connect(it.proxy.port);
    for (const [stream, path, status] of [
      [1, "/tunnel", 200],
      [3, "/deny", 403],
    ] as const) {
      client.send(
        headers(stream, [
          [":method", "CONNECT"],
          [":protocol", "websocket"],
          [":scheme", "http"],
          [":authority", "app.example"],
          [":path", path],
          ["sec-websocket-version", "13"],
        ]),
      );
      expect((await client.head(stream)).status).toBe(status);
    }
    client.send(data(1, "to and "));
    await client.when(() => client.heard(1).body === "to and ", "what was sent");
    client.send(lastData(1, "fro"));
    const heard = await client.answer(1);
    expect([heard.body, heard.ended, heard.reset]).toEqual(["to and fro", true, null]);
  });

  test("over HTTP/1.1 where the server speaks both", async () => {
    await using server = await NodeH2Server.start({ tls });
    await using proxy = await proxyFor([secured(server)], trusting(pki));
    expect(echoed(await exchange(proxy.port, request("/"))).version).toBe(2);
    await using client = await Peer.connect(proxy.port);
    await talks(client.send(request("/chat", ASK)));
    expect(await server.count("upgrade")).toBe(1);
  });

  test("over HTTP/2 once a server of both has said that it can", async () => {
    await using server = await NodeH2Server.start({ tls, settings: { enableConnectProtocol: true } });
    await using proxy = await proxyFor([secured(server)], trusting(pki));
    await exchange(proxy.port, request("/"));
    await using client = await Peer.connect(proxy.port);
    await talks(client.send(request("/tunnel", ASK)));
    expect([await server.count("upgrade"), await server.count("session")]).toEqual([0, 1]);
  });

  test("not to a server of HTTP/2 alone that cannot: 502", async () => {
    await using it = await started();
    expect((await exchange(it.proxy.port, request("/tunnel", ASK))).status).toBe(502);
    expect((await exchange(it.proxy.port, request("/"))).status).toBe(200);
  });
});
