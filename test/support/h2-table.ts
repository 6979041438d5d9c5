// Tables of what an HTTP/2 client may send, and what must come of it, played against the program as users run it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type H2Options, H2Peer } from "./h2-peer.ts";
import type { ErrorName } from "./h2-wire.ts";
import { answer } from "./message.ts";
import { Peer } from "./peer.ts";
import { RawBackend } from "./raw-backend.ts";
import type { SluiceProcess } from "./sluice.ts";
import { connectTls, Pki } from "./tls.ts";

/** Bytes to send, or something to wait for. */
export type Step = Buffer | ((peer: H2Peer) => unknown);

/**
 * What must come:
 * - `connection CODE`: GOAWAY with that code (or one of several, `A|B`), and the end of the connection;
 * - `stream N CODE`: RST_STREAM with that code, and everything else goes on;
 * - `either N CODE`: one or the other;
 * - `closed`: the end of the connection, with GOAWAY PROTOCOL_ERROR or without a word;
 * - `answer N STATUS`: a whole answer;
 * - `nothing`: everything goes on.
 * A function looks by itself.
 */
export type Want =
  | `connection ${ErrorName}`
  | `connection ${ErrorName}|${ErrorName}`
  | `stream ${number} ${ErrorName}`
  | `either ${number} ${ErrorName}`
  | `either ${number} ${ErrorName}|${ErrorName}`
  | `answer ${number} ${number}`
  | "closed"
  | "nothing"
  | ((peer: H2Peer, subject: Subject) => Promise<void>);

export type Row = readonly [name: string, steps: readonly Step[], want: Want, options?: H2Options];
/** Rows by section: `9113 5.1.1` and the like. */
export type Sections = Readonly<Record<string, readonly Row[]>>;

/** Longer than a verdict takes even on a busy machine; only rows that fail wait for it. */
const VERDICT_MS = 3000;
/** A stream above all that rows use. */
const LAST_STREAM = 100_001;
/** Rows with more bytes than this are not sent byte by byte. */
const SINGLE_BYTES_MAX = 400;

/** What the server behind answers, by path. */
const BIG = "b".repeat(300_000);
const MANY_FIELDS = Array.from({ length: 20 }, (_, index) => `X-Long-${index}: ${"v".repeat(1000)}`);
const ANSWERS: Readonly<Record<string, string | null>> = {
  "/held": null,
  "/big": answer(200, BIG),
  "/empty": answer(200),
  "/no-content": "HTTP/1.1 204 No Content\r\n\r\n",
  "/fields": answer(200, "fields", MANY_FIELDS),
  "/early": `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${answer(200, "late")}`,
  "/trailers":
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
  "/hop": answer(200, "hop", ["Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Connection: x"]),
  "/upper": answer(200, "upper", ["X-UPPER-Case: Value"]),
  "/cookie": answer(200, "cookie", ["Set-Cookie: id=1"]),
};

/** Answers each request of a connection, and tells clients that wait for it to go on. */
async function serve(peer: Peer, backend: RawBackend): Promise<void> {
  peer.socket.on("data", (chunk: Buffer) => {
    if (/^expect: 100-continue\r/im.test(chunk.latin1Slice())) peer.send("HTTP/1.1 100 Continue\r\n\r\n");
  });
  while (!peer.ended) {
    const message = await peer.request();
    backend.requests.push(message);
    const { body, method, target } = message;
    const path = target.split("?")[0]!;
    const text = path in ANSWERS ? ANSWERS[path]! : answer(200, body === "" ? target : body);
    if (text !== null) peer.send(method === "HEAD" ? `${text.split("\r\n\r\n")[0]}\r\n\r\n` : text);
  }
  peer.close();
}

/** The program with listeners of both kinds, and a server behind it that keeps what it was sent. */
export class Subject implements AsyncDisposable {
  readonly proxy: SluiceProcess;
  readonly backend: RawBackend;
  /** Accepts connections and reads nothing. */
  readonly #stuck: RawBackend;
  readonly #pki: Pki;
  readonly #witness: H2Peer;
  #stream = 1;

  private constructor(proxy: SluiceProcess, backends: readonly [RawBackend, RawBackend], pki: Pki, witness: H2Peer) {
    this.proxy = proxy;
    this.backend = backends[0];
    this.#stuck = backends[1];
    this.#pki = pki;
    this.#witness = witness;
  }

  static async start(): Promise<Subject> {
    const pki = await Pki.make();
    const certificate = await pki.files("server", { names: ["localhost"] });
    const backend = await RawBackend.start(serve);
    const stuck = await RawBackend.start(async (peer) => void peer.socket.pause());
    const proxy = await pki.run({
      workers: 1,
      listeners: [
        { address: "127.0.0.1:0", h2c: true },
        { address: "127.0.0.1:0", tls: { certificates: [certificate] } },
      ],
      routes: [
        { match: { path: "/respond" }, respond: { status: 200, body: "here" } },
        { match: { path: "/stuck" }, to: stuck.url },
        { to: backend.url },
      ],
    });
    return new Subject(proxy, [backend, stuck], pki, await H2Peer.connect(proxy.port()));
  }

  async connect(over: "tcp" | "tls", options: H2Options = {}): Promise<H2Peer> {
    const connecting =
      over === "tcp" ? Peer.connect(this.proxy.port()) : connectTls(this.proxy.port(1), { ALPNProtocols: ["h2"] });
    return new H2Peer(await connecting, "client", options);
  }

  /** Another client's connection is as it was. */
  async expectWitness(): Promise<void> {
    const heard = await this.#witness.get((this.#stream += 2), "/witness");
    expect([heard.status, heard.body]).toEqual([200, "/witness"]);
  }

  /** The request that the server behind got last. */
  get last() {
    return this.backend.requests.at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#witness[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
    await this.backend[Symbol.asyncDispose]();
    await this.#stuck[Symbol.asyncDispose]();
    this.#pki[Symbol.dispose]();
  }
}

/** What has come of it so far, in the words of `Want`; "" for nothing. */
function verdict(peer: H2Peer, want: string): string {
  if (peer.goaway !== null && peer.peer.ended) return `connection ${peer.goaway.code}`;
  if (peer.peer.ended) return "closed";
  if (peer.goaway !== null) return "";
  const reset = [...peer.streams.values()].find((heard) => heard.reset !== null && heard.reset !== "NO_ERROR");
  if (reset !== undefined) return `stream ${reset.id} ${reset.reset}`;
  const answered = want.startsWith("answer") ? peer.heard(Number(want.split(" ")[1])) : null;
  return answered?.ended ? `answer ${answered.id} ${answered.status}` : "";
}

function allowed(want: string): string[] {
  if (want === "closed") return ["closed", "connection PROTOCOL_ERROR"];
  const [kind, ...rest] = want.split(" ");
  const codes = rest.at(-1)!.split("|");
  if (kind === "connection") return codes.map((code) => `connection ${code}`);
  if (kind === "either") return codes.flatMap((code) => [`connection ${code}`, `stream ${rest[0]} ${code}`]);
  return [want];
}

async function judge(peer: H2Peer, want: Exclude<Want, (...args: never[]) => unknown>): Promise<void> {
  const seen = () => verdict(peer, want);
  if (want === "nothing") {
    await peer.settled();
    expect(seen()).toBe("");
  } else {
    await peer.peer.when(() => seen() !== "", want, VERDICT_MS).catch(() => {});
    const came =
      seen() === "" ? `${peer.goaway === null ? "nothing" : "no end after GOAWAY"} (wanted: ${want})` : seen();
    if (!allowed(want).includes(came)) expect(came).toBe(want);
  }
  if (peer.peer.ended) return;
  const after = await peer.get(LAST_STREAM, "/after");
  expect([after.status, after.body, peer.goaway]).toEqual([200, "/after", null]);
}

/** Bytes that follow each other as one step. */
function joined(steps: readonly Step[]): Step[] {
  const all: Step[] = [];
  for (const step of steps) {
    const last = all.at(-1);
    if (Buffer.isBuffer(step) && Buffer.isBuffer(last)) all[all.length - 1] = Buffer.concat([last, step]);
    else all.push(step);
  }
  return all;
}

async function play(peer: H2Peer, steps: readonly Step[], pieces: boolean): Promise<void> {
  for (const step of pieces ? joined(steps) : steps) {
    if (peer.peer.closed) return;
    if (!Buffer.isBuffer(step)) await step(peer);
    else if (pieces) await peer.sendByteByByte(step);
    else peer.send(step);
  }
}

const size = (steps: readonly Step[]) =>
  steps.reduce((sum, step) => sum + (Buffer.isBuffer(step) ? step.length : 0), 0);

/** Makes tests of a table: over TCP, byte by byte where that is short, and over TLS. */
export function conformance(sections: Sections): void {
  let subject: Subject;
  beforeAll(async () => {
    subject = await Subject.start();
  });
  afterAll(async () => {
    await subject[Symbol.asyncDispose]();
  });
  for (const [how, over, pieces] of [
    ["h2c", "tcp", false],
    ["h2c, byte by byte", "tcp", true],
    ["TLS", "tls", false],
  ] as const)
    for (const [section, rows] of Object.entries(sections))
      describe(`RFC ${section}, ${how}`, () => {
        for (const [name, steps, want, options] of rows) {
          if (pieces && size(steps) > SINGLE_BYTES_MAX) continue;
          test(name, async () => {
            await using peer = await subject.connect(over, options);
            // A connection that ends while something is waited for may be just what is wanted.
            await play(peer, steps, pieces).catch((error: unknown) => {
              if (typeof want === "function" || !peer.peer.ended) throw error;
            });
            if (typeof want === "function") await want(peer, subject);
            else await judge(peer, want);
            await subject.expectWitness();
          });
        }
      });
}
