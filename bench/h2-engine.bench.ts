// Nanoseconds per request through a session of HTTP/2: `bun bench/h2-engine.bench.ts`.
// Sketch: the field sections cost what bench/hpack.bench.ts shows (half a microsecond each); framing, the tables of
// streams, windows and the calls of the driver come to some hundred nanoseconds beside them. Over a budget something is
// made for each frame, or looked up more than once.

import { hpackMax } from "../src/http/h2/hpack-encoder.ts";
import {
  CLIENT_DEFAULTS,
  type H2Output,
  H2Session,
  SERVER_DEFAULTS,
  type SessionOwner,
} from "../src/http/h2/session.ts";
import type { H2Stream, StreamHandler } from "../src/http/h2/stream.ts";
import { type HeaderBlock, skipSet } from "../src/http/header-block.ts";
import { RequestHead, ResponseHead } from "../src/http/message.ts";
import { BROWSER_FIELDS, blockOf } from "./heads.ts";
import { finish, ROUNDS, report } from "./per-call.ts";

const PER_ROUND = 100_000;
const NONE = skipSet();
const HEAD_EXTRA_BYTES = 256;

/** Keeps what is written until somebody takes it; large pieces are counted, not copied. */
class Output implements H2Output {
  at = 0;
  readonly full = false;
  readonly buffer: Buffer = Buffer.alloc(1_048_576);
  room(): Buffer {
    return this.buffer;
  }
  wrote(end: number): void {
    this.at = end;
  }
  piece(bytes: Buffer, from: number, to: number): void {
    bytes.copy(this.buffer, this.at, from, to);
    this.at += to - from;
  }
  take(): Buffer {
    const bytes = Buffer.from(this.buffer.subarray(0, this.at));
    this.at = 0;
    return bytes;
  }
}

const BROWSER = blockOf([...BROWSER_FIELDS]);
const SMALL = blockOf(["user-agent: h2load"]);
const ANSWER = blockOf([
  "Server: nginx/1.22.1",
  "Date: Mon, 23 Nov 2026 12:00:00 GMT",
  "Content-Type: text/html; charset=utf-8",
  "Content-Length: 100",
]);
const BODY = Buffer.alloc(100, "x");

abstract class Owner implements SessionOwner, StreamHandler {
  readonly out: Output = new Output();
  heads = 0;
  bytes = 0;
  abstract takeHead(): RequestHead | ResponseHead;
  abstract onRequest(stream: H2Stream): StreamHandler;
  onRefused(): StreamHandler {
    throw new Error("refused");
  }
  onPeerSettings(): void {}
  onGoaway(): void {}
  onStreamGone(): void {}
  onGlitch(): void {}
  onBroken(fault: { detail: string }): void {
    throw new Error(fault.detail);
  }
  onHead(): void {
    this.heads += 1;
  }
  onData(_bytes: Buffer, from: number, to: number): void {
    this.bytes += to - from;
  }
  onEnd(): void {}
  onStreamDrain(): void {}
  onReset(): void {
    throw new Error("reset");
  }
}

class Server extends Owner {
  readonly session: H2Session = new H2Session("server", SERVER_DEFAULTS, this.out, this);
  readonly #head = new RequestHead();
  takeHead(): RequestHead {
    return this.#head;
  }
  onRequest(stream: H2Stream): StreamHandler {
    this.heads += 1;
    const encoder = stream.beginHead(hpackMax(ANSWER) + HEAD_EXTRA_BYTES);
    encoder.status(200);
    encoder.fields(ANSWER, NONE);
    stream.finishHead(false);
    stream.sendData(BODY, 0, BODY.length, true);
    return this;
  }
}

class Client extends Owner {
  readonly session: H2Session = new H2Session("client", CLIENT_DEFAULTS, this.out, this);
  readonly #head = new ResponseHead();
  takeHead(): ResponseHead {
    return this.#head;
  }
  onRequest(): StreamHandler {
    throw new Error("a request");
  }
  request(block: HeaderBlock): void {
    const stream = this.session.open(this)!;
    const encoder = stream.beginHead(hpackMax(block) + HEAD_EXTRA_BYTES);
    encoder.request("GET", "https", "www.example.com", "/index.html?page=2");
    encoder.fields(block, NONE);
    stream.finishHead(true);
  }
}

function pair(): readonly [client: Client, server: Server] {
  const [client, server] = [new Client(), new Server()];
  client.session.start();
  server.session.start();
  for (let i = 0; i < 3; i += 1) {
    server.session.receive(client.out.take(), 1);
    client.session.receive(server.out.take(), 1);
  }
  return [client, server];
}

/** The two halves of request and answer, `batch` at a time in one chunk, each measured by itself. */
function bench(
  name: string,
  block: HeaderBlock,
  batch: number,
  budgets: readonly [server: number, client: number],
): void {
  const [client, server] = pair();
  const serverTimes: number[] = [];
  const clientTimes: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    let serving = 0;
    let asking = 0;
    for (let i = 0; i < PER_ROUND; i += batch) {
      let start = Bun.nanoseconds();
      for (let j = 0; j < batch; j += 1) client.request(block);
      asking += Bun.nanoseconds() - start;
      const requests = client.out.take();
      start = Bun.nanoseconds();
      server.session.receive(requests, i);
      serving += Bun.nanoseconds() - start;
      const answers = server.out.take();
      start = Bun.nanoseconds();
      client.session.receive(answers, i);
      asking += Bun.nanoseconds() - start;
    }
    if (round === 0) continue; // warms up
    serverTimes.push(serving / PER_ROUND);
    clientTimes.push(asking / PER_ROUND);
  }
  if (client.heads < PER_ROUND * ROUNDS || client.bytes < PER_ROUND * ROUNDS * BODY.length)
    throw new Error("lost answers");
  report(`${name}: server`, budgets[0], serverTimes);
  report(`${name}: client`, budgets[1], clientTimes);
}

bench("a small request, 16 in a chunk", SMALL, 16, [2000, 2000]);
bench("a small request, one in a chunk", SMALL, 1, [2500, 2500]);
bench("a browser's request, 16 in a chunk", BROWSER, 16, [3000, 3500]);

finish();
