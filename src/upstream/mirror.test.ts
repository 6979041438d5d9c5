import { afterEach, describe, expect, test } from "bun:test";
import { type Fault, fault } from "../core/faults.ts";
import { TimerWheel } from "../core/timers.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { type ExchangeOptions, exchangeOf } from "../pipeline/exchange.fixture.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { viaLine } from "../pipeline/via.ts";
import { type MemoryConnection, memoryPair } from "../transport/memory-pair.ts";
import { H1Client } from "./h1-client.ts";
import { Mirror, type MirrorTarget } from "./mirror.ts";
import type { ConnectionWant, Server } from "./pool.ts";
import type { Want } from "./want.ts";

const RESPONSE_MS = 1000;

/** An upstream of one server, whose connections the test gives when it likes. */
class Rig {
  readonly log: string[] = [];
  readonly wheel: TimerWheel;
  now = 1000;
  want: ConnectionWant | null = null;
  received = "";
  server: MemoryConnection | null = null;
  client: H1Client | null = null;
  refuse: Fault | null = null;
  host: string | null = null;
  readonly target: MirrorTarget = {
    config: { timeouts: { connect: 500, response: RESPONSE_MS } } as MirrorTarget["config"],
    keyOf: () => 7,
    prefaceFor: () => null,
    hostFor: () => this.host,
    outcome: (server: Server, status: number) => this.log.push(`${server.name} ${status}`),
    unreachable: (server: Server) => this.log.push(`${server.name} 0`),
    cancelled: (server: Server) => this.log.push(`${server.name} cancelled`),
    withdrawn: () => this.log.push("withdrawn"),
    acquire: (want: Want) => {
      if (this.refuse !== null) return want.onNoServer(this.refuse);
      want.onServer({
        name: "shadow:80",
        address: { kind: "tcp", host: "shadow", port: 80 },
        request: (asked: ConnectionWant) => {
          this.want = asked;
        },
      } as unknown as Server);
    },
  };

  constructor() {
    this.wheel = new TimerWheel(() => this.now);
  }

  /** The connection is there. */
  connect(): void {
    const [ours, theirs] = memoryPair();
    this.server = theirs;
    theirs.handler = {
      onData: (chunk) => {
        this.received += chunk.toString("latin1");
      },
      onDrain() {},
      onEnd() {},
      onClose() {},
    };
    const owner = { released: () => this.log.push("released"), lost: () => this.log.push("lost") };
    this.client = new H1Client(ours, owner, this.wheel, 1000);
    if (this.want!.withdrawn) this.client.close();
    else this.want!.onConnection(this.client);
  }

  async answer(text: string): Promise<void> {
    this.server!.send(Buffer.from(text, "latin1"), 0, text.length, true);
    await settled();
  }

  pass(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now += 100;
      this.wheel.turn();
    }
  }
}

/** Lets everything in flight between connections in memory arrive. */
async function settled(): Promise<void> {
  for (let i = 0; i < 100; i += 1) await Promise.resolve();
}

const post = (options: ExchangeOptions, body: Exchange["request"]["body"], length = 0): Exchange => {
  const x = exchangeOf({ method: "POST", target: "/a?b=1", ...options });
  x.request.body = body;
  x.request.length = length;
  return x;
};
const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const send = (mirror: Mirror, text: string): void => mirror.onData(bytes(text), 0, text.length);

let rig = new Rig();
afterEach(() => {
  rig = new Rig();
});

describe("a copy", () => {
  test("is the request as servers get it, and its answer is dropped", async () => {
    const x = exchangeOf({
      target: "/a?b=1",
      headers: [
        ["Host", "example.com"],
        ["X-A", "1"],
      ],
    });
    const mirror = Mirror.start(x, rig.target, 100)!;
    rig.connect();
    mirror.onEnd(null);
    await settled();
    expect(rig.received).toBe(
      `GET /a?b=1 HTTP/1.1\r\nHost: example.com\r\nX-A: 1\r\n${viaLine(11)}X-Forwarded-For: 192.0.2.1\r\n` +
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: example.com\r\nX-Request-Id: id-1\r\n\r\n",
    );
    await rig.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    expect(rig.log).toEqual(["shadow:80 200", "released"]);
  });

  test("outlives the exchange, whose head is used again by then", async () => {
    const x = exchangeOf({ target: "/first", headers: [["Host", "example.com"]] });
    const mirror = Mirror.start(x, rig.target, 100)!;
    mirror.onEnd(null);
    x.over = true;
    mirror.gone();
    x.request.headers.bytes.fill(0x2e);
    x.request.reset();
    rig.connect();
    await settled();
    expect(rig.received).toStartWith("GET /first HTTP/1.1\r\nHost: example.com\r\n");
  });

  test("names the server where its upstream says so", async () => {
    rig.host = "shadow";
    Mirror.start(exchangeOf({ headers: [["Host", "example.com"]] }), rig.target, 100)!.onEnd(null);
    rig.connect();
    await settled();
    expect(rig.received).toContain("\r\nHost: shadow\r\n");
    expect(rig.received).not.toContain("\r\nHost: example.com");
  });

  for (const connected of ["before", "amid", "after"] as const)
    test(`has the body, its connection there ${connected} it`, async () => {
      const x = post({ headers: [["Content-Length", "9"]] }, "length", 9);
      const mirror = Mirror.start(x, rig.target, 9)!;
      if (connected === "before") rig.connect();
      send(mirror, "abc");
      mirror.onData(bytes("..def........"), 2, 5); // a small part of a chunk
      if (connected === "amid") rig.connect();
      send(mirror, "ghi");
      mirror.onEnd(null);
      if (connected === "after") rig.connect();
      await settled();
      expect(rig.received).toEndWith("\r\n\r\nabcdefghi");
    });

  test("has chunks and trailers as well", async () => {
    const mirror = Mirror.start(post({}, "chunked"), rig.target, 100)!;
    send(mirror, "abc");
    mirror.onEnd(HeaderBlock.of([["x-sum", "1"]]));
    rig.connect();
    await settled();
    expect(rig.received).toEndWith("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
  });

  test("asks for the same trailers as the request itself, whichever is written first", async () => {
    const x = exchangeOf({
      headers: [
        ["Host", "a"],
        ["TE", "trailers"],
        ["Connection", "te"],
      ],
    });
    x.request.connectionNamesFields = true;
    for (const each of [new Rig(), new Rig()]) {
      Mirror.start(x, each.target, 0)!.onEnd(null);
      each.connect();
      await settled();
      expect(each.received).toContain("TE: trailers\r\nConnection: TE\r\n");
    }
  });
});

describe("there is none", () => {
  test("of a request for a tunnel", () => {
    const x = exchangeOf();
    x.request.upgrade = "websocket";
    expect(Mirror.start(x, rig.target, 100)).toBeNull();
  });

  test("of a body that is too long from the start", () => {
    expect(Mirror.start(post({}, "length", 101), rig.target, 100)).toBeNull();
  });

  for (const code of ["upstream.none", "upstream.queue_full"] as const)
    test(`where no server takes it: ${code}`, () => {
      rig.refuse = fault(code);
      expect(Mirror.start(exchangeOf(), rig.target, 100)).toBeNull();
      expect(rig.log).toEqual([]);
    });
});

describe("is given up", () => {
  test("when the body gets too long, before there is a connection", () => {
    const mirror = Mirror.start(post({}, "chunked"), rig.target, 5)!;
    send(mirror, "abc");
    send(mirror, "def");
    expect(rig.want!.withdrawn).toBe(true);
    send(mirror, "ghi");
    mirror.onEnd(null);
    expect(rig.log).toEqual([]); // the pool tells that it was withdrawn
  });

  test("when the body gets too long, on its way", async () => {
    const mirror = Mirror.start(post({}, "chunked"), rig.target, 5)!;
    rig.connect();
    send(mirror, "abc");
    send(mirror, "def");
    send(mirror, "ghi");
    mirror.onEnd(null);
    await settled();
    expect(rig.log).toEqual(["shadow:80 cancelled", "lost"]);
    expect(rig.received).not.toContain("def");
  });

  test("when the client leaves amid its request", async () => {
    const mirror = Mirror.start(post({}, "chunked"), rig.target, 100)!;
    rig.connect();
    send(mirror, "abc");
    mirror.gone();
    mirror.gone();
    await settled();
    expect(rig.log).toEqual(["shadow:80 cancelled", "lost"]);
  });

  test("when its server answers amid the request", async () => {
    const mirror = Mirror.start(post({}, "chunked"), rig.target, 100)!;
    rig.connect();
    send(mirror, "abc");
    await settled();
    await rig.answer("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    send(mirror, "def");
    mirror.onEnd(null);
    expect(rig.log).toEqual(["shadow:80 413", "lost"]);
  });

  const FAILURES: readonly (readonly [name: string, act: () => void | Promise<void>, want: readonly string[]])[] = [
    ["does not answer in time", () => rig.pass(RESPONSE_MS + 300), ["lost", "shadow:80 0"]],
    ["closes", () => rig.server!.close(), ["lost", "shadow:80 0"]],
    ["answers nonsense", () => rig.answer("nonsense\r\n\r\n"), ["lost", "shadow:80 0"]],
    [
      "switches protocols",
      () => rig.answer("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
      ["shadow:80 101", "lost"],
    ],
    [
      "breaks off its answer",
      async () => {
        await rig.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
        rig.server!.close();
      },
      ["shadow:80 200", "lost"],
    ],
    [
      "answers at length",
      () => rig.answer(`HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n${"a".repeat(1_100_000)}`),
      ["shadow:80 200", "lost"],
    ],
  ];
  for (const [name, act, want] of FAILURES)
    test(`when its server ${name}`, async () => {
      Mirror.start(exchangeOf(), rig.target, 100)!.onEnd(null);
      rig.connect();
      await settled();
      await act();
      await settled();
      expect(rig.log).toEqual([...want]);
    });

  test("when there is no connection, which is its server's failure", () => {
    const mirror = Mirror.start(exchangeOf(), rig.target, 100)!;
    rig.want!.onNoConnection(fault("upstream.connect_refused"));
    mirror.onEnd(null);
    mirror.gone();
    expect(rig.log).toEqual(["shadow:80 0"]);
  });
});

test("a server that takes nothing holds up nobody, and keeps at most the body", async () => {
  const mirror = Mirror.start(post({}, "chunked"), rig.target, 600_000)!;
  rig.connect();
  rig.server!.pause();
  const piece = Buffer.alloc(50_000, 0x61);
  for (let sent = 0; sent < 600_000; sent += piece.length) mirror.onData(piece, 0, piece.length);
  await settled();
  expect(rig.client!.connection.queued).toBeWithin(400_000, 601_000);
  mirror.onData(piece, 0, piece.length);
  await settled();
  expect(rig.client!.connection.queued).toBe(0);
  expect(rig.log).toEqual(["shadow:80 cancelled", "lost"]);
});
