// Streams of files with a client that takes what it likes: pieces, pauses, slow disks, changes on the way.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { fstatSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Fault } from "../core/faults.ts";
import { TimerWheel } from "../core/timers.ts";
import { ResponseHead } from "../http/message.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import type { DirectOutput, Downstream, Exchange, RequestSink, Route, ServeEnvironment } from "../pipeline/exchange.ts";
import { FileStream, type Part } from "./file-stream.ts";
import type { OpenedFile } from "./open.ts";

const SIZE = 3_000_000;
const CONTENT = Buffer.alloc(SIZE, "0123456789abcdefghijklmnopqrstuvwxyz");
/** Every read counts as slow. */
const ALWAYS_SLOW = -1;
const DEADLINE_MS = 8000;

let folder = "";
let path = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-stream-"));
  path = join(folder, "file");
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A client that is full after so many bytes, until it is drained. */
class Client {
  readonly pieces: Buffer[] = [];
  readonly said: string[] = [];
  readonly room: number;
  /** Bytes that it takes at once in each call; -1 for one that knows no such thing. */
  readonly atOnce: number;
  queued = 0;
  sink: RequestSink | null = null;
  readonly ended = Promise.withResolvers<void>();

  constructor(room: number, atOnce: number) {
    this.room = room;
    this.atOnce = atOnce;
  }
  get full(): boolean {
    return this.queued > this.room;
  }
  readBody(sink: RequestSink): void {
    this.sink = sink;
    sink.onRequestEnd(null);
  }
  head(head: ResponseHead): void {
    this.said.push(`head ${head.status}`);
  }
  data(bytes: Buffer, from: number, to: number): void {
    this.pieces.push(Buffer.from(bytes.subarray(from, to)));
    this.queued += to - from;
  }
  direct(): DirectOutput | null {
    if (this.atOnce < 0) return null;
    return {
      offer: (bytes, from, to) => {
        const taken = this.queued > 0 ? 0 : Math.min(this.atOnce, to - from);
        this.pieces.push(Buffer.from(bytes.subarray(from, from + taken)));
        return taken;
      },
    };
  }
  discardBody(): void {}
  end(): void {
    this.said.push("end");
    this.ended.resolve();
  }
  abort({ code }: Fault): void {
    this.said.push(`abort ${code}`);
    this.ended.resolve();
  }
  drain(): void {
    this.queued = 0;
    this.sink!.onDownstreamDrain();
  }
  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

function open(): OpenedFile {
  writeFileSync(path, CONTENT);
  const fd = openSync(path, "r");
  return { fd, state: fstatSync(fd) };
}

const isClosed = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return false;
  } catch {
    return true;
  }
};

const ENV = { wheel: new TimerWheel(), answer() {}, respond: () => true } as unknown as ServeEnvironment;

function start(client: Client, file: OpenedFile, parts: readonly Part[], slowMs?: number, env = ENV): Exchange {
  const x = exchangeOf();
  x.route = { rate: 0 } as Route;
  x.downstream = client as unknown as Downstream;
  new FileStream(x, env, file, parts, slowMs).start(new ResponseHead());
  return x;
}

const WHOLE: readonly Part[] = [{ first: 0, last: SIZE - 1 }];

/** Drains the client until the answer is over. */
async function finish(client: Client): Promise<void> {
  let over = false;
  void client.ended.promise.then(() => (over = true));
  const until = performance.now() + DEADLINE_MS;
  while (!over) {
    if (performance.now() > until) throw new Error("it does not end");
    if (client.full) client.drain();
    await new Promise(setImmediate);
  }
}

for (const slowMs of [undefined, ALWAYS_SLOW])
  for (const [room, atOnce] of [
    [65_536, -1],
    [65_536, 0],
    [65_536, 100_000],
    [65_536, 10_000_000],
    [10_000_000, 1],
    [1, 262_144],
  ] as const)
    test(`whole: room ${room}, at once ${atOnce}, ${slowMs === undefined ? "read at once" : "slow"}`, async () => {
      const client = new Client(room, atOnce);
      const file = open();
      start(client, file, WHOLE, slowMs);
      await finish(client);
      expect(client.said).toEqual(["head 200", "end"]);
      expect(client.body.equals(CONTENT)).toBe(true);
      expect(isClosed(file.fd)).toBe(true);
    });

test("parts of the file between other bytes", async () => {
  const client = new Client(65_536, 100_000);
  const parts = [
    Buffer.from("<"),
    { first: 10, last: 400_009 },
    Buffer.from("|"),
    { first: 5, last: 5 },
    Buffer.from(">"),
  ];
  start(client, open(), parts);
  await finish(client);
  const want = ["<", CONTENT.subarray(10, 400_010).toString(), "|", CONTENT.subarray(5, 6).toString(), ">"].join("");
  expect(client.body.toString()).toBe(want);
});

test("a client that takes all at once gives others their turn", async () => {
  const client = new Client(0, 10_000_000);
  start(client, open(), WHOLE);
  expect(client.said).toEqual(["head 200"]);
  expect(client.body.length).toBeGreaterThanOrEqual(1_048_576);
  expect(client.body.length).toBeLessThan(1_500_000);
  await finish(client);
  expect(client.body.length).toBe(SIZE);
});

for (const slowMs of [undefined, ALWAYS_SLOW])
  test(`cut off where the file becomes shorter ${slowMs === undefined ? "" : "(slow)"}`, async () => {
    const client = new Client(65_536, -1);
    const file = open();
    start(client, file, WHOLE, slowMs);
    truncateSync(path, 1_000_000);
    await finish(client);
    expect(client.said).toEqual(["head 200", "abort file.changed"]);
    expect(client.body.equals(CONTENT.subarray(0, client.body.length))).toBe(true);
    expect(isClosed(file.fd)).toBe(true);
  });

for (const slowMs of [undefined, ALWAYS_SLOW])
  test(`closed when the client goes ${slowMs === undefined ? "" : "(slow)"}`, async () => {
    const client = new Client(65_536, -1);
    const file = open();
    start(client, file, WHOLE, slowMs);
    client.sink!.onDownstreamGone({ code: "client.gone", detail: "", retryAfter: 0 });
    const until = performance.now() + DEADLINE_MS;
    while (!isClosed(file.fd) && performance.now() < until) await new Promise(setImmediate);
    expect(isClosed(file.fd)).toBe(true);
    expect(client.said).not.toContain("end");
  });

test("filters that wait hold up the head; one that answers in its place ends it", async () => {
  for (const proceed of [true, false]) {
    const client = new Client(65_536, -1);
    const file = open();
    let tell: (proceed: boolean) => void = () => {};
    const respond: ServeEnvironment["respond"] = (_x, waiter) => {
      tell = (go) => waiter.responsePhaseOver(go);
      return false;
    };
    start(client, file, WHOLE, undefined, { ...ENV, respond });
    client.drain();
    expect(client.said).toEqual([]);
    tell(proceed);
    if (proceed) await finish(client);
    expect(client.said).toEqual(proceed ? ["head 200", "end"] : []);
    expect(isClosed(file.fd)).toBe(true);
  }
});
