// Nothing that one parser reads as one request may reach a server as something else. Broken and mutated messages go
// through a whole proxy to an HTTP server of Node.js, which says what it understood.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { METHODS } from "node:http";
import { FAULTS, type FaultCode } from "../src/core/faults.ts";
import { Rng } from "../src/core/fuzz.testing.ts";
import {
  byteByByte,
  cutAt,
  type Heard,
  type Message as HeardMessage,
  hearRequests,
  wireOf,
} from "../src/http/h1/feed.testing.ts";
import { cutAnywhere, mutate } from "../src/http/h1/mutate.testing.ts";
import { GOOD_REQUESTS, REFUSED_REQUESTS } from "../src/http/h1/request-cases.testing.ts";
import type { RequestHead } from "../src/http/message.ts";
import type { Message } from "./support/message.ts";
import { NodeScript } from "./support/node-script.ts";
import { Peer, PeerGone } from "./support/peer.ts";
import { proxyTo, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

/** More of them, or others: `FUZZ_ROUNDS=100000 FUZZ_SEED=5 npm test -- test/smuggling.test.ts`. */
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 3000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

const isHeadFault = (wire: string): boolean => hearRequests([wireOf(wire)]).messages.length === 0;

describe("refused requests", () => {
  let backend: RawBackend;
  let proxy: TestProxy;
  beforeAll(async () => {
    backend = await RawBackend.start(async (peer) => {
      await peer.when(() => peer.ended, "the end");
      peer.close();
    });
    proxy = await proxyTo(backend.url);
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await backend[Symbol.asyncDispose]();
  });

  for (const [name, wire, code] of REFUSED_REQUESTS)
    test(name, async () => {
      const { status } = FAULTS[code as FaultCode];
      const before = backend.peers.length;
      await using client = await Peer.connect(proxy.port);
      client.send(`${wire}GET /behind HTTP/1.1\r\nHost: a\r\n\r\n`);
      const answer = await client.response();
      expect(answer.status).toBe(status);
      expect(answer.field("connection")).toBe("close");
      await client.end();
      expect(client.peek()).toBe(""); // what stood behind it is not answered
      if (isHeadFault(wire)) {
        expect(backend.peers.length).toBe(before); // not even a connection
        return;
      }
      // The body broke behind a good head: the server sees a message that is cut off, never a complete one.
      const server = await backend.peer(before);
      await server.end();
      const forwarded = server.peek();
      expect(forwarded).not.toContain("behind");
      expect(forwarded).not.toEndWith("0\r\n\r\n");
      expect(hearRequests([wireOf(forwarded)]).messages.map((message) => message.complete)).not.toContain(true);
    });
});

/** What the Node.js server says of a request. */
interface Seen {
  readonly started: number;
  readonly completed: number;
  readonly broken: readonly string[];
  readonly method: string;
  readonly url: string;
  readonly bodyHash: string;
}

/** What the proxy must do with one request of a client. */
interface Expected {
  readonly message: HeardMessage;
  /** `forward`: the server answers; `refuse`: the proxy does; `part`: forwarded, but it never ends. */
  readonly kind: "forward" | "refuse" | "part";
  readonly status: number;
}

interface Plan {
  readonly requests: readonly Expected[];
  /** A refusal that no request belongs to, or 0. */
  readonly refusal: number;
  /** The proxy closes behind the last answer. */
  readonly closes: boolean;
}

const statusOf = (end: string): number => FAULTS[end.slice("fault ".length) as FaultCode].status;

/** What follows from what the reader says by itself. */
function planOf(heard: Heard<RequestHead>): Plan {
  const requests: Expected[] = [];
  const isFault = heard.end.startsWith("fault ");
  for (const message of heard.messages) {
    const { form, path, expectContinue, body, keepAlive } = message.facts;
    if (form === "authority") {
      requests.push({ message, kind: "refuse", status: 405 });
      return { requests, refusal: 0, closes: true };
    }
    if (path === null) {
      requests.push({ message, kind: "refuse", status: 400 });
      if ((expectContinue && body !== "none") || !keepAlive) return { requests, refusal: 0, closes: true };
      // The rest of the body is only dropped: if it breaks, the connection ends without a second answer.
      if (!message.complete) return { requests, refusal: 0, closes: isFault };
      continue;
    }
    if (!message.complete) {
      requests.push({ message, kind: "part", status: 0 });
      return { requests, refusal: isFault ? statusOf(heard.end) : 0, closes: isFault };
    }
    requests.push({ message, kind: "forward", status: 200 });
    if (!keepAlive) return { requests, refusal: 0, closes: true };
  }
  return { requests, refusal: isFault ? statusOf(heard.end) : 0, closes: isFault };
}

const sha256 = (text: string): string => new Bun.CryptoHasher("sha256").update(wireOf(text)).digest("hex");

// Spelt out here, so that the test does not believe the tables of the code.
const NOT_FORWARDED: ReadonlySet<string> = new Set(
  (
    "connection keep-alive proxy-connection te trailer transfer-encoding upgrade proxy-authenticate " +
    "proxy-authorization proxy-authentication-info http2-settings host forwarded via x-forwarded-for " +
    "x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-server x-forwarded-ssl " +
    "x-forwarded-scheme x-forwarded-protocol x-real-ip x-request-id"
  ).split(" "),
);
const KEPT_ALTHOUGH_NAMED: ReadonlySet<string> = new Set(["content-length", "content-type", "expect", "cookie"]);

function fieldsToForward(message: HeardMessage): string[] {
  const named = message.fields
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) => value.split(",").map((member) => member.trim().toLowerCase()))
    .filter((name) => !KEPT_ALTHOUGH_NAMED.has(name));
  // Without a body nobody waits for 100 Continue, and HTTP/1.0 cannot (RFC 9110 §10.1.1).
  if (message.facts.body === "none" || message.facts.version === 10) named.push("expect");
  return message.fields
    .filter(([name]) => {
      const lower = name.toLowerCase();
      return !NOT_FORWARDED.has(lower) && !named.includes(lower) && !lower.includes("_");
    })
    .map(([name, value]) => `${name}: ${value}`);
}

function fieldsSeen(rawHeaders: readonly string[]): string[] {
  const fields: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (!NOT_FORWARDED.has(rawHeaders[i]!.toLowerCase())) fields.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return fields;
}

class Rig {
  readonly proxy: TestProxy;
  /** Requests that the server has read to their ends, as far as this side can know. */
  completed = 0;
  /** Requests whose head may have reached the server. */
  headsMax = 0;
  /** Requests that the server refused, with reason: it does not know every method. */
  refusedMax = 0;

  constructor(proxy: TestProxy) {
    this.proxy = proxy;
  }

  /** Compares what the server understood of a request with what the proxy did. */
  #compare(message: HeardMessage, answer: Message): void {
    const text = answer.field("x-seen");
    if (text === null) {
      // Node.js knows the registered methods only; Sluice forwards every token.
      if (METHODS.includes(message.facts.method)) throw new Error(`the server refused it: ${answer.first}`);
      this.refusedMax += 1;
      return;
    }
    this.completed += 1;
    const seen = JSON.parse(text) as Seen;
    expect({ method: seen.method, url: seen.url, body: seen.bodyHash }).toEqual({
      method: message.facts.method,
      url: message.facts.target,
      body: sha256(message.body),
    });
    this.#counts(seen);
    if (seen.method === "HEAD") return;
    const { rawHeaders } = JSON.parse(Buffer.from(answer.body, "latin1").toString()) as { rawHeaders: string[] };
    expect(fieldsSeen(rawHeaders)).toEqual(fieldsToForward(message));
  }

  #counts(seen: Seen): void {
    expect(seen.completed).toBe(this.completed);
    expect(seen.started).toBeLessThanOrEqual(this.headsMax);
    expect(seen.broken.filter((code) => code !== "HPE_INVALID_METHOD")).toEqual([]);
  }

  async #answer(client: Peer, method: string): Promise<Message> {
    for (;;) {
      const answer = await client.response(method);
      if (answer.status >= 200) return answer;
    }
  }

  /** Sends the bytes and holds everything that comes of them against the plan. */
  async play(wire: Buffer, pieces: readonly Buffer[]): Promise<void> {
    const heard = hearRequests(cutAt(wire));
    const plan = planOf(heard);
    await using client = await Peer.connect(this.proxy.port);
    for (const piece of pieces) {
      client.send(piece);
      if (pieces.length < 20) await new Promise(setImmediate);
    }
    let endsEarly = false;
    for (const { message, kind, status } of plan.requests) {
      const isKnown = METHODS.includes(message.facts.method);
      if (kind !== "refuse") this.headsMax += 1;
      if (kind === "part") {
        // A server that does not know the method answers at once.
        endsEarly = !isKnown;
        break;
      }
      try {
        const answer = await this.#answer(client, message.facts.method);
        if (kind === "forward") this.#compare(message, answer);
        if (isKnown || kind === "refuse") expect(answer.status).toBe(status);
      } catch (error) {
        if (!(error instanceof PeerGone) || isKnown) throw error;
        endsEarly = true;
      }
      // The server closes while the proxy still sends the body: both then end the connection.
      if (!isKnown && kind === "forward" && client.ended) endsEarly = true;
      if (endsEarly) break;
    }
    if (endsEarly) {
      this.refusedMax += 1;
      return;
    }
    if (plan.refusal !== 0) expect((await this.#answer(client, heard.head.method)).status).toBe(plan.refusal);
    if (plan.closes) await client.end();
    expect(client.peek().replace(/HTTP\/1\.1 100 Continue\r\n(?:[^\r\n]+\r\n)*\r\n/, "")).toBe("");
  }

  /** A client that does nothing wrong. */
  async clean(target: string): Promise<void> {
    await using client = await Peer.connect(this.proxy.port);
    client.send(`POST ${target} HTTP/1.1\r\nHost: clean\r\nContent-Length: 5\r\nConnection: close\r\n\r\nclean`);
    const answer = await this.#answer(client, "POST");
    this.headsMax += 1;
    this.completed += 1;
    expect(answer.status).toBe(200);
    const seen = JSON.parse(answer.field("x-seen")!) as Seen;
    expect([seen.method, seen.url, seen.bodyHash]).toEqual(["POST", target, sha256("clean")]);
    this.#counts(seen);
  }
}

describe("an independent parser agrees", () => {
  let server: NodeScript;
  let rig: Rig;
  beforeAll(async () => {
    server = new NodeScript(new URL("./support/strict-server.mjs", import.meta.url));
    rig = new Rig(await proxyTo(`http://127.0.0.1:${await server.port()}`));
  });
  afterAll(async () => {
    await rig.proxy[Symbol.asyncDispose]();
    await server.kill();
  });

  const corpus = [...GOOD_REQUESTS, ...REFUSED_REQUESTS].map(([, wire]) => wire);

  test("about every message of the tables", async () => {
    for (const [i, text] of corpus.entries()) {
      const wire = wireOf(text);
      try {
        await rig.play(wire, [wire]);
        await rig.clean(`/clean/${i}`);
      } catch (error) {
        throw new Error(`${JSON.stringify(text)}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
    }
  }, 60_000);

  test(`about ${ROUNDS} mutated messages`, async () => {
    for (let seed = SEED; seed < SEED + ROUNDS; seed += 1) {
      const rng = new Rng(seed);
      const wire = wireOf(mutate(rng, corpus, "request"));
      try {
        // In pieces, what is wrong with a line may be told at its end only, which then never comes.
        const isToldLater = hearRequests(byteByByte(wire)).end !== hearRequests([wire]).end;
        await rig.play(wire, isToldLater || rng.oneIn(3) ? [wire] : cutAnywhere(rng, wire));
        await rig.clean(`/clean/${seed}`);
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        throw new Error(`seed ${seed}: ${JSON.stringify(wire.latin1Slice())}: ${text}`, { cause: error });
      }
    }
  }, 600_000);
});
