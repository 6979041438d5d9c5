// Clients and servers that do anything at any time: whatever comes of single requests, nothing of them stays behind.
import { expect, test } from "bun:test";
import { H2Peer } from "./support/h2-peer.ts";
import { data, get, headers, lastData, lastHeaders, ping, post, rst, windowUpdate } from "./support/h2-wire.ts";
import { answer } from "./support/message.ts";
import { type Peer, PeerGone } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const CLIENTS = 6;
const CONNECTIONS = 12;
const STEPS = 60;
const SEED = 20_261_123;

/** Numbers that look random, the same in every run. */
function dice(seed: number): (sides: number) => number {
  let state = seed >>> 0;
  return (sides) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % sides;
  };
}

/** Serves a connection until it breaks it itself. */
async function serve(peer: Peer, roll: (sides: number) => number): Promise<void> {
  for (;;) {
    const got = await peer.head();
    const length = Number(got.field("content-length") ?? 0);
    const mood = roll(10);
    if (mood === 0) return peer.reset();
    if (mood === 1) return peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").finish();
    if (mood === 2) return peer.send(`HTTP/1.1 200 OK\r\n\r\n${"c".repeat(roll(100_000))}`).finish();
    if (got.target === "/chat") return peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").finish();
    if (mood === 3) peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    if (length > 0) await peer.bytes(length);
    if (got.field("transfer-encoding") !== null) while ((await peer.chunk()) !== null) {}
    if (got.method === "HEAD") peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    else if (mood === 4)
      peer.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
      );
    else peer.send(answer(200, "x".repeat(roll(mood === 5 ? 400_000 : 20_000))));
  }
}

const fields = (method: string, path: string, more: readonly (readonly [string, string])[] = []) =>
  [[":method", method], ...more, [":scheme", "http"], [":authority", "a.example"], [":path", path]] as const;

/** One thing that a client may do; `next` is a stream that it has not used. Returns whether it has now. */
function act(client: H2Peer, next: number, roll: (sides: number) => number): boolean {
  const used = next === 1 ? 1 : 1 + 2 * roll((next - 1) / 2);
  switch (roll(11)) {
    case 0:
      client.send(post(next, "/", [["content-length", "6"]]), data(next, "abc"), lastData(next, "def"));
      return true;
    case 1:
      client.send(post(next), data(next, "x".repeat(roll(16_000)))); // and no more of it
      return true;
    case 2:
      client.send(post(next), data(next, "chunk"), lastHeaders(next, [["x-t", "1"]]));
      return true;
    case 3:
      client.send(post(next, "/small"), data(next, "x".repeat(roll(300))));
      return true;
    case 4:
      client.send(lastHeaders(next, fields("HEAD", "/")));
      return true;
    case 5:
      client.send(headers(next, fields("CONNECT", "/chat", [[":protocol", "websocket"]])));
      return true;
    case 6:
      client.send(get(next), rst(next));
      return true;
    case 7:
      if (next > 1) client.send(rst(used));
      return false;
    case 8:
      client.send(windowUpdate(0, 1 + roll(100_000)), ...(next > 1 ? [windowUpdate(used, 1 + roll(50_000))] : []));
      return false;
    case 9:
      client.send(ping());
      return false;
    default:
      client.send(get(next, roll(3) === 0 ? "/respond" : "/"));
      return true;
  }
}

async function connection(port: number, roll: (sides: number) => number): Promise<void> {
  const settings = roll(2) === 0 ? {} : { INITIAL_WINDOW_SIZE: roll(200_000) };
  await using client = await H2Peer.connect(port, { stingy: roll(3) === 0, settings });
  try {
    let next = 1;
    for (let step = 0; step < STEPS && !client.peer.ended; step += 1) {
      if (act(client, next, roll)) next += 2;
      if (roll(8) === 0) await client.settled();
    }
    if (roll(2) === 0) await client.settled();
  } catch (error) {
    if (!(error instanceof PeerGone)) throw error;
  }
  if (roll(3) === 0) client.peer.reset();
}

test("nothing is left of requests that go wrong in every way", async () => {
  const moods = dice(SEED);
  await using backend = await RawBackend.start((peer) => serve(peer, moods));
  using folder = new Folder();
  await using proxy = await runConfig(folder, {
    workers: 1,
    listeners: [{ address: "127.0.0.1:0", h2c: true, timeouts: { body: "400ms", header: "1s" } }],
    routes: [
      { match: { path: "/respond" }, respond: { body: "here" } },
      { match: { path: "/small" }, limits: { body: "100B" }, to: "app" },
      { to: "app" },
    ],
    upstreams: { app: { servers: [backend.url], outlier: false } },
  });
  const client = async (number: number): Promise<void> => {
    const roll = dice(SEED + number);
    for (let at = 0; at < CONNECTIONS; at += 1) await connection(proxy.port(), roll);
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  await using last = await H2Peer.connect(proxy.port());
  expect((await last.get(1, "/respond")).body).toBe("here");
  const sums = async (): Promise<(family: string) => number> => {
    const all = new Map<string, number>();
    for (const [name, value] of await proxy.metrics()) {
      const family = name.split("{")[0]!;
      all.set(family, (all.get(family) ?? 0) + value);
    }
    return (family) => all.get(family) ?? 0;
  };
  const GONE = ["sluice_http2_streams", "sluice_upstream_in_flight", "sluice_upstream_queued", "sluice_tunnels"];
  await until(async () => {
    const sum = await sums();
    return sum("sluice_connections") === 1 && GONE.every((name) => sum(name) === 0);
  }, "everything to be let go");
  expect((await sums())("sluice_requests_total")).toBeGreaterThan(1000);
  expect(proxy.err).not.toMatch(/error|warn/i);
}, 30_000);
