// Stored answers keep their content codings: what clients get is what they would get from the filter, and the work is
// done once.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import zlib from "node:zlib";
import { placesTaken } from "../src/engines/compression/coders.ts";
import { type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { run } from "./support/programs.ts";
import { MARKER, proxyHasRead, startProxy, type TestProxy } from "./support/proxy.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const CODINGS = ["zstd", "br", "gzip"] as const;
type Coding = (typeof CODINGS)[number];
const UNDO: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => zlib.gunzipSync(bytes),
  br: (bytes) => zlib.brotliDecompressSync(bytes),
  zstd: (bytes) => zlib.zstdDecompressSync(bytes),
};
const ITEMS = Array.from({ length: 300 }, (_, id) => ({ id, name: `item ${(id * 7919) % 1000}`, at: `/items/${id}` }));
const ITEMS_TEXT = JSON.stringify(ITEMS);
/** More than is encoded at once, and more than the piece of a body. */
const LONG_TEXT = Array.from({ length: 40 }, (_, at) => ITEMS_TEXT.replaceAll("item", `item ${at}`)).join("\n");
const TAG = '"v1"';
const JSON_TYPE = { "content-type": "application/json" };

type Fields = Readonly<Record<string, string>>;

/** What the server answers with, by the last part of the path. */
const ANSWERS: Readonly<Record<string, readonly [fields: Fields, text: string]>> = {
  items: [{ ...JSON_TYPE, etag: TAG, "accept-ranges": "bytes", "content-md5": "x" }, ITEMS_TEXT],
  long: [{ ...JSON_TYPE, etag: TAG, "accept-ranges": "bytes" }, LONG_TEXT],
  varied: [{ ...JSON_TYPE, vary: "Accept-Language" }, ITEMS_TEXT],
  encoding: [{ ...JSON_TYPE, vary: "Accept-Encoding" }, ITEMS_TEXT],
  image: [{ "content-type": "image/png" }, ITEMS_TEXT],
  tiny: [JSON_TYPE, ITEMS_TEXT.slice(0, 1023)],
  fixed: [{ ...JSON_TYPE, "cache-control": "max-age=60, no-transform" }, ITEMS_TEXT],
  gzip: [{ ...JSON_TYPE, "content-encoding": "gzip" }, ITEMS_TEXT],
  empty: [{ ...JSON_TYPE, location: "/" }, ""],
};

let held = Promise.resolve();
/** How often the server was asked for each target. */
const asked = new Map<string, number>();

async function answerTo(given: IncomingMessage, answer: ServerResponse): Promise<void> {
  const target = given.url!;
  asked.set(target, (asked.get(target) ?? 0) + 1);
  const { pathname, searchParams } = new URL(target, "http://x");
  if (searchParams.has("held")) await held;
  const [fields, text] = ANSWERS[pathname.split("/").at(-1)!]!;
  const all: Fields = { "cache-control": searchParams.get("cc") ?? "max-age=60", ...fields };
  const same = all.etag !== undefined && given.headers["if-none-match"]?.includes(all.etag) === true;
  if (same) return void answer.writeHead(304, { ...all, "x-asked": String(asked.get(target)) }).end();
  const bytes = fields["content-encoding"] === "gzip" ? zlib.gzipSync(text) : Buffer.from(text);
  if (!searchParams.has("chunked")) answer.setHeader("content-length", bytes.length);
  answer.writeHead(200, all);
  if (given.method !== "HEAD") answer.write(bytes.subarray(0, 1000));
  answer.end(given.method === "HEAD" ? undefined : bytes.subarray(1000));
}

let server: Server;
let origin: string;
let proxy: TestProxy;

beforeAll(async () => {
  server = createServer((given, answer) => void answerTo(given, answer));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked.clear();
});

const start = (): Promise<TestProxy> =>
  startProxy({
    listener: { h2c: true },
    defaults: { compress: true },
    routes: [
      {
        name: "filtered",
        match: { path: "/filtered/*" },
        cache: true,
        responseHeaders: { set: { "x-set": "1" } },
        to: origin,
      },
      { name: "passing", match: { path: "/passing/*" }, to: origin },
      { name: "undone", match: { path: "/undone/*" }, cache: true, compress: { decompress: true }, to: origin },
      { name: "off", match: { path: "/off/*" }, cache: true, compress: false, to: origin },
      { name: "alone", cache: true, to: origin },
    ],
  });

beforeAll(async () => {
  proxy = await start();
});
afterAll(() => proxy[Symbol.asyncDispose]());

const bytesOf = (message: Message): Buffer => Buffer.from(message.body, "latin1");
const get = (path: string, coding: string, fields: readonly string[] = []): Promise<Message> =>
  exchange(proxy.port, request(path, [`Accept-Encoding: ${coding}`, ...fields]));

async function head(path: string, coding: string): Promise<Message> {
  await using peer = await Peer.connect(proxy.port);
  return await peer.send(request(path, [`Accept-Encoding: ${coding}`], "HEAD")).response("HEAD");
}

function textOf(message: Message): string {
  const coding = message.field("content-encoding");
  return (coding === null ? bytesOf(message) : UNDO[coding]!(bytesOf(message))).toString();
}

/** What an answer says, but for what is of the moment and for the length. */
function said(message: Message): Fields {
  const own = new Set(["age", "cache-status", "date", "content-length", "transfer-encoding", "x-request-id", "x-set"]);
  const fields = message.fields.map(([name, value]) => [name.toLowerCase(), value] as const);
  const left = fields.filter(([name]) => !own.has(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries([["status", String(message.status)], ...left]);
}

/** What is sent once the background has been there. */
async function settled(path: string, coding: string): Promise<Message> {
  await until(() => placesTaken() === 0, "the coders are gone");
  return await get(path, coding);
}

for (const coding of CODINGS)
  describe(coding, () => {
    for (const route of ["alone", "filtered"] as const)
      for (const [name, text] of [
        ["items", ITEMS_TEXT],
        ["long", LONG_TEXT],
        ["varied", ITEMS_TEXT],
        ["encoding", ITEMS_TEXT],
        ["items?chunked", ITEMS_TEXT],
      ] as const)
        test(`of ${name}, ${route}: each answer is that of the filter, and shorter in the end`, async () => {
          const more = `${name.includes("?") ? "&" : "?"}${coding}`;
          const passing = await get(`/passing/${name}${more}`, coding);
          const path = `/${route}/${name}${more}`;
          const answers = [await get(path, coding), await get(path, coding), await get(path, coding)];
          answers.push(await settled(path, coding), await get(path, coding));
          for (const [at, answer] of answers.entries()) {
            expect([at, textOf(answer) === text]).toEqual([at, true]);
            expect([at, said(answer)]).toEqual([at, said(passing)]);
            if (at > 0) expect(answer.field("cache-status")).toBe("sluice; hit");
            if (at > 0) expect(answer.all("age")).toHaveLength(1);
          }
          const last = answers.at(-1)!;
          expect(last.all("content-length")).toEqual([String(last.body.length)]);
          // For what repeats itself, and with the coder of gzip that works at once, there may be nothing more to gain.
          const isShorter = name !== "long" && coding !== "gzip";
          expect(last.body.length).toBeLessThan(answers[1]!.body.length + (isShorter ? 0 : 1));
          expect(asked.get(path)).toBe(1);
        });

    test("identity clients never see it, before and after", async () => {
      const path = `/alone/items?plain-${coding}`;
      for (let round = 0; round < 3; round += 1) {
        for (const asks of ["identity", "", `${coding};q=0`, "deflate"]) {
          const answer = await get(path, asks);
          expect([answer.field("content-encoding"), answer.body === ITEMS_TEXT]).toEqual([null, true]);
          expect([answer.field("vary"), answer.field("etag")]).toEqual(["Accept-Encoding", TAG]);
          expect(answer.field("accept-ranges")).toBe("bytes");
        }
        const none = await exchange(proxy.port, request(path));
        expect([none.field("content-encoding"), none.body === ITEMS_TEXT]).toEqual([null, true]);
        expect((await get(path, coding)).field("content-encoding")).toBe(coding);
      }
    });

    test("HEAD has the fields of GET, and its length once it is known", async () => {
      const path = `/alone/items?head-${coding}`;
      await get(path, "identity");
      const before = await head(path, coding);
      expect(before.all("content-length")).toEqual([]);
      const whole = await get(path, coding);
      expect(said(before)).toEqual(said(whole));
      const after = await head(path, coding);
      expect(said(after)).toEqual(said(whole));
      const end = await settled(path, coding);
      expect((await head(path, coding)).field("content-length")).toBe(end.field("content-length"));
    });

    test("If-None-Match with its tag is answered by 304", async () => {
      const path = `/alone/items?condition-${coding}`;
      for (let round = 0; round < 3; round += 1) {
        const answer = await get(path, coding);
        const tag = answer.field("etag")!;
        expect(tag).toBe(`W/${TAG}`);
        const same = await get(path, coding, [`If-None-Match: ${tag}`]);
        expect([same.status, same.field("etag"), same.field("vary"), same.body]).toEqual([
          304,
          tag,
          "Accept-Encoding",
          "",
        ]);
        expect(same.field("content-encoding")).toBeNull();
        expect((await get(path, coding, ['If-None-Match: "other"'])).status).toBe(200);
      }
    });

    test("a 304 says by what the whole is chosen, whoever gets it", async () => {
      const path = `/alone/items?unmodified-${coding}`;
      await get(path, coding);
      const varies = async (target: string, accepted: string, condition: string): Promise<unknown> => {
        const answer = await get(target, accepted, [condition]);
        return [answer.status, answer.field("vary")];
      };
      expect(await varies(path, "identity", `If-None-Match: ${TAG}`)).toEqual([304, "Accept-Encoding"]);
      expect(await varies(path, coding, `If-None-Match: ${TAG}`)).toEqual([304, "Accept-Encoding"]);
      expect(await varies(path, "identity", `If-Modified-Since: ${new Date(Date.now() + 1e5).toUTCString()}`)).toEqual([
        304,
        "Accept-Encoding",
      ]);
      await get("/alone/image", coding);
      expect(await varies("/alone/image", "identity", "If-None-Match: *")).toEqual([304, null]);
    });

    test("a range is one of the content as it is", async () => {
      const path = `/alone/items?range-${coding}`;
      for (let round = 0; round < 3; round += 1) {
        await get(path, coding);
        const part = await get(path, coding, ["Range: bytes=5-14"]);
        expect([part.status, part.field("content-encoding"), part.body]).toEqual([206, null, ITEMS_TEXT.slice(5, 15)]);
        expect([part.field("etag"), part.field("content-range")]).toEqual([TAG, `bytes 5-14/${ITEMS_TEXT.length}`]);
        expect(part.field("vary")).toBe("Accept-Encoding");
        // Of what the client has in this coding it has no strong tag, so it gets all of it anew.
        const other = await get(path, coding, ["Range: bytes=5-14", `If-Range: W/${TAG}`]);
        expect([other.status, other.field("content-encoding"), textOf(other)]).toEqual([200, coding, ITEMS_TEXT]);
      }
    });

    test("a client that forbids to change the content gets it as it is", async () => {
      const path = `/alone/items?fixed-${coding}`;
      for (let round = 0; round < 3; round += 1) {
        await get(path, coding);
        const fixed = await get(path, coding, ["Cache-Control: no-transform"]);
        expect([fixed.field("content-encoding"), fixed.body === ITEMS_TEXT]).toEqual([null, true]);
      }
    });

    test("a 304 of the server keeps it", async () => {
      const path = `/alone/items?cc=max-age%3D0&${coding}`;
      const first = await get(path, coding);
      const bodies: string[] = [];
      for (let round = 1; round < 5; round += 1) {
        const answer = await get(path, coding);
        expect([answer.field("x-asked"), textOf(answer) === ITEMS_TEXT]).toEqual([String(round + 1), true]);
        const { "x-asked": _, ...fields } = said(answer);
        expect(fields).toEqual(said(first));
        bodies.push(answer.body);
      }
      expect(bodies.at(-1)!.length).toBeLessThanOrEqual(bodies[0]!.length);
    });
  });

describe("what is not encoded makes no variant, and goes out the same way each time", () => {
  for (const name of ["image", "tiny", "fixed", "gzip", "empty"])
    for (const route of ["alone", "filtered"])
      test(`${name}, ${route}`, async () => {
        const passing = await get(`/passing/${name}`, "gzip");
        for (let round = 0; round < 4; round += 1) {
          const answer = await get(`/${route}/${name}`, "gzip");
          expect(said(answer)).toEqual(said(passing));
          expect(answer.body).toBe(passing.body);
        }
      });

  test("where it is turned off", async () => {
    for (let round = 0; round < 3; round += 1) {
      const answer = await get("/off/items", "gzip");
      expect([answer.field("content-encoding"), answer.field("vary"), answer.body === ITEMS_TEXT]).toEqual([
        null,
        null,
        true,
      ]);
    }
  });

  test("a client that refuses it as it is gets it encoded all the same, whatever it is", async () => {
    for (const name of ["image", "tiny", "items"])
      for (let round = 0; round < 3; round += 1) {
        const answer = await get(`/alone/${name}?refused`, "br, identity;q=0");
        expect([answer.field("content-encoding"), textOf(answer) === ANSWERS[name]![1]]).toEqual(["br", true]);
      }
  });
});

test("what came encoded is undone for those who do not take it, stored or not", async () => {
  for (let round = 0; round < 3; round += 1) {
    const plain = await get("/undone/gzip", "identity");
    expect([plain.field("content-encoding"), plain.body === ITEMS_TEXT, plain.field("vary")]).toEqual([
      null,
      true,
      "Accept-Encoding",
    ]);
    const coded = await get("/undone/gzip", "gzip");
    expect([coded.field("content-encoding"), textOf(coded) === ITEMS_TEXT]).toEqual(["gzip", true]);
    expect((await head("/undone/gzip", "identity")).field("content-length")).toBeNull();
  }
});

test("curl --compressed, over each version", async () => {
  for (const version of ["--http1.0", "--http1.1", "--http2-prior-knowledge"])
    for (const coding of CODINGS)
      for (const name of ["items", "long"])
        for (let round = 0; round < 3; round += 1) {
          const url = `${proxy.url}/alone/${name}?curl-${coding}`;
          const args = ["-sS", "--max-time", "8", version, "--compressed", "-H", `Accept-Encoding: ${coding}`, url];
          const { out, err, code } = await run("curl", args);
          expect([name, err, code, out === (name === "items" ? ITEMS_TEXT : LONG_TEXT)]).toEqual([name, "", 0, true]);
        }
}, 20_000);

test("a slow client gets all of it, while others come and leave", async () => {
  await get("/alone/long?slow", "identity");
  await using slow = await Peer.connect(proxy.port);
  slow.socket.pause();
  slow.send(request("/alone/long?slow", ["Accept-Encoding: br"]));
  const gone = await Peer.connect(proxy.port);
  gone.send(request("/alone/long?slow", ["Accept-Encoding: br"]));
  await gone.when(() => gone.bytesIn > 0, "some of it");
  gone.socket.resetAndDestroy();
  expect(textOf(await get("/alone/long?slow", "br"))).toBe(LONG_TEXT);
  slow.socket.resume();
  expect(textOf(await slow.response())).toBe(LONG_TEXT);
  await until(() => placesTaken() === 0, "the coders are gone");
});

const encodedBy = (coding: Coding, result: string): string =>
  `sluice_compressed_answers_total{coding="${coding}",result="${result}"}`;

/** One worker that compresses and keeps what the origin sends. */
const serve = (folder: Folder, cache: boolean | object = true, ...before: readonly object[]): Promise<SluiceProcess> =>
  runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 1,
    shutdown: { drain: "20ms" },
    routes: [...before, { name: "app", cache, compress: true, to: origin }],
  });

test("two hundred requests at once for a stored answer: each coding is made once", async () => {
  using folder = new Folder();
  await using program = await serve(folder);
  for (const [name, text] of [
    ["items", ITEMS_TEXT],
    ["long", LONG_TEXT],
  ] as const) {
    await exchange(program.port(), request(`/${name}`));
    const before = await program.metrics();
    for (const coding of CODINGS) {
      const clients = await Promise.all(Array.from({ length: 200 }, () => Peer.connect(program.port())));
      for (const client of clients) client.send(request(`/${name}`, [`Accept-Encoding: ${coding}`]));
      for (const client of clients) {
        const answer = await client.response();
        if (textOf(answer) !== text) throw new Error(`another text in ${coding}`);
        client.close();
      }
      const key = (result: string): string => encodedBy(coding, result);
      const grown = async (result: string): Promise<number> => {
        const now = await program.metrics();
        return (now.get(key(result)) ?? 0) - (before.get(key(result)) ?? 0);
      };
      await until(async () => (await grown("kept")) === 199, "all of them to be counted");
      expect(await grown("encoded")).toBe(1);
    }
  }
  expect([asked.get("/items"), asked.get("/long")]).toEqual([1, 1]);
}, 30_000);

test("two hundred requests at once for one that is not stored: all but two get what one of them had made", async () => {
  using folder = new Folder();
  await using program = await serve(folder, true, MARKER);
  const clients = await Promise.all(Array.from({ length: 200 }, () => Peer.connect(program.port())));
  const gate = Promise.withResolvers<void>();
  held = gate.promise;
  for (const client of clients) client.send(request("/items?held", ["Accept-Encoding: gzip"]));
  await proxyHasRead(program.port());
  gate.resolve();
  for (const client of clients) {
    expect(textOf(await client.response()) === ITEMS_TEXT).toBe(true);
    client.close();
  }
  const counted = async (result: string): Promise<number> =>
    (await program.metrics()).get(encodedBy("gzip", result)) ?? 0;
  await until(async () => (await counted("kept")) + (await counted("encoded")) === 200, "all of them to be counted");
  expect([asked.get("/items?held"), (await counted("encoded")) <= 2]).toEqual([1, true]);
}, 20_000);

test("the memory of the cache holds with all codings in it", async () => {
  const memory = 4_194_304;
  using folder = new Folder();
  await using program = await serve(folder, { memory: "4MB" });
  await using client = await Peer.connect(program.port());
  let most = 0;
  for (let at = 0; at < 400; at += 1) {
    for (const coding of [...CODINGS, "identity", ...CODINGS]) {
      const target = `/items?memory-${at}`;
      const answer = await client.send(request(target, [`Accept-Encoding: ${coding}`])).response();
      if (textOf(answer) !== ITEMS_TEXT) throw new Error(`another text of ${target} in ${coding}`);
    }
    if (at % 40 === 39) most = Math.max(most, (await program.metrics()).get("sluice_cache_bytes") ?? 0);
  }
  expect(most).toBeLessThanOrEqual(memory);
  expect(most).toBeGreaterThan(memory / 2);
}, 30_000);

test("what the server confirms for each request is not made anew", async () => {
  using folder = new Folder();
  await using program = await serve(folder);
  for (let at = 0; at < 6; at += 1) {
    const answer = await exchange(program.port(), request("/items?cc=no-cache", ["Accept-Encoding: br"]));
    expect([answer.field("content-encoding"), textOf(answer) === ITEMS_TEXT]).toEqual(["br", true]);
  }
  // One was made of the content as it passed, one of what is stored.
  await program.counted(encodedBy("br", "encoded"), 2);
  await program.counted(encodedBy("br", "kept"), 4);
  expect(asked.get("/items?cc=no-cache")).toBe(6);
});

async function purge(program: SluiceProcess): Promise<void> {
  const body = JSON.stringify({ all: true });
  const { status } = await fetch(`${program.adminUrl}/api/cache/purge`, { method: "POST", headers: JSON_TYPE, body });
  expect(status).toBe(200);
}

test("a purge and a change take the codings along", async () => {
  using folder = new Folder();
  await using program = await serve(folder);
  const ask = (method = "GET"): Promise<Message> =>
    exchange(program.port(), request("/items", ["Accept-Encoding: br"], method));
  const bytes = async (): Promise<number> => (await program.metrics()).get("sluice_cache_bytes") ?? 0;
  for (const end of ["POST", "purge"] as const) {
    for (let i = 0; i < 4; i += 1) expect(textOf(await ask())).toBe(ITEMS_TEXT);
    await until(async () => (await bytes()) > ITEMS_TEXT.length, "it counts");
    const before = asked.get("/items")!;
    if (end === "POST") await ask("POST");
    else await purge(program);
    await until(async () => (await bytes()) === 0, "nothing is stored");
    expect(textOf(await ask())).toBe(ITEMS_TEXT);
    expect(asked.get("/items")).toBe(before + (end === "POST" ? 2 : 1));
  }
}, 20_000);
