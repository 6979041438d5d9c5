// Two laws of sessions. Whatever bytes come: nothing is thrown, what is held stays within the windows, and the driver
// hears the same wherever the bytes are cut. And two sessions that talk to each other lose nothing, whatever their
// drivers do and however the network cuts their bytes: content, ends, trailers, streams and windows all come out even.
// `bun src/http/h2/session.fuzz.ts 182` replays one seed of both.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { HeaderBlock } from "../header-block.ts";
import { bytesOf, cut } from "./frame-reader.fuzz.ts";
import { frame, uint32 } from "./frame-reader.testing.ts";
import { PREFACE, TYPE } from "./frames.ts";
import {
  answer,
  block,
  data,
  type Fields,
  GET,
  headers,
  OK,
  POST,
  SessionRig,
  type StreamLog,
} from "./session.testing.ts";
import type { SessionCore } from "./session-core.ts";

// ——— any bytes

const FIELDS: readonly Fields[] = [
  GET,
  POST,
  OK,
  [[":status", "103"]],
  [...POST, ["content-length", "3"]],
  [...OK, ["content-length", "3"]],
  [["x-sum", "1"]],
  [[":method", "CONNECT"], [":protocol", "websocket"], ...GET.slice(1)],
  [...GET, ["cookie", "a"], ["x", "1"], ["cookie", "b"]],
];

function anyFrame(rng: Rng): Buffer {
  const id = rng.oneIn(6) ? rng.below(12) : 2 * rng.below(5) + 1;
  switch (rng.below(10)) {
    case 0:
      return frame(rng.below(18), rng.below(64), rng.below(12), bytesOf(rng, rng.below(12)));
    case 1:
      return data(id, bytesOf(rng, rng.below(rng.pick([1, 8, 5000]))), rng.oneIn(3));
    case 2:
      return frame(TYPE.windowUpdate, 0, rng.oneIn(2) ? 0 : id, uint32(rng.pick([0, 1, 1000, 0x7fff_ffff])));
    case 3:
      return frame(
        TYPE.settings,
        rng.below(2),
        0,
        rng.oneIn(2) ? "" : Buffer.concat([Buffer.from([0, rng.below(10)]), uint32(rng.below(70_000))]),
      );
    case 4:
      return frame(TYPE.rstStream, 0, id, uint32(rng.below(16)));
    case 5: {
      const bytes = block(rng.pick(FIELDS));
      const at = rng.below(bytes.length);
      return Buffer.concat([
        frame(TYPE.headers, rng.below(2), id, bytes.subarray(0, at)),
        frame(TYPE.continuation, 4, id, bytes.subarray(at)),
      ]) as Buffer;
    }
    case 6:
      return frame(rng.pick([TYPE.ping, TYPE.goaway]), rng.below(2), 0, bytesOf(rng, 8));
    default:
      return headers(id, rng.pick(FIELDS), rng.pick([4, 5]));
  }
}

/** What comes of these pieces: what the driver heard, content joined, and what was written. */
function play(role: "server" | "client", seed: number, pieces: readonly Buffer[]): string {
  const rig = new SessionRig(role, { streamWindow: 8000, connectionWindow: 65_535, connectionWindowMax: 65_535 });
  rig.session.start();
  if (role === "client") for (let i = 0; i < 4; i += 1) rig.request([], i % 2 === 0, i === 3 ? "CONNECT" : "POST");
  let served = seed;
  rig.serve = ({ stream }) => {
    served += 1;
    if (served % 3 === 0) stream.pause();
    if (served % 4 === 0) answer(stream, 200, [], served % 8 === 0);
  };
  for (const piece of pieces) {
    const chunk = Buffer.from(piece);
    rig.feed(chunk);
    let held = 0;
    for (const { stream } of rig.streams.values()) held += stream.held?.length ?? 0;
    if (held > 65_535) throw new Error(`${held} bytes held`);
    if (rig.session.openStreams > rig.streams.size) throw new Error("more open streams than there are");
  }
  if (rig.session.broken && role === "server" && [...rig.streams.values()].some((log) => !log.stream.closed))
    throw new Error("a stream outlives its connection");
  const content: Record<string, number> = {};
  const heard = rig.heard.filter((line) => {
    const [id, what, length] = line.split(" ");
    if (what !== "data") return true;
    content[id!] = (content[id!] ?? 0) + Number(length);
    return false;
  });
  // Windows are given back for what has come, so for single pieces of a frame already.
  const written = rig.written().filter((line) => !line.startsWith("WINDOW_UPDATE") && line !== "PING");
  return JSON.stringify([heard, content, written, rig.glitches, rig.fault]);
}

export function anyBytesLaw(rng: Rng): void {
  const role = rng.pick(["server", "client"] as const);
  const frames: Buffer[] = role === "server" ? [PREFACE] : [];
  if (!rng.oneIn(20)) frames.push(frame(TYPE.settings, 0, 0));
  for (let count = rng.below(20); count >= 0; count -= 1) frames.push(anyFrame(rng));
  if (rng.oneIn(10)) frames.push(bytesOf(rng, rng.below(40)));
  const bytes = Buffer.concat(frames) as Buffer;
  if (rng.oneIn(4)) bytes[rng.below(bytes.length)] = rng.below(256);
  const seed = rng.below(100);
  const whole = play(role, seed, [bytes]);
  const pieces = play(role, seed, cut(rng, bytes));
  if (whole !== pieces) throw new Error(`${pieces} and not ${whole}`);
}

// ——— two sessions

/** Content by stream and place, so that nothing can come twice or in another order. */
const byteAt = (id: number, at: number): number => (id * 31 + at * 7 + (at >> 8)) & 0xff;

/** One direction of one stream. */
class Flow {
  sent = 0;
  got = 0;
  ended = false;
  trailers = "";
}

class Side {
  readonly rig: SessionRig;
  readonly incoming: Buffer[] = [];
  /** By stream: what this side has sent. */
  readonly flows: Map<number, Flow> = new Map();
  reset: Set<number> = new Set();
  other!: Side;

  constructor(role: "server" | "client", rng: Rng) {
    const window = rng.pick([200, 5000, 65_536]);
    this.rig = new SessionRig(role, {
      streamWindow: window,
      streamWindowMax: window * rng.pick([1, 4]),
      connectionWindow: 65_535,
      connectionWindowMax: 65_535 * rng.pick([1, 4]),
      concurrentStreams: rng.pick([3, 50]),
    });
    this.rig.session.start();
    this.rig.serve = (log) => this.#watch(log);
  }

  #watch(log: StreamLog): void {
    this.flows.set(log.stream.id, new Flow());
    log.onContent = (bytes, from, to) => {
      const flow = this.other.flows.get(log.stream.id)!;
      for (let i = from; i < to; i += 1)
        if (bytes[i] !== byteAt(log.stream.id, flow.got + i - from))
          throw new Error(`stream ${log.stream.id}: other bytes`);
      flow.got += to - from;
    };
  }

  open(rng: Rng): void {
    if (this.rig.session.draining || this.rig.session.openStreams >= this.rig.session.peer.maxConcurrentStreams) return;
    const end = rng.oneIn(3);
    const log = this.rig.request([["x-n", String(rng.below(5))]], end, "POST");
    this.#watch(log);
    this.flows.get(log.stream.id)!.ended = end;
  }

  /** Something that a driver may do. */
  act(rng: Rng): void {
    const logs = [...this.rig.streams.values()].filter(({ stream }) => !stream.closed);
    if (logs.length === 0) return;
    const { stream } = rng.pick(logs);
    const flow = this.flows.get(stream.id)!;
    if (this.rig.session.role === "server" && !stream.hasAnswered) {
      const end = rng.oneIn(5);
      if (rng.oneIn(4)) return answer(stream, 103);
      flow.ended ||= end;
      return answer(stream, 200, [["x-id", String(stream.id)]], end);
    }
    switch (rng.below(12)) {
      case 0:
        return this.#end(stream.id, rng.oneIn(2));
      case 1:
        return stream.pause();
      case 2:
      case 3:
        return stream.resume();
      case 4:
        if (!rng.oneIn(4)) return;
        this.reset.add(stream.id);
        return stream.reset(8);
      case 5:
        return stream.reprioritise(rng.below(8), rng.oneIn(2));
      default:
        return this.#send(stream.id, rng.below(rng.pick([10, 3000, 70_000])), rng.oneIn(8));
    }
  }

  #send(id: number, length: number, end: boolean): void {
    const flow = this.flows.get(id)!;
    const { stream } = this.rig.stream(id);
    if (flow.ended || stream.full) return;
    const bytes = Buffer.alloc(length + 2);
    for (let i = 0; i < length; i += 1) bytes[i + 1] = byteAt(id, flow.sent + i);
    flow.sent += length;
    flow.ended = end;
    stream.sendData(bytes, 1, length + 1, end);
  }

  #end(id: number, withTrailers: boolean): void {
    const flow = this.flows.get(id)!;
    if (flow.ended) return;
    flow.ended = true;
    flow.trailers = withTrailers ? `x-sum: ${flow.sent}` : "";
    this.rig.stream(id).stream.sendEnd(withTrailers ? HeaderBlock.of([["x-sum", String(flow.sent)]]) : null);
  }

  /** Everything comes to its end. */
  finish(): void {
    this.rig.out.full = false;
    this.rig.session.writable();
    for (const { stream } of this.rig.streams.values()) {
      stream.resume();
      if (stream.closed) continue;
      if (this.rig.session.role === "server" && !stream.hasAnswered) answer(stream, 200);
      this.#end(stream.id, false);
    }
  }

  collect(): void {
    const bytes = this.rig.out.take();
    if (bytes.length > 0) this.other.incoming.push(bytes);
  }

  /** Lets some of what was written arrive. */
  deliver(rng: Rng | null): boolean {
    const bytes = Buffer.concat(this.incoming.splice(0)) as Buffer;
    if (bytes.length === 0) return false;
    const length = rng === null ? bytes.length : rng.below(Math.min(bytes.length, 40_000) + 1);
    if (length < bytes.length) this.incoming.push(bytes.subarray(length) as Buffer);
    this.rig.feed(bytes.subarray(0, length) as Buffer);
    return true;
  }

  /** After everything has arrived. */
  check(): void {
    const { fault, session, streams } = this.rig;
    if (fault !== null) throw new Error(`${session.role}: ${fault.detail}`);
    if (session.openStreams !== 0) throw new Error(`${session.role}: ${session.openStreams} streams left`);
    for (const [id, log] of streams) {
      const { stream } = log;
      if (!stream.closed || stream.queued !== 0 || (stream.held?.length ?? 0) !== 0)
        throw new Error(`stream ${id} is not over`);
      if (this.reset.has(id) || this.other.reset.has(id) || !this.other.rig.streams.has(id)) continue;
      const flow = this.other.flows.get(id)!;
      const want = `end${flow.trailers === "" ? "" : ` ${flow.trailers}`}`;
      const endedWithHead =
        session.role === "server" && flow.sent === 0 && !log.heard.some((line) => line.startsWith("end"));
      if (flow.got !== flow.sent) throw new Error(`stream ${id}: ${flow.got} of ${flow.sent} bytes`);
      if (!endedWithHead && log.heard.at(-1) !== want && !log.heard.includes(want))
        throw new Error(`stream ${id}: ${log.heard.join("; ")}`);
    }
  }
}

const coreOf = (side: Side): SessionCore | null =>
  ([...side.rig.streams.values()][0]?.stream.session as SessionCore | undefined) ?? null;

export function twoSessionsLaw(rng: Rng): void {
  const client = new Side("client", rng);
  const server = new Side("server", rng);
  client.other = server;
  server.other = client;
  const sides = [client, server];
  for (let steps = 20 + rng.below(200); steps > 0; steps -= 1) {
    const side = rng.pick(sides);
    side.rig.now += rng.below(30);
    switch (rng.below(8)) {
      case 0:
        client.open(rng);
        break;
      case 1:
        side.rig.out.full = rng.oneIn(3);
        if (!side.rig.out.full) side.rig.session.writable();
        break;
      case 2:
      case 3:
        side.collect();
        side.deliver(rng);
        break;
      case 4:
        if (rng.oneIn(60)) side.rig.session.goaway(0);
        break;
      default:
        side.act(rng);
    }
    for (const { rig } of sides) if (rig.fault !== null) throw new Error(`${rig.session.role}: ${rig.fault.detail}`);
  }
  for (let round = 0, busy = true; busy; round += 1) {
    if (round > 3000) throw new Error("it never ends");
    for (const side of sides) side.finish();
    for (const side of sides) side.collect();
    busy = client.deliver(null);
    busy = server.deliver(null) || busy;
  }
  for (const side of sides) side.check();
  // What one side may send is what the other would take, and nothing has been lost on the way.
  for (const side of sides) {
    const [sender, receiver] = [coreOf(side), coreOf(side.other)];
    if (sender === null || receiver === null) continue;
    const { left, owed, size } = receiver.receiveWindow;
    if (sender.sender.window !== left || left + owed !== size)
      throw new Error(
        `${side.rig.session.role}: may send ${sender.sender.window} of ${left}, ${owed} owed, ${size} in all`,
      );
  }
}

if (import.meta.main)
  runAlone("sessions", (rng) => {
    anyBytesLaw(rng);
    twoSessionsLaw(rng);
  });
