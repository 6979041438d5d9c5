// Requests and answers that overlap, and clients that go away in the middle.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answer, chunks, request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { SilentPort } from "./support/ports.ts";
import { MARKER, proxyHasRead, proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

const PIECE = "x".repeat(16_384);
/** "Promptly": far below every time-out, though not so near that a busy machine misses it. */
const PROMPT_MS = 2500;

describe("an answer before the end of the upload", () => {
  test("arrives while the client still sends, and the client may go on for a while", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      await peer.chunk();
      peer.send(answer(413, "too much", ["Connection: close"]));
      peer.finish();
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Transfer-Encoding: chunked"], "POST")).send(chunks(PIECE));
    const came = client.response();
    const sending = setInterval(() => client.socket.writable && client.send(chunks(PIECE)), 1);
    const { status, body } = await came.finally(() => clearInterval(sending));
    expect([status, body, client.error]).toEqual([413, "too much", ""]);
  });

  test("a short rest of the body is dropped, and the connection goes on", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      for (let next = await peer.head(); ; next = await peer.head()) {
        peer.send(answer(200, next.target));
        if (next.method === "GET") continue;
        await peer.bytes(6);
      }
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/1", ["Content-Length: 6"], "POST")).send("abc");
    expect((await client.response()).body).toBe("/1");
    client.send("def").send(request("/2"));
    expect((await client.response()).body).toBe("/2");
  });

  test("a server that closes after its early answer does not spoil it", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.send(answer(401, "who?"));
      await peer.bytes(100);
      peer.close();
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Content-Length: 200000"], "POST")).send("y".repeat(200));
    expect((await client.response()).body).toBe("who?");
    client
      .send("y".repeat(199_800))
      .send(request("/2", ["Content-Length: 100"], "POST"))
      .send("z".repeat(100));
    expect((await client.response()).body).toBe("who?");
    expect(backend.peers.length).toBe(2);
  });
});

test("upload and answer flow at the same time", async () => {
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let piece = await peer.chunk(); piece !== null; piece = await peer.chunk()) peer.send(chunks(piece));
    peer.send("0\r\n\r\n");
  });
  await using proxy = await proxyTo(backend.url);
  await using client = await Peer.connect(proxy.port);
  client.send(request("/", ["Transfer-Encoding: chunked"], "POST"));
  expect((await client.head()).status).toBe(200);
  for (let i = 0; i < 50; i += 1) {
    const piece = `${i}`.padEnd(1 + ((i * 997) % 40_000), ".");
    client.send(chunks(piece));
    let got = "";
    while (got.length < piece.length) got += await client.chunk();
    expect(got === piece).toBe(true);
  }
  client.send("0\r\n\r\n");
  expect(await client.chunk()).toBeNull();
});

describe("a client that goes away", () => {
  type Where = "waits" | "uploads" | "streams" | "is held back in its upload" | "does not read its answer";
  const CASES: readonly Where[] = [
    "waits",
    "uploads",
    "streams",
    "is held back in its upload",
    "does not read its answer",
  ];
  const WAYS = ["closes", "resets"] as const;

  async function gone(where: Where, way: (typeof WAYS)[number], log: string): Promise<void> {
    await using backend = await RawBackend.start(async (peer, self) => {
      self.requests.push(await peer.head());
      if (where === "is held back in its upload") peer.socket.pause();
      if (where === "streams") peer.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("a")}`);
      if (where === "does not read its answer") {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while (!peer.closed && peer.socket.writable && peer.socket.write(PIECE)) await Bun.sleep(0);
      }
    });
    await using proxy = await proxyTo(backend.url, { log: { access: { path: log } } });
    await using client = await Peer.connect(proxy.port);
    if (where === "waits" || where === "streams") client.send(request("/"));
    if (where === "does not read its answer") {
      client.socket.pause();
      client.send(request("/"));
    }
    if (where.includes("upload")) client.send(request("/", ["Content-Length: 900000000"], "POST")).send(PIECE);
    await backend.received(1);
    const server = backend.peers[0]!;
    if (where === "streams") expect((await client.head()).status).toBe(200);
    if (where === "uploads") await server.when(() => server.bytesIn > 10_000, "some of the upload");
    if (where === "is held back in its upload") {
      while (client.socket.writableLength < 1_000_000) client.send(PIECE);
      await until(() => server.socket.isPaused(), "the backend's pause");
    }
    if (where === "does not read its answer")
      await until(() => server.socket.writableLength > 0, "the backend to be held back");
    const ms = await timed(async () => {
      if (way === "resets") client.reset();
      else client.close();
      if (where === "is held back in its upload") server.socket.resume();
      server.discarding = true;
      await server.when(() => server.ended, `the backend's connection to end after the client ${way}`, PROMPT_MS);
    });
    expect(ms).toBeLessThan(PROMPT_MS);
  }

  for (const where of CASES)
    for (const way of WAYS)
      test(`and ${way} while it ${where} stops the request to the server, and is recorded`, async () => {
        const directory = mkdtempSync(join(tmpdir(), "gone-"));
        const log = join(directory, "access.log");
        try {
          await gone(where, way, log);
          const [line = ""] = readFileSync(log, "utf8").split("\n");
          const entry = JSON.parse(line) as { status: number; fault: string };
          const answered = where === "streams" || where === "does not read its answer";
          expect([entry.status, entry.fault]).toEqual([answered ? 200 : 499, "client.gone"]);
        } finally {
          rmSync(directory, { recursive: true });
        }
      });

  test("and leaves before there is a connection to the server disturbs nobody", async () => {
    await using silent = await SilentPort.open();
    await using proxy = await startProxy({
      routes: [
        MARKER,
        { match: { path: "/hangs" }, timeouts: { connect: "400ms" }, to: `http://127.0.0.1:${silent.port}` },
        { respond: { body: "fine" } },
      ],
    });
    const clients = await Promise.all([Peer.connect(proxy.port), Peer.connect(proxy.port)]);
    for (const client of clients) client.send(request("/hangs", ["Content-Length: 10"], "POST")).send("12345");
    await proxyHasRead(proxy.port);
    clients[0].reset();
    clients[1].close();
    await using waiting = await Peer.connect(proxy.port);
    expect((await waiting.send(request("/hangs")).response()).status).toBe(504);
    expect((await waiting.send(request("/")).response()).body).toBe("fine");
  });

  test("with halfClose a client may close its sending side and still be answered", async () => {
    await using backend = await RawBackend.answering(async (got) => {
      await Bun.sleep(1500);
      return answer(200, got.target);
    });
    await using proxy = await proxyTo(backend.url, { listener: { halfClose: true } });
    await using client = await Peer.connect(proxy.port);
    client.send(request("/late")).finish();
    expect((await client.response()).body).toBe("/late");
    await client.end();
  });

  test("without it a quick answer still comes", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, got.target));
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/quick")).finish();
    expect((await client.response()).body).toBe("/quick");
    await client.end();
  });
});
