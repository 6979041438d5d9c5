// Bodies of any size: whole at the other end, and never piled up in the proxy, whoever is the slow one. The proxy and the
// server run in processes of their own; memory is the proxy's.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, type Hash } from "node:crypto";
import { pattern } from "./support/body-server.ts";
import { chunks, request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { ProxyProcess } from "./support/proxy-process.ts";
import { until } from "./support/wait.ts";

const MB = 1_048_576;
const GB = 1024 * MB;
const PER_EXCHANGE = MB;
/** What the runtime itself may take while little happens. */
const NOISE = 24 * MB;
/** And while a gigabyte goes through in a second or two: pieces that the collector has not seen yet. */
const FLOWING_NOISE = 96 * MB;
const LONG_MS = 60_000;

const PIECE = pattern();
let server: Bun.Subprocess;
let backend: string;
let proxy: ProxyProcess;

beforeAll(async () => {
  const program = new URL("support/body-server.ts", import.meta.url).pathname;
  const child = Bun.spawn([process.execPath, program], { stdout: "pipe", stderr: "inherit" });
  server = child;
  const { value } = await child.stdout.getReader().read();
  backend = `http://127.0.0.1:${Buffer.from(value ?? [])
    .toString()
    .trim()}`;
  proxy = await ProxyProcess.start({ routes: [{ timeouts: { response: "5m" }, to: backend }] });
  await download(32 * MB); // whatever is loaded on first use does not count
  await upload("/", 32 * MB);
}, LONG_MS);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  server.kill("SIGKILL");
  await server.exited;
});

/** Repeats the pattern up to `bytes` into `take`. */
function* pieces(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PIECE.length) yield left >= PIECE.length ? PIECE : PIECE.subarray(0, left);
}

const sums = new Map<number, string>();
function sumOf(bytes: number): string {
  let sum = sums.get(bytes);
  if (sum === undefined) {
    const hash = createHash("sha256");
    for (const piece of pieces(bytes)) hash.update(piece);
    sums.set(bytes, (sum = hash.digest("hex")));
  }
  return sum;
}

/** Opens a download and reads its head. */
async function open(bytes: number): Promise<Peer> {
  const client = await Peer.connect(proxy.port);
  const head = await client.send(request(`/${bytes}`)).head();
  expect([head.status, head.field("content-length")]).toEqual([200, String(bytes)]);
  return client;
}

/** The SHA-256 of a download. */
async function download(bytes: number): Promise<string> {
  await using client = await open(bytes);
  const hash: Hash = createHash("sha256");
  const first = client.peek();
  hash.update(first, "latin1");
  let got = first.length;
  client.discarding = true;
  client.socket.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    got += chunk.length;
  });
  await client.when(() => got >= bytes, "the whole body", LONG_MS);
  expect(got).toBe(bytes);
  return hash.digest("hex");
}

/** What the server says of an upload. */
async function upload(path: string, bytes: number): Promise<unknown> {
  await using client = await Peer.connect(proxy.port);
  client.send(request(path, [`Content-Length: ${bytes}`], "PUT"));
  for (const piece of pieces(bytes)) {
    if (client.socket.write(piece)) continue;
    const { promise, resolve } = Promise.withResolvers<void>();
    client.socket.once("drain", resolve);
    await promise;
  }
  return JSON.parse((await client.response("PUT", LONG_MS)).body);
}

/** How much the proxy's memory grew at most while `work` ran. */
async function growth(work: () => Promise<void>): Promise<number> {
  const before = proxy.memory;
  let most = before;
  const look = setInterval(() => {
    most = Math.max(most, proxy.memory);
  }, 20);
  await work().finally(() => clearInterval(look));
  return Math.max(most, proxy.memory) - before;
}

describe("held back", () => {
  const READERS = 10;

  test(
    "downloads that nobody reads take next to nothing, and come whole once they are read",
    async () => {
      const size = 300 * MB;
      const clients: Peer[] = [];
      const grown = await growth(async () => {
        for (let i = 0; i < READERS; i += 1) {
          const client = await open(size);
          client.discarding = true;
          client.socket.pause();
          clients.push(client);
        }
        await settled(clients);
      });
      expect(grown).toBeLessThan(READERS * PER_EXCHANGE + NOISE);
      for (const client of clients.slice(1)) client.close();
      const [last] = clients as [Peer];
      expect(last.bytesIn).toBeLessThan(size / 4);
      last.socket.resume();
      await last.when(() => last.bytesIn > size, "the rest", LONG_MS);
      last.close();
    },
    LONG_MS,
  );

  test(
    "a download read little by little does not pile up",
    async () => {
      await using client = await open(GB);
      client.discarding = true;
      const grown = await growth(async () => {
        for (let i = 0; i < 30; i += 1) {
          client.socket.pause();
          await Bun.sleep(10);
          const from = client.bytesIn;
          client.socket.resume();
          await client.when(() => client.bytesIn - from > 4 * MB, "4 MB");
        }
      });
      expect(grown).toBeLessThan(PER_EXCHANGE + FLOWING_NOISE);
    },
    LONG_MS,
  );

  test(
    "an upload that the server takes slowly does not pile up",
    async () => {
      await using client = await Peer.connect(proxy.port);
      client.send(request("/slow", [`Content-Length: ${GB}`], "PUT"));
      const grown = await growth(async () => {
        const feed = setInterval(() => {
          while (client.socket.writable && client.socket.writableLength < 4 * MB) client.socket.write(PIECE);
        }, 2);
        await Bun.sleep(1500).finally(() => clearInterval(feed));
      });
      expect(grown).toBeLessThan(PER_EXCHANGE + NOISE);
      expect(client.socket.writableLength).toBeGreaterThan(0); // it really was held back
    },
    LONG_MS,
  );

  test(
    "pipelined requests behind a slow one wait in the client's connection",
    async () => {
      await using client = await open(300 * MB);
      client.discarding = true;
      client.socket.pause();
      const grown = await growth(async () => {
        const many = request("/1").repeat(500);
        for (let i = 0; i < 200; i += 1) client.send(many);
        await settled([client]);
      });
      expect(grown).toBeLessThan(PER_EXCHANGE + NOISE);
    },
    LONG_MS,
  );
});

/** Waits until nothing moves any more: neither bytes to the clients nor the proxy's memory. */
async function settled(clients: readonly Peer[]): Promise<void> {
  let last = "";
  let quiet = 0;
  await until(async () => {
    await Bun.sleep(50);
    const now = JSON.stringify([clients.map(({ bytesIn }) => bytesIn), proxy.memory]);
    quiet = now === last ? quiet + 1 : 0;
    last = now;
    return quiet >= 4;
  }, "the transfers to come to rest");
}

describe("1 GB", () => {
  test(
    "download",
    async () => {
      let sum = "";
      const grown = await growth(async () => {
        sum = await download(GB);
      });
      expect(sum).toBe(sumOf(GB));
      expect(grown).toBeLessThan(PER_EXCHANGE + FLOWING_NOISE);
    },
    LONG_MS,
  );

  test(
    "upload",
    async () => {
      let said: unknown;
      const grown = await growth(async () => {
        said = await upload("/", GB);
      });
      expect(said).toEqual({ length: GB, sha256: sumOf(GB) });
      expect(grown).toBeLessThan(PER_EXCHANGE + FLOWING_NOISE);
    },
    LONG_MS,
  );

  test("chunked upload of odd pieces", async () => {
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Transfer-Encoding: chunked"], "PUT"));
    const hash = createHash("sha256");
    let length = 0;
    for (let i = 0; i < 400; i += 1) {
      const piece = PIECE.subarray((i * 7919) % 1000, ((i * 7919) % 1000) + 1 + ((i * 104_729) % 300_000));
      hash.update(piece);
      length += piece.length;
      client
        .send(`${piece.length.toString(16)}\r\n`)
        .send(piece)
        .send("\r\n");
      if (client.socket.writableLength > 8 * MB) await until(() => client.socket.writableLength < MB, "room");
    }
    client.send(`${chunks("the end")}0\r\n\r\n`);
    hash.update("the end");
    const said: unknown = JSON.parse((await client.response("PUT")).body);
    expect(said).toEqual({ length: length + 7, sha256: hash.digest("hex") });
  });
});
