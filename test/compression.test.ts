// Compressed answers as clients get them, over every version of HTTP, from servers that know nothing of it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createH2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import zlib from "node:zlib";
import { placesTaken } from "../src/engines/compression/coders.ts";
import { H3Client, head } from "./support/h3.ts";
import { type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { run } from "./support/programs.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const CODINGS = ["gzip", "br", "zstd"] as const;
const UNDO: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => zlib.gunzipSync(bytes),
  br: (bytes) => zlib.brotliDecompressSync(bytes),
  zstd: (bytes) => zlib.zstdDecompressSync(bytes),
};
const ITEMS = Array.from({ length: 300 }, (_, id) => ({ id, name: `item ${(id * 7919) % 1000}`, at: `/items/${id}` }));
const JSON_TEXT = JSON.stringify(ITEMS);
const LONG = Buffer.from(JSON_TEXT.repeat(200));
const NOISE = Buffer.alloc(1_048_576);
for (let at = 0, state = 1; at < NOISE.length; at += 4) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  NOISE.writeUInt32LE(state, at);
}
const TAG = '"v1"';

/** What the server answers with, by path; each says what it needs itself. */
const ANSWERS: Readonly<Record<string, (asked: IncomingMessage, answer: ServerResponse) => void>> = {
  "/items": (asked, answer) => {
    if (asked.headers["if-none-match"]?.includes(TAG)) return void answer.writeHead(304, { etag: TAG }).end();
    const fields = { "content-type": "application/json", etag: TAG, "accept-ranges": "bytes" };
    const part = asked.headers.range === "bytes=0-9";
    const body = part ? JSON_TEXT.slice(0, 10) : JSON_TEXT;
    const range = part ? { "content-range": `bytes 0-9/${JSON_TEXT.length}` } : {};
    answer.writeHead(part ? 206 : 200, { ...fields, ...range, "content-length": body.length });
    answer.end(asked.method === "HEAD" ? undefined : body);
  },
  "/chunked": (_, answer) => {
    answer.setHeader("content-type", "application/json");
    answer.write(JSON_TEXT.slice(0, 1000));
    answer.end(JSON_TEXT.slice(1000));
  },
  "/tiny": (_, answer) => {
    answer.setHeader("content-type", "application/json");
    answer.write("[");
    answer.end("]");
  },
  "/long": (_, answer) => {
    answer.writeHead(200, { "content-type": "application/json", "content-length": LONG.length }).end(LONG);
  },
  "/fixed": (_, answer) => {
    answer.setHeader("cache-control", "no-transform");
    ANSWERS["/chunked"]!(_, answer);
  },
  "/gzip": (_, answer) => {
    answer.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
    answer.end(zlib.gzipSync(LONG));
  },
  "/broken": (_, answer) => {
    answer.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
    answer.end(zlib.gzipSync(LONG).subarray(0, 1000));
  },
};

let server: Server;
let origin: string;
let proxy: TestProxy;
/** Answers that are under way at the paths that the test itself goes on with. */
const open = new Map<string, ServerResponse>();
const opened = async (path: string): Promise<ServerResponse> => {
  await until(() => open.has(path), `the server has begun to answer ${path}`);
  return open.get(path)!;
};

beforeAll(async () => {
  server = createServer((asked, answer) => {
    const path = asked.url!;
    const known = ANSWERS[path];
    if (known !== undefined) return known(asked, answer);
    answer.writeHead(200, { "content-type": path.startsWith("/events") ? "text/event-stream" : "text/plain" });
    answer.flushHeaders();
    open.set(path, answer);
  });
  server.on("upgrade", (_, socket) => {
    socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nfrom the other side");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const to = origin;
  proxy = await startProxy({
    listener: { h2c: true },
    defaults: { compress: true },
    routes: [
      { match: { path: "/own" }, respond: { body: "hello ".repeat(1000) } },
      { match: { path: "/plain/*" }, rewrite: { stripPrefix: "/plain" }, compress: { decompress: true }, to },
      { match: { path: "/events/*" }, compress: { types: ["text/event-stream"] }, to },
      { match: { path: "/off/*" }, rewrite: { stripPrefix: "/off" }, compress: false, to },
      {
        match: { path: "/hidden/*" },
        rewrite: { stripPrefix: "/hidden" },
        requestHeaders: { remove: ["accept-encoding"] },
        to,
      },
      { to },
    ],
  });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
});

const get = (path: string, coding: string, fields: readonly string[] = []): Promise<Message> =>
  exchange(proxy.port, request(path, [`Accept-Encoding: ${coding}`, ...fields]));
const bytesOf = (message: Message): Buffer => Buffer.from(message.body, "latin1");

for (const coding of CODINGS)
  describe(coding, () => {
    const PATHS: readonly (readonly [path: string, text: Buffer, hasLength: boolean])[] = [
      ["/items", Buffer.from(JSON_TEXT), true],
      ["/chunked", Buffer.from(JSON_TEXT), true],
      ["/long", LONG, false],
      ["/own", Buffer.from("hello ".repeat(1000)), true],
      ["/hidden/items", Buffer.from(JSON_TEXT), true],
    ];
    for (const [path, text, hasLength] of PATHS)
      test(`of ${path}`, async () => {
        const answer = await get(path, coding);
        expect([answer.field("content-encoding"), answer.field("vary")]).toEqual([coding, "Accept-Encoding"]);
        expect(answer.field("content-length")).toBe(hasLength ? String(answer.body.length) : null);
        expect(UNDO[coding]!(bytesOf(answer)).equals(text)).toBe(true);
        expect(answer.body.length).toBeLessThan(text.length / 4);
      });

    for (const version of ["--http1.0", "--http1.1", "--http2-prior-knowledge"])
      test(`curl --compressed ${version}`, async () => {
        for (const [path, text] of PATHS) {
          const wanted = `Accept-Encoding: ${coding}`;
          const args = ["-sS", "--max-time", "8", version, "--compressed", "-H", wanted, `${proxy.url}${path}`];
          const { out, err, code } = await run("curl", args);
          expect([path, err, code, out === text.toString()]).toEqual([path, "", 0, true]);
        }
      });
  });

describe("what is left as it is", () => {
  const CASES: readonly (readonly [
    name: string,
    path: string,
    coding: string,
    fields: readonly string[],
    vary: boolean,
  ])[] = [
    ["for a client that takes nothing", "/items", "identity", [], true],
    ["a body that turns out to be short", "/tiny", "gzip", [], true],
    ["what must not be changed", "/fixed", "gzip", [], false],
    ["a part", "/items", "gzip", ["Range: bytes=0-9"], true],
    ["where it is turned off", "/off/items", "gzip", [], false],
  ];
  for (const [name, path, coding, fields, vary] of CASES)
    test(name, async () => {
      const answer = await get(path, coding, fields);
      expect([answer.field("content-encoding"), answer.field("vary") !== null]).toEqual([null, vary]);
      expect(JSON_TEXT.startsWith(answer.body) || answer.body === "[]").toBe(true);
    });
  test("a part keeps what is needed to put it together", async () => {
    const { status, fields, body } = await get("/items", "gzip", ["Range: bytes=0-9"]);
    const own = Object.fromEntries(fields.map(([key, value]) => [key.toLowerCase(), value]));
    expect([status, body, own.etag, own["accept-ranges"]]).toEqual([206, JSON_TEXT.slice(0, 10), TAG, "bytes"]);
  });
});

describe("validators", () => {
  test("a strong tag becomes weak, and the fields about the bytes go", async () => {
    const answer = await get("/items", "gzip");
    expect([answer.field("etag"), answer.field("accept-ranges")]).toEqual([`W/${TAG}`, null]);
  });
  test("the server knows its tag in the weak one", async () => {
    const answer = await get("/items", "gzip", [`If-None-Match: W/${TAG}`]);
    expect([answer.status, answer.field("etag"), answer.field("vary")]).toEqual([304, `W/${TAG}`, "Accept-Encoding"]);
  });
  test("a client that has the bytes themselves is told so", async () => {
    const answer = await get("/items", "identity", [`If-None-Match: ${TAG}`]);
    expect([answer.status, answer.field("etag")]).toEqual([304, TAG]);
  });
  test("HEAD has the fields of GET", async () => {
    const asked = request("/items", ["Accept-Encoding: br"], "HEAD");
    const peer = await Peer.connect(proxy.port);
    await using _ = peer;
    const head = await peer.send(asked).response("HEAD");
    const whole = await get("/items", "br");
    const names = ["content-type", "content-encoding", "vary", "etag", "accept-ranges"];
    expect(names.map((name) => head.field(name))).toEqual(names.map((name) => whole.field(name)));
    expect(head.field("content-length")).toBeNull();
  });
});

describe("a server that compresses by itself", () => {
  test("is not compressed again", async () => {
    const answer = await get("/gzip", "gzip, br");
    expect(answer.field("content-encoding")).toBe("gzip");
    expect(zlib.gunzipSync(bytesOf(answer)).equals(LONG)).toBe(true);
  });
  test("is undone for a client that takes it only as it is, where that is wanted", async () => {
    const answer = await exchange(proxy.port, request("/plain/gzip"));
    expect([answer.field("content-encoding"), answer.field("vary")]).toEqual([null, "Accept-Encoding"]);
    expect(bytesOf(answer).equals(LONG)).toBe(true);
  });
});

/** What can be read of the content so far. */
function readable(peer: Peer): string {
  const wire = Buffer.from(peer.peek(), "latin1");
  const pieces: Buffer[] = [];
  for (let at = wire.indexOf("\r\n\r\n") + 4; at > 3 && at < wire.length; ) {
    const lineEnd = wire.indexOf("\r\n", at);
    const size = lineEnd < 0 ? Number.NaN : Number.parseInt(wire.toString("latin1", at, lineEnd), 16);
    if (!(size > 0) || lineEnd + 2 + size > wire.length) break;
    pieces.push(wire.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 4 + size;
  }
  const content = Buffer.concat(pieces);
  if (content.length < 10) return "";
  return zlib.gunzipSync(content, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString();
}

describe("a stream", () => {
  for (const path of ["/live", "/events/live"])
    test(`${path} is seen as it comes`, async () => {
      await using peer = await Peer.connect(proxy.port);
      peer.send(request(path, ["Accept-Encoding: gzip"]));
      const answer = await opened(path);
      await peer.when(() => peer.peek().includes("\r\n\r\n"), "the head, before there is a body");
      expect(peer.peek().toLowerCase()).toContain("content-encoding: gzip");
      let sent = "";
      for (const piece of ["data: 1\n\n", "data: 2\n\n", "x".repeat(100_000)]) {
        answer.write(piece);
        sent += piece;
        await peer.when(() => readable(peer) === sent, `${piece.length} more characters`);
      }
      answer.end();
      await peer.when(() => peer.peek().endsWith("0\r\n\r\n"), "the end");
    });
  test("of events is not compressed by default", async () => {
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/events-plain", ["Accept-Encoding: gzip"]));
    const answer = await opened("/events-plain");
    answer.write("data: 1\n\n");
    await peer.through("data: 1\n\n");
    answer.end();
  });
});

describe("an early end", () => {
  test("the server breaks off in a long body: the client sees that it is cut", async () => {
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/cut/long", ["Accept-Encoding: gzip"]));
    const answer = await opened("/cut/long");
    answer.write(LONG.subarray(0, 300_000));
    await peer.when(() => peer.bytesIn > 1000, "some of it");
    answer.destroy();
    await peer.when(() => peer.ended, "the end of the connection");
    expect(peer.peek()).not.toContain("\r\n0\r\n\r\n");
    await until(() => placesTaken() === 0, "the coder is gone");
  });
  test("the same over HTTP/2", async () => {
    const args = ["-sS", "--max-time", "8", "--http2-prior-knowledge", "--compressed", `${proxy.url}/cut/h2`];
    const ended = run("curl", args);
    const answer = await opened("/cut/h2");
    answer.write(LONG.subarray(0, 300_000));
    await until(() => placesTaken() > 0, "it is being compressed");
    answer.destroy();
    expect((await ended).code).toBe(92); // a stream that was not closed cleanly
    await until(() => placesTaken() === 0, "the coder is gone");
  });
  test("the client goes away: the server is told, and the coder is gone", async () => {
    const peer = await Peer.connect(proxy.port);
    peer.send(request("/left", ["Accept-Encoding: gzip"]));
    const answer = await opened("/left");
    const gone = new Promise((resolve) => answer.once("close", resolve));
    answer.write(LONG.subarray(0, 300_000));
    await peer.when(() => peer.bytesIn > 1000, "some of it");
    expect(placesTaken()).toBe(1);
    peer.socket.resetAndDestroy();
    await gone;
    await until(() => placesTaken() === 0, "the coder is gone");
  });
  test("a body that cannot be undone is cut as well", async () => {
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/plain/broken"));
    await peer.when(() => peer.ended, "the end of the connection");
    expect(peer.peek()).toStartWith("HTTP/1.1 200 ");
    expect(peer.peek()).not.toContain("\r\n0\r\n\r\n");
    await until(() => placesTaken() === 0, "the coder is gone");
  });
});

test("a reader that stops holds up the server, and gets all of it when it goes on", async () => {
  await using peer = await Peer.connect(proxy.port);
  peer.socket.pause();
  peer.send(request("/slow", ["Accept-Encoding: gzip"]));
  const answer = await opened("/slow");
  let written = 0;
  const write = (): void => {
    while (written < 64 && answer.write(NOISE)) written += 1;
  };
  answer.on("drain", () => {
    written += 1;
    write();
  });
  write();
  // Nothing moves any more: what is on the way lies in sockets and in bounded hands.
  let before = -1;
  await until(() => {
    const same = before === written && written > 0;
    before = written;
    return same;
  }, "the server is held up");
  expect(written).toBeLessThan(32);
  peer.discarding = true;
  peer.socket.resume();
  await until(() => written === 64, "the server could go on");
  answer.end();
  await peer.when(() => peer.bytesIn > 64 * NOISE.length, "all of it");
  await until(() => placesTaken() === 0, "the coder is gone");
});

test("from a server of HTTP/2", async () => {
  const far = createH2Server((asked, answer) => {
    const body = asked.url === "/long" ? LONG : Buffer.from(JSON_TEXT);
    answer.writeHead(200, { "content-type": "application/json", "content-length": body.length });
    answer.end(body);
  });
  await new Promise<void>((resolve) => far.listen(0, "127.0.0.1", resolve));
  const to = `h2c://127.0.0.1:${(far.address() as AddressInfo).port}`;
  await using front = await startProxy({ routes: [{ compress: true, to }] });
  for (const [path, text] of [
    ["/items", Buffer.from(JSON_TEXT)],
    ["/long", LONG],
  ] as const) {
    const answer = await exchange(front.port, request(path, ["Accept-Encoding: zstd"]));
    expect([path, answer.status, answer.field("content-encoding")]).toEqual([path, 200, "zstd"]);
    expect(UNDO.zstd!(bytesOf(answer)).equals(text)).toBe(true);
  }
  far.close();
});

test("over HTTP/3", async () => {
  using pki = await Pki.make();
  const files = await pki.files("app", { names: ["app.test"] });
  await using front = await startProxy({
    listener: { tls: { certificates: [files] }, http3: true },
    routes: [{ compress: true, to: origin }],
  });
  await using client = await H3Client.connect(front.port);
  for (const [path, text] of [
    ["/items", Buffer.from(JSON_TEXT)],
    ["/long", LONG],
  ] as const) {
    const got = await (await client.begin({ ...head("GET", path), "accept-encoding": "br" })).done;
    expect([path, got.status, got.fields["content-encoding"], got.reset]).toEqual([path, 200, "br", -1]);
    expect(UNDO.br!(got.body).equals(text)).toBe(true);
  }
});

test("an upgrade passes", async () => {
  await using peer = await Peer.connect(proxy.port);
  peer.send(request("/up", ["Accept-Encoding: gzip", "Connection: Upgrade", "Upgrade: x"]));
  expect((await peer.head()).status).toBe(101);
  await peer.through("from the other side");
});

test("requests on one connection follow each other", async () => {
  await using peer = await Peer.connect(proxy.port);
  const paths = ["/items", "/long", "/own", "/tiny", "/chunked", "/long"];
  peer.send(paths.map((path) => request(path, ["Accept-Encoding: gzip"])).join(""));
  for (const path of paths) {
    const answer = await peer.response();
    expect([path, answer.status, answer.field("content-encoding")]).toEqual([
      path,
      200,
      path === "/tiny" ? null : "gzip",
    ]);
  }
});
