// One client connection over a pair in memory, with a stub behind it and a clock that only moves when it is told to.
import { describe, expect, test } from "bun:test";
import { listenerSchema } from "../config/schema-listeners.ts";
import { FAULTS, type Fault, type FaultCode, fault } from "../core/faults.ts";
import { Rng } from "../core/fuzz.testing.ts";
import { TimerWheel } from "../core/timers.ts";
import { byteByByte, cutAt, hearRequests, hearResponses, wireOf } from "../http/h1/feed.testing.ts";
import { cutAnywhere, mutate } from "../http/h1/mutate.testing.ts";
import { GOOD_REQUESTS, REFUSED_REQUESTS } from "../http/h1/request-cases.testing.ts";
import { ResponseHead } from "../http/message.ts";
import type { Exchange, RequestSink } from "../pipeline/exchange.ts";
import { reply } from "../pipeline/reply.ts";
import type { ConnectionHandler } from "../transport/connection.ts";
import { memoryPair } from "../transport/memory-pair.ts";
import { H1Connection } from "./h1-connection.ts";
import { headLimitsOf, type ListenerContext } from "./listener.ts";

/** What became of one exchange. */
class Served implements RequestSink {
  readonly x: Exchange;
  /** Heads are used again once their exchange is over. */
  readonly method: string;
  body = "";
  ended = false;
  gone: Fault | null = null;
  finished = 0;
  drains = 0;
  /** Called at the end of the request's body. */
  whenRead: () => void = () => {};

  constructor(x: Exchange) {
    this.x = x;
    this.method = x.request.method;
  }
  onRequestData(bytes: Buffer, from: number, to: number): void {
    if (this.gone !== null || this.ended) throw new Error("data behind the end of a request");
    this.body += bytes.latin1Slice(from, to);
  }
  onRequestEnd(): void {
    if (this.gone !== null || this.ended) throw new Error("a second end of a request");
    this.ended = true;
    this.whenRead();
  }
  onDownstreamDrain(): void {
    this.drains += 1;
  }
  onDownstreamGone(cause: Fault): void {
    if (this.gone !== null) throw new Error("gone twice");
    this.gone = cause;
  }
}

class Client implements ConnectionHandler {
  text = "";
  ended = false;
  closes = 0;
  onData(chunk: Buffer): void {
    this.text += chunk.latin1Slice();
  }
  onDrain(): void {}
  onEnd(): void {
    this.ended = true;
  }
  onClose(): void {
    this.closes += 1;
  }
}

/** Answers with what was asked, once the body is there. */
const echo = ({ x }: Served, body: string): void => {
  x.downstream.reply(reply(200, `${x.request.method} ${x.request.target} ${body}`, { "content-type": "x/y" }));
};

class Rig {
  now = 0;
  readonly wheel = new TimerWheel(() => this.now);
  readonly served: Served[] = [];
  /** Exchanges that ended without having been handled: refused heads. */
  readonly refused: Exchange[] = [];
  closed = 0;
  readonly client = new Client();
  readonly far;
  readonly near;
  readonly context: ListenerContext;
  readonly connection: H1Connection;
  /** What stands behind the connection does this with each request. */
  behave = (served: Served): void => {
    served.whenRead = () => echo(served, served.body);
    served.x.downstream.readBody(served);
  };

  constructor(options: Parameters<typeof listenerSchema.parse>[0] = {}) {
    const parsed = listenerSchema.parse({ address: ":80", ...(options as object) });
    [this.far, this.near] = memoryPair();
    this.far.handler = this.client;
    this.context = {
      name: ":80",
      options: parsed,
      headLimits: headLimitsOf(parsed),
      altSvc: null,
      wheel: this.wheel,
      draining: false,
      handler: {
        handle: (x) => {
          const served = new Served(x);
          this.served.push(served);
          this.behave(served);
        },
        finished: (x) => {
          if (x === null) throw new Error("no exchange, and yet it has finished");
          const served = this.served.find((each) => each.x === x);
          if (served === undefined) this.refused.push(x);
          else served.finished += 1;
        },
      },
      closed: () => {
        this.closed += 1;
      },
    };
    this.connection = new H1Connection(this.near, this.context);
    this.near.handler = this.connection;
  }

  async send(...pieces: readonly (Buffer | string)[]): Promise<void> {
    for (const piece of pieces) {
      const bytes = typeof piece === "string" ? wireOf(piece) : piece;
      this.far.send(bytes, 0, bytes.length, true);
      await settle();
    }
  }

  /** Lets time pass, tick by tick. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.now += 100;
      this.wheel.turn();
      if (left % 1000 === 0) await settle();
    }
    await settle();
  }

  /** The answers so far, as the client reads them. */
  answers(...methods: readonly string[]) {
    return hearResponses([wireOf(this.client.text)], methods.length > 0 ? methods : new Array(100).fill("GET"));
  }
  statuses(...methods: readonly string[]): number[] {
    return this.answers(...methods).messages.map(({ facts }) => facts.status);
  }
}

/** In memory everything happens in microtasks: some hundred of them are more than anything here takes. */
async function settle(): Promise<void> {
  for (let i = 0; i < 100; i += 1) await Promise.resolve();
}

const GET = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const post = (body: string, length = body.length): string =>
  `POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${body}`;

describe("requests", () => {
  for (const [name, wire] of GOOD_REQUESTS)
    test(`good: ${name}`, async () => {
      const heard = hearRequests([wireOf(wire)]);
      const bytes = wireOf(wire);
      const middle = Math.floor(bytes.length / 2);
      for (const pieces of [[bytes], byteByByte(bytes), cutAt(bytes, middle), cutAt(bytes, 1, bytes.length - 1)]) {
        const rig = new Rig();
        await rig.send(...pieces);
        const read = rig.served.map(({ method, body, ended }) => [method, body, ended]);
        expect(read).toEqual(heard.messages.map(({ facts, body, complete }) => [facts.method, body, complete]));
        const complete = heard.messages.filter((message) => message.complete);
        const want = complete.map(() => 200);
        if (heard.end.startsWith("fault ")) want.push(400);
        expect(rig.statuses(...complete.map(({ facts }) => facts.method), "GET")).toEqual(want);
        expect(rig.served.map(({ finished }) => finished)).toEqual(
          heard.messages.map(({ complete }) => Number(complete)),
        );
        expect(rig.client.ended).toBe(heard.end !== "open" && heard.end !== "incomplete");
      }
    });

  for (const [name, wire, code] of REFUSED_REQUESTS)
    test(`refused: ${name}`, async () => {
      const { status } = FAULTS[code as FaultCode];
      for (const pieces of [[wireOf(wire)], byteByByte(wireOf(wire))]) {
        const rig = new Rig();
        await rig.send(...pieces, GET);
        expect(rig.statuses()).toEqual([status]);
        expect(rig.answers().end).toBe("close");
        expect(rig.client.ended).toBe(true);
        const [x] = [...rig.served.map((served) => served.x), ...rig.refused];
        expect([x!.fault?.code, x!.status]).toEqual([code as FaultCode, status]);
        expect(rig.served.length + rig.refused.length).toBe(1);
        for (const served of rig.served) {
          expect([served.finished, served.ended, served.gone?.code]).toEqual([1, false, code as FaultCode]);
        }
        rig.far.end();
        await settle();
        expect(rig.closed).toBe(1);
      }
    });

  test("a refused one shows nothing of what the connection, or another, read before", async () => {
    const first = new Rig();
    await first.send("HEAD /secret HTTP/1.1\r\nHost: private\r\nCookie: x\r\nConnection: close\r\n\r\n");
    const second = new Rig();
    await second.send("\0\r\n\r\n");
    const { request, status } = second.refused[0]!;
    expect([request.method, request.target, request.authority, status]).toEqual(["GET", "", "", 400]);
    expect(request.headers.entries()).toEqual([]);
    expect(second.answers().messages[0]!.body).toContain("400"); // a HEAD before does not take its body away
  });

  test("the answer waits for nothing but the request; pipelined ones wait for the answer", async () => {
    const rig = new Rig();
    rig.behave = () => {};
    await rig.send(GET + post("hello") + GET);
    expect(rig.served).toHaveLength(1);
    for (let i = 0; i < 3; i += 1) {
      expect(rig.served).toHaveLength(i + 1);
      echo(rig.served[i]!, "");
      await settle();
    }
    expect(rig.statuses()).toEqual([200, 200, 200]);
    expect(rig.served.map(({ finished }) => finished)).toEqual([1, 1, 1]);
  });

  test("ten thousand pipelined requests answered at once do not pile up on the stack", async () => {
    const rig = new Rig();
    rig.behave = ({ x }) => x.downstream.reply(reply(204));
    await rig.send(GET.repeat(10_000));
    await Bun.sleep(1);
    expect(rig.served).toHaveLength(10_000);
    expect(rig.client.text.split("HTTP/1.1 204").length - 1).toBe(10_000);
  });
});

describe("bodies", () => {
  test("wait in the connection until they are wanted, and stop while they are not", async () => {
    const rig = new Rig();
    rig.behave = () => {};
    await rig.send(post("", 300_000));
    const served = rig.served[0]!;
    await rig.send("x".repeat(200_000));
    expect(rig.far.queued).toBeGreaterThan(0); // held back in the client
    served.x.downstream.readBody(served);
    await Bun.sleep(1);
    expect(served.body.length).toBe(200_000);
    served.x.downstream.pauseBody();
    await rig.send("y".repeat(100_000));
    expect(served.body.length).toBe(200_000);
    served.x.downstream.resumeBody();
    await Bun.sleep(1);
    expect(served.body.length).toBe(300_000);
    expect(served.ended).toBe(true);
  });

  for (const [name, length, status] of [
    ["a short rest is dropped, and the connection goes on", 1000, "open"],
    ["a long one ends the connection", 300_000, "close"],
  ] as const)
    test(`nobody wants it: ${name}`, async () => {
      const rig = new Rig();
      rig.behave = ({ x }) => x.downstream.reply(reply(403, "no"));
      await rig.send(post("x", length));
      expect(rig.statuses()).toEqual([403]);
      expect(rig.answers().end).toBe(status);
      rig.behave = (served) => echo(served, "");
      await rig.send("x".repeat(length - 1));
      await rig.send(GET);
      await Bun.sleep(1);
      expect(rig.statuses()).toEqual(status === "open" ? [403, 200] : [403]);
      expect(rig.client.ended).toBe(status === "close");
    });

  test("a chunked one that turns out too long for dropping ends the connection", async () => {
    const rig = new Rig();
    rig.behave = ({ x }) => x.downstream.reply(reply(403, "no"));
    await rig.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let i = 0; i < 5; i += 1) await rig.send(`10000\r\n${"x".repeat(65_536)}\r\n`);
    await Bun.sleep(1);
    expect(rig.client.ended).toBe(true);
    expect(rig.statuses()).toEqual([403]);
  });

  test("after a final answer in place of 100 Continue nothing more is read as a request", async () => {
    const rig = new Rig();
    const head = new ResponseHead();
    head.status = 401;
    rig.behave = ({ x }) => {
      x.downstream.head(head);
      x.downstream.end(null);
    };
    await rig.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n", GET, GET);
    expect(rig.answers().end).toBe("close");
    expect(rig.statuses()).toEqual([401]);
    expect(rig.served).toHaveLength(1);
  });
});

describe("what goes wrong behind it", () => {
  const started = (x: Exchange, body: ResponseHead["body"]): void => {
    const head = new ResponseHead();
    head.body = body;
    head.length = 10;
    if (body === "length") head.headers.reset(Buffer.from("Content-Length: 10\r\n"));
    if (body === "length") head.headers.push(11, 0, 14, 16, 18, 20);
    x.downstream.head(head);
    x.downstream.data(Buffer.from("hello"), 0, 5);
  };
  for (const framing of ["length", "chunked", "close"] as const)
    test(`an answer (${framing}) that cannot be finished is cut off`, async () => {
      const rig = new Rig();
      rig.behave = ({ x }) => {
        started(x, framing);
        x.downstream.fail(fault("upstream.incomplete"));
      };
      await rig.send(GET + GET);
      expect(rig.client.text).not.toContain("0\r\n\r\n");
      expect(rig.statuses()).not.toContain(502);
      expect(rig.client.ended || rig.client.closes > 0).toBe(true);
      expect(rig.served.map(({ finished, x }) => [finished, x.fault?.code])).toEqual([[1, "upstream.incomplete"]]);
      rig.far.destroy();
      await settle();
      expect(rig.closed).toBe(1);
    });

  for (const code of ["upstream.bad_response", "route.none", "upstream.none"] as const)
    test(`${code} before an answer: told, and the connection goes on`, async () => {
      const rig = new Rig();
      rig.behave = ({ x }) => x.downstream.fail(fault(code));
      await rig.send(post("hello") + GET);
      expect(rig.statuses()).toEqual([FAULTS[code].status, FAULTS[code].status]);
      expect(rig.client.ended).toBe(false);
    });

  test("a second answer cuts the first off", async () => {
    const rig = new Rig();
    rig.behave = ({ x }) => {
      started(x, "length");
      x.downstream.reply(reply(200, "other"));
    };
    await rig.send(GET);
    expect(rig.client.text).not.toContain("other");
    expect(rig.served[0]!.finished).toBe(1);
    expect(rig.client.ended || rig.client.closes > 0).toBe(true);
  });
});

describe("clients that leave", () => {
  for (const how of ["end", "destroy", "reset"] as const) {
    const leave = (rig: Rig): void => {
      if (how === "end") rig.far.end();
      else rig.far.destroy(how === "reset");
    };
    test(`${how} between requests`, async () => {
      const rig = new Rig();
      await rig.send(GET);
      leave(rig);
      await settle();
      expect([rig.closed, rig.client.closes]).toEqual([1, 1]);
    });
    test(`${how} inside a head`, async () => {
      const rig = new Rig();
      await rig.send("GET / HT");
      leave(rig);
      await settle();
      expect([rig.closed, rig.served.length, rig.client.text]).toEqual([1, 0, ""]);
    });
    test(`${how} inside a body: the one who reads it is told`, async () => {
      const rig = new Rig();
      await rig.send(post("hel", 5));
      leave(rig);
      await settle();
      expect(rig.closed).toBe(1);
      expect(rig.served.map(({ gone, finished, x }) => [gone?.code, finished, x.status])).toEqual([
        ["client.gone", 1, 499],
      ]);
    });
  }

  test("a closed sending side leaves a second for the answer", async () => {
    const rig = new Rig();
    rig.behave = (served) => served.x.downstream.readBody(served);
    await rig.send(GET);
    rig.far.end();
    await rig.pass(500);
    expect(rig.served[0]!.gone).toBe(null);
    echo(rig.served[0]!, "");
    await settle();
    expect(rig.answers().end).toBe("close");
    expect(rig.closed).toBe(1);
  });
  test("and no more, unless the listener allows it", async () => {
    for (const halfClose of [false, true]) {
      const rig = new Rig({ halfClose });
      rig.behave = (served) => served.x.downstream.readBody(served);
      await rig.send(GET);
      rig.far.end();
      await rig.pass(5000);
      expect(rig.served[0]!.gone?.code).toBe(halfClose ? undefined : "client.gone");
      expect(rig.closed).toBe(halfClose ? 0 : 1);
    }
  });
});

describe("time", () => {
  test("nothing is sent: closed without a word", async () => {
    const rig = new Rig();
    await rig.pass(9900);
    expect(rig.client.ended).toBe(false);
    await rig.pass(500);
    expect([rig.client.ended, rig.client.text]).toEqual([true, ""]);
  });
  test("a head that dribbles: 408 after the header time-out, counted from its first byte", async () => {
    const rig = new Rig();
    await rig.send(GET);
    await rig.pass(60_000);
    for (let i = 0; i < 9; i += 1) {
      await rig.send("G");
      await rig.pass(1000);
    }
    expect(rig.statuses()).toEqual([200]);
    await rig.pass(1500);
    expect(rig.statuses()).toEqual([200, 408]);
    expect(rig.answers().end).toBe("close");
  });
  test("idle keep-alive connections are closed after their time, not before", async () => {
    const rig = new Rig();
    await rig.send(GET);
    await rig.pass(74_000);
    expect(rig.client.ended).toBe(false);
    await rig.pass(1500);
    expect(rig.client.ended).toBe(true);
    expect(rig.statuses()).toEqual([200]);
  });
  test("a body that stops: 408, and the reader is told", async () => {
    const rig = new Rig();
    await rig.send(post("hel", 5));
    await rig.pass(29_000);
    expect(rig.served[0]!.gone).toBe(null);
    await rig.pass(1500);
    expect(rig.statuses()).toEqual([408]);
    expect(rig.served[0]!.gone?.code).toBe("request.timeout");
  });
  test("a body below the minimum rate: 408; one just above it: served", async () => {
    for (const [bytes, want] of [
      [200, [408]],
      [300, [200]],
    ] as const) {
      const rig = new Rig({ limits: { bodyRate: "256B/s" } });
      await rig.send(post("", bytes * 20));
      for (let i = 0; i < 20 && rig.client.text === ""; i += 1) {
        await rig.send("x".repeat(bytes));
        await rig.pass(1000);
      }
      expect(rig.statuses()).toEqual([...want]);
    }
  });
  test("a body that is held back by us is not too slow", async () => {
    const rig = new Rig();
    rig.behave = (served) => {
      served.whenRead = () => echo(served, "");
      served.x.downstream.readBody(served);
      served.x.downstream.pauseBody();
    };
    await rig.send(post("hello"));
    await rig.pass(200_000);
    rig.served[0]!.x.downstream.resumeBody();
    await settle();
    expect(rig.statuses()).toEqual([200]);
  });
  test("a client that does not read its answer is cut off, and the one who sends it is told", async () => {
    const rig = new Rig();
    rig.far.pause();
    rig.behave = (served) => {
      const { downstream } = served.x;
      downstream.readBody(served);
      const head = new ResponseHead();
      head.body = "chunked";
      downstream.head(head);
      for (let i = 0; i < 10; i += 1) downstream.data(Buffer.alloc(65_536), 0, 65_536);
    };
    await rig.send(GET);
    expect(rig.served[0]!.x.downstream.full).toBe(true);
    await rig.pass(65_000);
    expect(rig.served[0]!.gone?.code).toBe("client.gone");
    expect(rig.served[0]!.finished).toBe(1);
    expect(rig.closed).toBe(1);
  });
  test("after the last answer a client that goes on sending is cut off", async () => {
    const rig = new Rig();
    await rig.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect(rig.client.ended).toBe(true);
    for (let i = 0; i < 4; i += 1) {
      await rig.send("x".repeat(1000));
      await rig.pass(1000);
    }
    expect(rig.client.closes + rig.closed).toBeGreaterThanOrEqual(1);
    expect(rig.closed).toBe(1);
    expect(rig.served).toHaveLength(1);
  });
});

describe("draining", () => {
  test("an idle connection is closed at once", async () => {
    const rig = new Rig();
    await rig.send(GET);
    rig.context.draining = true;
    rig.connection.drain();
    await settle();
    expect(rig.client.ended).toBe(true);
  });
  test("one that serves says close, and ends", async () => {
    const rig = new Rig();
    rig.behave = () => {};
    await rig.send(GET);
    rig.context.draining = true;
    rig.connection.drain();
    echo(rig.served[0]!, "");
    await settle();
    expect(rig.answers().end).toBe("close");
    expect(rig.client.ended).toBe(true);
  });
});

const CORPUS = [...GOOD_REQUESTS, ...REFUSED_REQUESTS].map(([, wire]) => wire);
type Behaviour = (served: Served, later: (work: () => void) => void) => void;
const streamed = (x: Exchange): void => {
  const head = new ResponseHead();
  head.body = "chunked";
  x.downstream.head(head);
  x.downstream.data(Buffer.from("streamed"), 0, 8);
};
/** Everything that may stand behind a connection, at once or later. */
const BEHAVIOURS: readonly Behaviour[] = [
  (served) => echo(served, ""),
  (served, later) => later(() => served.finished === 0 && echo(served, "")),
  (served) => {
    served.whenRead = () => echo(served, served.body);
    served.x.downstream.readBody(served);
  },
  (served, later) => {
    served.whenRead = () => later(() => served.finished === 0 && echo(served, served.body));
    served.x.downstream.readBody(served);
    served.x.downstream.pauseBody();
    later(() => served.finished === 0 && served.x.downstream.resumeBody());
  },
  (served) => served.x.downstream.fail(fault("upstream.none")),
  (served, later) => {
    served.x.downstream.readBody(served);
    streamed(served.x);
    later(() => served.finished === 0 && served.x.downstream.fail(fault("upstream.incomplete")));
  },
  (served, later) => {
    served.x.downstream.readBody(served);
    streamed(served.x);
    later(() => served.finished === 0 && served.x.downstream.end(null));
  },
  // A client that has sent more than it was asked for is not seen leaving before it is answered.
  (served, later) => later(() => served.finished === 0 && served.x.downstream.fail(fault("upstream.response_timeout"))),
];

test("whatever clients send and servers do: every exchange ends once, the connection once, and nothing throws", async () => {
  const rounds: Promise<void>[] = [];
  const play = async (rng: Rng): Promise<void> => {
    const rig = new Rig();
    const late: (() => void)[] = [];
    rig.behave = (served) => rng.pick(BEHAVIOURS)(served, (work) => late.push(work));
    const wire = wireOf(mutate(rng, CORPUS, "request"));
    for (const piece of rng.oneIn(2) ? [wire] : cutAnywhere(rng, wire)) {
      await rig.send(piece);
      if (rng.oneIn(3)) late.shift()?.();
      if (rng.oneIn(20)) await rig.pass(1000 * (1 + rng.below(15)));
      if (rng.oneIn(40)) rig.connection.drain();
    }
    const leaving = rng.below(4);
    if (leaving < 2) rig.far.end();
    else if (leaving === 2) rig.far.destroy(rng.oneIn(2));
    while (late.length > 0) {
      late.shift()!();
      await settle();
    }
    rig.far.end();
    await rig.pass(10_000);
    rig.far.destroy();
    await rig.pass(1000);
    if (rig.closed !== 1) throw new Error(`closed ${rig.closed} times`);
    for (const { finished } of rig.served)
      if (finished !== 1) throw new Error(`an exchange that ended ${finished} times`);
    if (rig.refused.length > 1) throw new Error("refused more than once");
  };
  for (let seed = 1; seed <= 1500; seed += 1)
    rounds.push(
      play(new Rng(seed)).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
      }),
    );
  await Promise.all(rounds);
}, 60_000);
