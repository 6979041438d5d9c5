// What a careful look at HTTP/2 has found: each of these was wrong once.
import { describe, expect, test } from "bun:test";
import { answerH2, H2Peer, H2Server } from "./support/h2-peer.ts";
import { data, headers, lastHeaders, post, respond, rst } from "./support/h2-wire.ts";
import { answer, request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { proxyTo } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const ASK = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
];

describe("a CONNECT that announces content", () => {
  const CONNECT = [
    [":method", "CONNECT"],
    [":protocol", "websocket"],
    [":scheme", "http"],
    [":authority", "app.example"],
    [":path", "/chat"],
    ["sec-websocket-version", "13"],
  ] as const;

  test("is malformed: a server of HTTP/1.1 would take the next request for it", async () => {
    await using backend = await RawBackend.start(async (peer, self) => {
      const got = await peer.head();
      self.requests.push(got);
      peer.send(answer(200, "fine"));
    });
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port);
    client.send(headers(1, [...CONNECT, ["content-length", "40"]]));
    expect((await client.answer(1)).reset).toBe("PROTOCOL_ERROR");
    client.send(lastHeaders(3, [[":method", "GET"], ...CONNECT.slice(2)]));
    expect((await client.answer(3)).status).toBe(200);
    expect(backend.requests.map(({ target }) => target)).toEqual(["/chat"]);
    expect(backend.requests[0]!.field("content-length")).toBe(null);
  });
});

test("an upgrade with content is no tunnel: its content must not be taken for that of one", async () => {
  await using server = await H2Server.start({
    options: () => ({ settings: { ENABLE_CONNECT_PROTOCOL: 1 } }),
    serve: async ({ peer, stream, heard }) => {
      await peer.when(() => heard.ended, "the whole request");
      peer.send(answerH2(stream, 200, `${heard.field(":method")} ${heard.field("content-length")} ${heard.body}`));
    },
  });
  await using proxy = await proxyTo(`h2c://127.0.0.1:${server.port}`);
  await using client = await Peer.connect(proxy.port);
  client.send(request("/chat", ASK, "POST", "hello"));
  expect((await client.response()).body).toBe("POST 5 hello");
});

describe("a tunnel that a server of HTTP/2 cuts off", () => {
  for (const [name, cut] of [
    ["by a reset", (peer: H2Peer, stream: number) => peer.send(rst(stream, "CANCEL"))],
    ["by a reset of the connection", (peer: H2Peer) => peer.peer.reset()],
  ] as const) {
    test(`${name} does not look complete`, async () => {
      await using server = await H2Server.start({
        options: () => ({ settings: { ENABLE_CONNECT_PROTOCOL: 1 } }),
        serve: async ({ peer, stream, heard }) => {
          if (heard.field(":method") !== "CONNECT") return void peer.send(lastHeaders(stream, [[":status", "204"]]));
          peer.send(respond(stream, 200), data(stream, "half of"));
        },
      });
      await using proxy = await proxyTo(`h2c://127.0.0.1:${server.port}`);
      await using client = await Peer.connect(proxy.port);
      client.send(request("/chat", ASK));
      expect((await client.head()).status).toBe(101);
      expect(await client.bytes(7)).toBe("half of");
      cut(server.peers[0]!, 1);
      await client.when(() => client.ended || client.closed, "the end");
      await client.when(() => client.closed, "the close");
      expect(client.error).toBe("ECONNRESET");
    });
  }
});

test("a tunnel whose server leaves before it has said what it can: told at once", async () => {
  await using server = await H2Server.start({
    options: () => ({ hello: Buffer.alloc(0) }),
    serve: () => {},
  });
  await using proxy = await proxyTo(`h2c://127.0.0.1:${server.port}`);
  await using client = await Peer.connect(proxy.port);
  client.send(request("/chat", ASK));
  const peer = await server.peer(0);
  await peer.when(() => peer.frames.length > 0, "the proxy's SETTINGS");
  peer.peer.close();
  for (let i = 1; i <= 6; i += 1) (await server.peer(i)).peer.close(); // nothing was sent, so it is tried again
  expect((await client.head()).status).toBe(503);
});

test("a request that is not finished after its whole answer is let go of without an error", async () => {
  await using server = await H2Server.start({
    serve: ({ peer, stream }) => void peer.send(answerH2(stream, 200, "enough")),
  });
  await using proxy = await proxyTo(`h2c://127.0.0.1:${server.port}`, {
    listener: { h2c: true, timeouts: { body: "300ms" } },
  });
  await using client = await H2Peer.connect(proxy.port);
  client.send(post(1), data(1, "some"));
  expect((await client.answer(1)).body).toBe("enough");
  await client.when(() => client.heard(1).reset !== null, "the end of the stream");
  expect(client.heard(1).reset).toBe("NO_ERROR");
});
