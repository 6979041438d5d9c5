// What clients of HTTP/2 do to cost a server more than themselves (RFC 9113 §10.5): each is told to calm down, or is cut
// off when its time is over, while another client is served as before, and memory stays where it was.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ATTACKS, type Attack } from "./support/h2-attacks.ts";
import { H2Peer } from "./support/h2-peer.ts";
import { get, rst, SETTING } from "./support/h2-wire.ts";
import { answer } from "./support/message.ts";
import { ProxyProcess } from "./support/proxy-process.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed } from "./support/wait.ts";

/** How long floods go on when nobody stops them. */
const FLOOD_MS = 600;
/** What clients may take; short, so that those who take longer are soon cut off. */
const TIMEOUT = "250ms";
/** A client that reads nothing does so for some time-outs. */
const DEAF_MS = 900;
const VERDICT_MS = 2500;
/** Another client's request takes about a millisecond; this is for busy machines. */
const WITNESS_MS = 500;
/** Bytes that wait in an attacker's socket before it waits too. */
const AHEAD_BYTES = 1_000_000;
/** Answers that attackers may get, out of a hundred and more that they ask for: what the kernel holds for them. */
const ANSWERED_MAX = 50;
const MEMORY_MAX = 50 * 1024 * 1024;

let backend: RawBackend;
let proxy: ProxyProcess;
let witness: H2Peer;
let witnessed = 1;
let memory = 0;

beforeAll(async () => {
  const big = answer(200, "b".repeat(300_000));
  backend = await RawBackend.answering(({ target }) =>
    target === "/held" ? null : target === "/big" ? big : answer(200, target),
  );
  proxy = await ProxyProcess.start({
    listener: { h2c: true, timeouts: { header: TIMEOUT, body: TIMEOUT } },
    routes: [{ to: backend.url }],
  });
  witness = await H2Peer.connect(proxy.port);
  for (let i = 0; i < 200; i += 1) await ask();
  memory = proxy.memory;
});
afterAll(async () => {
  await witness[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

/** Another client's request. A connection that nobody used for a while has been closed, and makes way for the next. */
async function ask(): Promise<void> {
  if (witness.goaway !== null || witness.peer.ended) {
    await witness[Symbol.asyncDispose]();
    witness = await H2Peer.connect(proxy.port);
    witnessed = 1;
  }
  const heard = await witness.send(get(witnessed, "/witness")).answer(witnessed, WITNESS_MS);
  witnessed += 2;
  expect([heard.status, heard.body]).toEqual([200, "/witness"]);
}

/** Nobody knows this client yet. */
const stranger = (): string => `127.0.1.${++strangers}`;
let strangers = 0;

async function connect({ end, hello, settings, deaf, pauseMs = 0 }: Attack): Promise<H2Peer> {
  const peer = await H2Peer.connect(proxy.port, {
    from: stranger(),
    stingy: end !== "answers",
    deaf: end === "late" && pauseMs > 0, // an acknowledgement would come between the bytes of a frame
    ...(hello === undefined ? {} : { hello }),
    ...(settings === undefined ? {} : { settings }),
  });
  if (deaf === true) peer.peer.socket.pause();
  return peer;
}

/** Sends until there is nothing more to send, or the other side has ended it, or the time is over. */
async function play(peer: H2Peer, { burst, pauseMs = 0 }: Attack): Promise<void> {
  const { socket } = peer.peer;
  const until = performance.now() + FLOOD_MS;
  for (let number = 0; !peer.peer.ended && peer.goaway === null && performance.now() < until; number += 1) {
    const bytes = burst(number);
    if (bytes === null) return;
    peer.send(bytes);
    if (pauseMs > 0) await Bun.sleep(pauseMs);
    else await new Promise(setImmediate);
    while (socket.writableLength > AHEAD_BYTES && !peer.peer.ended && performance.now() < until) await Bun.sleep(2);
  }
}

async function expectEnd(peer: H2Peer, end: Attack["end"]): Promise<void> {
  if (end === "answers") {
    // Those that are read too slowly are streams above the limit in the end.
    await peer.settled().catch(() => {});
    expect([undefined, "ENHANCE_YOUR_CALM"]).toContain(peer.goaway?.code as "ENHANCE_YOUR_CALM" | undefined);
    return;
  }
  const streams = () => [...peer.streams.values()];
  // The first of many answers may have been through before the others came.
  const over = () => streams().length > 0 && streams().every(({ ended, reset }) => ended || reset !== null);
  const isLate = () => end === "late" && over();
  await peer.peer.when(() => peer.peer.ended || peer.goaway !== null || isLate(), "the end", VERDICT_MS);
  // Who sends on and on is cut off, and may never read why.
  if (end === "calm") expect(peer.goaway?.code ?? "cut off").toBeOneOf(["ENHANCE_YOUR_CALM", "cut off"]);
  const answered = streams().filter(({ ended, status }) => ended && status === 200);
  expect(answered.length).toBeLessThan(ANSWERED_MAX);
}

for (const attack of ATTACKS)
  test(attack.name, async () => {
    await ask();
    await using peer = await connect(attack);
    const [, took] = await Promise.all([play(peer, attack), timed(ask)]);
    expect(took).toBeLessThan(WITNESS_MS);
    if (attack.deaf === true) {
      if (attack.end === "late") await Bun.sleep(DEAF_MS);
      peer.peer.socket.resume();
    }
    await expectEnd(peer, attack.end);
    await ask();
  });

test("requests that are taken back at once reach no server", async () => {
  await ask();
  const before = backend.peers.length;
  await using peer = await H2Peer.connect(proxy.port, { from: stranger() });
  await peer.settled();
  const pairs = Array.from({ length: 50 }, (_, index) => [get(2 * index + 1, "/held"), rst(2 * index + 1)]);
  await peer.send(...pairs.flat()).settled();
  await ask();
  expect([backend.peers.length, peer.goaway]).toEqual([before, null]);
});

test("who comes back from the same address is caught sooner, and nobody else", async () => {
  const from = stranger();
  const resetAll = async (peer: H2Peer): Promise<number> => {
    for (let stream = 1; ; stream += 2) {
      peer.send(get(stream, "/held"), rst(stream));
      if (stream % 20 === 19) await peer.settled().catch(() => {});
      if (peer.goaway !== null || peer.peer.ended) return (stream + 1) / 2;
    }
  };
  const streamsOf = (peer: H2Peer): number | undefined => peer.settings.get(SETTING.MAX_CONCURRENT_STREAMS);
  await using first = await H2Peer.connect(proxy.port, { from });
  await first.settled();
  expect(streamsOf(first)).toBe(128);
  expect(await resetAll(first)).toBeWithin(200, 241);
  await using again = await H2Peer.connect(proxy.port, { from });
  await again.settled();
  expect(streamsOf(again)).toBe(8);
  expect(await resetAll(again)).toBeWithin(20, 61);
  await using other = await H2Peer.connect(proxy.port, { from: stranger() });
  await other.settled();
  expect(streamsOf(other)).toBe(128);
});

test("memory is where it was", async () => {
  await ask();
  expect(proxy.memory - memory).toBeLessThan(MEMORY_MAX);
});
