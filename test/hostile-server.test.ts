// A server that breaks its answers: the client is told, the connection is dropped, and the next request is answered from
// a fresh one, as if nothing had been.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { byteByByte, wireOf } from "../src/http/h1/feed.testing.ts";
import { BROKEN_BODIES, BROKEN_HEADS } from "../src/http/h1/response-cases.testing.ts";
import { answer, type Message, request } from "./support/message.ts";
import { Peer, PeerGone } from "./support/peer.ts";
import { proxyTo, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

/** What the server does with a request for `/broken`. */
let misbehave: (server: Peer, message: Message) => Promise<void> | void;
let backend: RawBackend;
let proxy: TestProxy;

beforeEach(async () => {
  backend = await RawBackend.start(async (server, { peers }) => {
    while (!server.ended) {
      const message = await server.request();
      if (message.target === "/broken") await misbehave(server, message);
      else server.send(answer(200, `clean on ${peers.indexOf(server)}`));
    }
    server.close();
  });
  proxy = await proxyTo(backend.url);
});
afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

/** The connection that is kept for reuse before the server misbehaves on it. */
async function warmUp(client: Peer): Promise<void> {
  client.send(request("/clean"));
  expect((await client.response()).body).toBe("clean on 0");
}

/** The connection is dropped, and another one answers the next requests. */
async function expectNoPoison(client: Peer): Promise<void> {
  await (await backend.peer(0)).end();
  for (let i = 0; i < 3; i += 1) {
    client.send(request("/clean"));
    expect((await client.response()).body).toBe("clean on 1");
  }
  expect(backend.peers).toHaveLength(2);
  expect(client.peek()).toBe("");
}

const HOWS: readonly (readonly [how: string, send: (server: Peer, wire: string) => Promise<void>])[] = [
  ["whole", async (server, wire) => void server.send(wire)],
  [
    "byte by byte",
    async (server, wire) => {
      for (const piece of byteByByte(wireOf(wire))) {
        if (server.ended) return;
        server.send(piece);
        await new Promise(setImmediate);
      }
    },
  ],
];

/** Sends `/broken`, warmed up before, and wants a 502 on a connection that goes on. */
async function expectBadGateway(method = "GET", fields: readonly string[] = []): Promise<void> {
  await using client = await Peer.connect(proxy.port);
  await warmUp(client);
  client.send(request("/broken", fields, method));
  const refused = await client.response(method);
  expect(refused.status).toBe(502);
  expect(refused.field("proxy-status")).toMatch(/^sluice; error=http_/);
  expect(refused.field("connection")).toBe(null);
  await expectNoPoison(client);
}

describe("heads that are refused: 502", () => {
  for (const { name, wire, methods } of BROKEN_HEADS)
    for (const [how, send] of HOWS)
      test(`${name}, ${how}`, async () => {
        misbehave = (server) => send(server, wire);
        await expectBadGateway(methods?.[0]);
      });
});

describe("bodies that break: the client sees a cut", () => {
  const cut = (wire: string) => async (server: Peer, send: (server: Peer, wire: string) => Promise<void>) => {
    await send(server, wire);
    server.finish();
  };
  const head = "HTTP/1.1 200 OK\r\n";
  const rows: readonly (readonly [name: string, play: ReturnType<typeof cut>])[] = [
    ...BROKEN_BODIES.map(
      ({ name, wire }) =>
        [name, async (server, send) => send(server, wire)] as const satisfies readonly [string, ReturnType<typeof cut>],
    ),
    ["a length that is not reached", cut(`${head}Content-Length: 10\r\n\r\nhello`)],
    ["a length of which nothing comes", cut(`${head}Content-Length: 10\r\n\r\n`)],
    ["chunks without the last", cut(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`)],
    ["a chunk that stops", cut(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhel`)],
    ["a last chunk without its line end", cut(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n`)],
    ["trailers that stop", cut(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n`)],
  ];
  for (const [name, play] of rows)
    for (const [how, send] of HOWS)
      test(`${name}, ${how}`, async () => {
        misbehave = (server) => play(server, send);
        await using client = await Peer.connect(proxy.port);
        await warmUp(client);
        client.send(request("/broken"));
        const answered = client.response();
        // Where the bytes come at once, the proxy may know before it has said anything.
        const seen = await answered.then(
          (message) => message.status,
          (error: unknown) => (error instanceof PeerGone ? "cut" : error),
        );
        expect(seen).toBe("cut");
        await client.end();
        await using next = await Peer.connect(proxy.port);
        await expectNoPoison(next);
      });

  test("a body without a length that ends with a reset is no complete one", async () => {
    misbehave = async (server) => {
      server.send("HTTP/1.1 200 OK\r\n\r\nhello");
      await client.through("hello");
      server.reset();
    };
    await using client = await Peer.connect(proxy.port);
    await warmUp(client);
    client.send(request("/broken"));
    await client.end();
    expect(client.peek()).not.toContain("0\r\n\r\n");
    await using next = await Peer.connect(proxy.port);
    await expectNoPoison(next);
  });
});

describe("no answer: 502", () => {
  for (const [name, wire] of [
    ["a status line that stops", "HTTP/1.1 20"],
    ["a head that stops", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"],
    ["an interim answer and no other", "HTTP/1.1 103 Early Hints\r\n\r\n"],
  ] as const)
    test(name, async () => {
      misbehave = (server) => {
        server.send(wire);
        server.finish();
      };
      await using client = await Peer.connect(proxy.port);
      await warmUp(client);
      client.send(request("/broken"));
      let answered = await client.response();
      while (answered.status < 200) answered = await client.response();
      expect(answered.status).toBe(502);
      await expectNoPoison(client);
    });
});

describe("bytes that nobody asked for", () => {
  const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

  for (const [name, wire, body] of [
    ["behind a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"],
    ["behind the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"],
    ["behind trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", "ok"],
  ] as const)
    for (const surplus of [poison, "x", "\r\n", "\0"])
      test(`${name}: ${JSON.stringify(surplus)}`, async () => {
        misbehave = (server) => void server.send(wire + surplus);
        await using client = await Peer.connect(proxy.port);
        await warmUp(client);
        client.send(request("/broken"));
        expect(await client.response()).toMatchObject({ status: 200, body });
        await expectNoPoison(client);
      });

  const bodiless = [
    ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 200],
    ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200],
    ["GET", "HTTP/1.1 204 No Content\r\n\r\n", 204],
    ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n", 304],
    ["GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200],
  ] as const;
  for (const [method, wire, status] of bodiless) {
    for (const surplus of ["poison", poison, "6\r\npoison\r\n0\r\n\r\n"])
      test(`right behind ${JSON.stringify(wire.split("\r\n\r\n", 1)[0])} to ${method}: ${JSON.stringify(surplus)}`, async () => {
        misbehave = (server) => void server.send(wire + surplus);
        await expectBadGateway(method);
      });
    test(`a while after ${JSON.stringify(wire.split("\r\n\r\n", 1)[0])} to ${method}`, async () => {
      const answered = Promise.withResolvers<void>();
      misbehave = async (server) => {
        server.send(wire);
        await answered.promise;
        server.send(poison);
        await server.end();
      };
      await using client = await Peer.connect(proxy.port);
      await warmUp(client);
      client.send(request("/broken", [], method));
      expect((await client.response(method)).status).toBe(status);
      answered.resolve();
      await expectNoPoison(client);
    });
  }

  test("two answers at once to two pipelined requests do not change places", async () => {
    misbehave = (server) => void server.send(answer(200, "first") + poison);
    await using client = await Peer.connect(proxy.port);
    await warmUp(client);
    client.send(request("/broken") + request("/clean") + request("/clean"));
    expect((await client.response()).body).toBe("first");
    expect((await client.response()).body).toBe("clean on 1");
    expect((await client.response()).body).toBe("clean on 1");
  });
});

describe("interim answers", () => {
  test("a flood of them: 502", async () => {
    misbehave = (server) => void server.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1000));
    await using client = await Peer.connect(proxy.port);
    await warmUp(client);
    client.send(request("/broken"));
    let interim = 0;
    let answered = await client.response();
    for (; answered.status < 200; interim += 1) answered = await client.response();
    expect(answered.status).toBe(502);
    expect(interim).toBeLessThanOrEqual(16);
    await expectNoPoison(client);
  });

  for (const [name, wire, fields] of [
    [
      "nobody asked to switch",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
      [],
    ],
    [
      "nothing said to switch to",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      ["Connection: upgrade", "Upgrade: websocket"],
    ],
    [
      "Connection does not name it",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
      ["Connection: upgrade", "Upgrade: websocket"],
    ],
    [
      "another protocol",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
      ["Connection: upgrade", "Upgrade: websocket"],
    ],
    [
      "HTTP/2, which clients may not ask for",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
      ["Connection: upgrade, http2-settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
    ],
  ] as const)
    test(`101: ${name}`, async () => {
      misbehave = (server) => void server.send(`${wire}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`);
      await expectBadGateway("GET", fields);
    });

  test("an upgrade to HTTP/2 is not even asked for", async () => {
    let asked: Message | null = null;
    misbehave = (server, message) => {
      asked = message;
      server.send(answer(200, "plain"));
    };
    await using client = await Peer.connect(proxy.port);
    client.send(
      request("/broken", ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]),
    );
    expect((await client.response()).body).toBe("plain");
    expect(["upgrade", "http2-settings", "connection"].map((name) => asked!.field(name))).toEqual([null, null, null]);
  });
});

test("an answer before its request has ended, and bytes behind it, spoil neither", async () => {
  misbehave = () => {};
  const early = await RawBackend.start(async (server) => {
    await server.head();
    server.send(`${answer(200, "early")}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`);
    await server.end();
    server.close();
  });
  await using _ = early;
  await using front = await proxyTo(early.url);
  await using client = await Peer.connect(front.port);
  client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
  expect((await client.response()).body).toBe("early");
  client.send("world");
  client.send(request("/b", [], "POST", "x"));
  expect((await client.response()).body).toBe("early");
  expect(early.peers).toHaveLength(2);
  expect((await early.peer(1)).peek()).toBe("x");
});
