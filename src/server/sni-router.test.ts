import { afterEach, describe, expect, test } from "bun:test";
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { TimerWheel } from "../core/timers.ts";
import { CAPTURED, extension, helloMessage, record, records, serverName } from "../transport/client-hello.testing.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { type MemoryConnection, memoryPair } from "../transport/memory-pair.ts";
import { acceptProxied } from "../transport/proxied-connection.ts";
import { writeProxyHeader } from "../transport/proxy-protocol.ts";
import { dial, listenOn } from "../transport/socket.ts";
import { TestCa } from "../transport/tls.testing.ts";
import { listenTls } from "../transport/tls.ts";
import { takeOverTls } from "../transport/tls-takeover.ts";
import { acceptBySni, type SniOwner, type SniRule, SniTable } from "./sni-router.ts";
import { TcpSession } from "./tcp-session.ts";

const TIMEOUT_MS = 3000;
const DEADLINE_MS = 5000;
const GIT = { passthrough: "gitlab" } as const;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const RULES: Readonly<Record<string, SniRule>> = {
  "git.example.com": GIT,
  "*.example.com": "terminate",
  "*.ci.example.com": { passthrough: "ci" },
  "Upper.Example.ORG": { passthrough: "upper" },
};
const FOUND: readonly (readonly [name: string | null, others: SniRule | null, want: SniRule | null])[] = [
  ["git.example.com", null, GIT],
  ["www.example.com", null, "terminate"],
  ["a.b.example.com", null, "terminate"],
  ["a.ci.example.com", null, { passthrough: "ci" }],
  ["a.b.ci.example.com", null, { passthrough: "ci" }],
  ["ci.example.com", null, "terminate"],
  ["example.com", null, null],
  ["badexample.com", null, null],
  ["x.git.example.com", null, "terminate"],
  ["upper.example.org", null, { passthrough: "upper" }],
  ["other", null, null],
  [null, null, null],
  ["other", "terminate", "terminate"],
  ["example.com", GIT, GIT],
  [null, GIT, GIT],
];
for (const [name, others, want] of FOUND)
  test(`${name} with ${others === null ? "no others" : "others"}`, () => {
    const table = new SniTable(others === null ? RULES : { ...RULES, "*": others });
    expect(table.find(name)).toEqual(want);
  });

/** Notes what comes, as lines. */
class Behind implements ConnectionHandler {
  readonly events: string[];
  constructor(events: string[]) {
    this.events = events;
  }
  onData(chunk: Buffer): void {
    this.events.push(`data ${chunk.toString("hex")}`);
  }
  onDrain(): void {}
  onEnd(): void {
    this.events.push("end");
  }
  onClose(): void {
    this.events.push("close");
  }
}

function rig(rules: Readonly<Record<string, SniRule>>, proxied = false, takes = true) {
  let now = 0;
  const wheel = new TimerWheel(() => now);
  const [outer, inner] = memoryPair();
  const events: string[] = [];
  const ends: string[] = [];
  const owner: SniOwner = {
    passthrough(connection, upstream, hello) {
      events.push(`to ${upstream} for ${hello.serverName} from ${connection.remoteAddress}`);
      return takes ? new Behind(events) : null;
    },
    terminate(connection, early, hello) {
      events.push(`terminate ${hello.serverName} from ${connection.remoteAddress} ${early.toString("hex")}`);
      connection.handler = new Behind(events);
    },
    refused(connection, reason, { result, reason: kind }) {
      events.push(`${connection === inner ? "refused" : "?"}: ${reason}`);
      ends.push(`${result} ${kind}`.trim());
    },
  };
  const options = { table: new SniTable(rules), timeoutMs: TIMEOUT_MS, wheel };
  inner.handler = proxied
    ? acceptProxied(
        inner,
        { required: true, timeoutMs: TIMEOUT_MS, wheel },
        { ready: (connection) => acceptBySni(connection, options, owner), refused: () => events.push("no header") },
      )
    : acceptBySni(inner, options, owner);
  const seen: string[] = [];
  outer.handler = new Behind(seen);
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      wheel.turn();
    }
  };
  return { outer, inner, events, ends, seen, pass };
}
/** Everything in memory happens in microtasks: once a macrotask comes, it has happened. */
const settle = (): Promise<void> => Bun.sleep(1);
const send = (to: MemoryConnection, bytes: Buffer): void => to.send(bytes, 0, bytes.length, false);
const helloFor = (name: string): Buffer => record(helloMessage({ extensions: [serverName(name)] }));
const NAMELESS = record(helloMessage());
const ALERT_UNRECOGNIZED = "data 15030300020270";

const HELLO = helloFor("git.example.com");
const HEX = HELLO.toString("hex");
const DECISIONS: readonly (readonly [
  name: string,
  rules: Readonly<Record<string, SniRule>>,
  sent: Buffer,
  events: readonly string[],
  answer: readonly string[],
])[] = [
  ["passthrough", RULES, HELLO, ["to gitlab for git.example.com from 127.0.0.1", `data ${HEX}`], []],
  [
    "with what comes behind the hello",
    RULES,
    Buffer.concat([HELLO, Buffer.from("ff", "hex")]),
    ["to gitlab for git.example.com from 127.0.0.1", `data ${HEX}ff`],
    [],
  ],
  ["terminate", { "*": "terminate" }, HELLO, [`terminate git.example.com from 127.0.0.1 ${HEX}`], []],
  ["no name", { "*": "terminate" }, NAMELESS, [`terminate null from 127.0.0.1 ${NAMELESS.toString("hex")}`], []],
  [
    "an unknown name",
    RULES,
    helloFor("other.example"),
    ["refused: TLS hello for other.example, which no rule knows"],
    [ALERT_UNRECOGNIZED, "end"],
  ],
  [
    "no name where one is needed",
    RULES,
    NAMELESS,
    ["refused: TLS hello without a name, which no rule knows"],
    [ALERT_UNRECOGNIZED, "end"],
  ],
  ["not TLS", RULES, Buffer.from("GET / HTTP/1.1\r\n"), ["refused: not TLS"], ["end"]],
  [
    "an invalid hello",
    RULES,
    record(helloMessage({ extensions: [extension(0, Buffer.alloc(0))] })),
    ["refused: TLS hello: a length beyond its field"],
    ["data 15030300020232", "end"],
  ],
];
describe("decisions", () => {
  for (const [name, rules, sent, want, answer] of DECISIONS) {
    test(name, async () => {
      const { outer, events, seen } = rig(rules);
      send(outer, sent);
      await settle();
      expect(events).toEqual([...want]);
      expect(seen).toEqual([...answer]);
    });
  }

  test("a hello byte by byte, over three records", async () => {
    const { outer, events } = rig(RULES);
    const all = records(HELLO.subarray(5) as Buffer, 30);
    for (const byte of all) {
      send(outer, Buffer.from([byte]));
      await settle();
    }
    expect(events).toEqual(["to gitlab for git.example.com from 127.0.0.1", `data ${all.toString("hex")}`]);
  });

  test("what comes later goes to the chosen handler alone", async () => {
    const { outer, events } = rig(RULES);
    send(outer, HELLO);
    await settle();
    send(outer, Buffer.from([1, 2]));
    outer.end();
    await settle();
    expect(events.slice(2)).toEqual(["data 0102", "end"]);
  });

  test("an owner that takes no more closes it", async () => {
    const { outer, inner, events } = rig(RULES, false, false);
    send(outer, HELLO);
    await settle();
    outer.close();
    await settle();
    expect([inner.closed, events.length]).toEqual([true, 1]);
  });

  test("behind a PROXY header, in one piece and in two", async () => {
    const header = writeProxyHeader("v2", { address: "203.0.113.7", port: 1 }, { address: "198.51.100.1", port: 443 });
    const all = Buffer.concat([header, HELLO]);
    for (const cut of [0, header.length, header.length + 20]) {
      const { outer, events } = rig(RULES, true);
      send(outer, all.subarray(0, cut) as Buffer);
      await settle();
      send(outer, all.subarray(cut) as Buffer);
      await settle();
      expect(events).toEqual(["to gitlab for git.example.com from 203.0.113.7", `data ${HEX}`]);
    }
  });
});

describe("how it ended, for metrics", () => {
  for (const [sent, want] of [
    [helloFor("other.example"), "refused no rule for the name"],
    [Buffer.from("GET / HTTP/1.1\r\n"), "failed plain HTTP"],
    [Buffer.from("EHLO\r\n"), "failed not TLS"],
    [record(helloMessage({ extensions: [extension(0, Buffer.alloc(0))] })), "failed broken"],
  ] as const)
    test(want, async () => {
      const { outer, ends } = rig(RULES);
      send(outer, sent);
      await settle();
      expect(ends).toEqual([want]);
    });
});

describe("clients that do not go on", () => {
  const half = HELLO.subarray(0, 40) as Buffer;
  test("too slow", async () => {
    const { outer, events, ends, pass } = rig(RULES);
    send(outer, half);
    await settle();
    pass(TIMEOUT_MS - 200);
    expect(events).toEqual([]);
    pass(500);
    expect(events).toEqual([`refused: no TLS hello within ${TIMEOUT_MS} ms`]);
    expect(ends).toEqual(["timeout"]);
  });

  test("too late for the time limit to matter", async () => {
    const { outer, inner, events, pass } = rig(RULES);
    send(outer, HELLO);
    await settle();
    pass(2 * TIMEOUT_MS);
    await settle();
    expect([events.length, inner.closed]).toEqual([2, false]);
  });

  test("gone after half of it, told once", async () => {
    for (const how of ["end", "close", "destroy"] as const) {
      const { outer, events, ends } = rig(RULES);
      send(outer, half);
      await settle();
      if (how === "destroy") outer.destroy(true);
      else outer[how]();
      await settle();
      expect(events).toEqual(["refused: closed before the TLS hello"]);
      expect(ends).toEqual(["failed closed"]);
    }
  });
});

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await Bun.sleep(2);
  }
}

test("on one port: a name that ends here, one that ends at a server, one that nobody knows", async () => {
  const ca = await TestCa.make();
  const wheel = new TimerWheel();
  const options = { select: () => null, alpn: [], minVersion: "1.2", requestClientCertificate: false, wheel } as const;
  const saying = (text: string) => (connection: Connection) => {
    const bytes = Buffer.from(`${text} ${connection.tls?.serverName}`);
    connection.send(bytes, 0, bytes.length, false);
    connection.end();
    return { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };
  };
  const own = takeOverTls({ ...options, fallback: [await ca.issue({ names: ["www.example.com"] })] }, saying("own"));
  const server = listenTls(
    { kind: "tcp", host: "127.0.0.1", port: 0 },
    { ...options, fallback: [await ca.issue({ names: ["git.example.com"] })] },
    saying("server"),
  );
  const dialServer = () => dial({ kind: "tcp", host: "127.0.0.1", port: server.port });
  const target = {
    upstream: "gitlab",
    attempts: 1,
    choose: () => ({
      name: "gitlab:1",
      proxyProtocol: null,
      dial: dialServer,
      failed() {},
      withdrawn() {},
      opened() {},
      closed() {},
    }),
  };
  const told: string[] = [];
  const owner: SniOwner = {
    passthrough(connection) {
      const session = new TcpSession(connection, {
        name: ":443",
        target,
        idleMs: 60_000,
        wheel,
        tcpClosed: (_, { fault }) => told.push(fault === null ? "session over" : fault.code),
      });
      session.begin();
      return session;
    },
    terminate: (connection, early) => own.take(connection, early),
    refused: (_, reason) => told.push(reason),
  };
  const table = new SniTable({ "git.example.com": GIT, "www.example.com": "terminate" });
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) =>
    acceptBySni(connection, { table, timeoutMs: TIMEOUT_MS, wheel }, owner),
  );
  closers.push(
    () => listener.stop(),
    () => server.stop(),
  );
  const ask = async (servername: string): Promise<string> => {
    const socket = connectTls({ host: "127.0.0.1", port: listener.port, ca: ca.pem, servername });
    closers.push(() => socket.destroy());
    let text = "";
    let closed = false;
    socket.on("data", (chunk: Buffer) => {
      text += chunk.latin1Slice();
    });
    socket.on("error", (error: Error & { code?: string }) => {
      text += error.code;
    });
    socket.on("close", () => {
      closed = true;
    });
    await until(() => closed, `the end for ${servername}`);
    return text;
  };
  expect(await ask("www.example.com")).toBe("own www.example.com");
  expect(await ask("git.example.com")).toBe("server git.example.com");
  expect(await ask("other.example.com")).toContain("UNRECOGNIZED_NAME");
  await until(() => told.length === 2, "both told");
  expect(told.sort()).toEqual(["TLS hello for other.example.com, which no rule knows", "session over"]);
});

test("a PROXY header and then TLS, in one piece or not: the announced addresses are those of the connection", async () => {
  const ca = await TestCa.make();
  const wheel = new TimerWheel();
  const options = { select: () => null, alpn: [], minVersion: "1.2", requestClientCertificate: false, wheel } as const;
  const own = takeOverTls({ ...options, fallback: [await ca.issue({ names: ["localhost"] })] }, (connection) => {
    const bytes = Buffer.from(`${connection.remoteAddress} ${connection.remotePort}`);
    connection.send(bytes, 0, bytes.length, false);
    connection.end();
    return { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };
  });
  const refusals: string[] = [];
  const owner: SniOwner = {
    passthrough: () => null,
    terminate: (connection, early) => own.take(connection, early),
    refused: (_, reason) => refusals.push(reason),
  };
  const sni = { table: new SniTable({ "*": "terminate" }), timeoutMs: TIMEOUT_MS, wheel };
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) =>
    acceptProxied(
      connection,
      { required: true, timeoutMs: TIMEOUT_MS, wheel },
      { ready: (ready) => acceptBySni(ready, sni, owner), refused: (_, reason) => refusals.push(reason) },
    ),
  );
  closers.push(() => listener.stop());
  const header = writeProxyHeader("v2", { address: "203.0.113.7", port: 4711 }, { address: "198.51.100.1", port: 443 });
  for (const together of [true, false]) {
    const raw = connectTcp(listener.port, "127.0.0.1");
    closers.push(() => raw.destroy());
    if (!together) await new Promise<void>((resolve) => raw.write(header, () => resolve()));
    // With `together` the header goes in front of the first bytes that TLS writes.
    const duplex = together ? prefixed(raw, header) : raw;
    let text = "";
    const socket = connectTls({ socket: duplex, ca: ca.pem, servername: "localhost" });
    socket.on("error", (error) => {
      text += error.message;
    });
    socket.on("data", (chunk: Buffer) => {
      text += chunk.latin1Slice();
    });
    await until(() => text !== "", "an answer");
    expect(text).toBe("203.0.113.7 4711");
  }
  expect(refusals).toEqual([]);
});

/** A stream over `raw` that puts `first` in front of what is written first, in one piece. */
function prefixed(raw: Socket, first: Buffer): Duplex {
  let before: Buffer | null = first;
  const duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      raw.write(before === null ? chunk : Buffer.concat([before, chunk]), done);
      before = null;
    },
  });
  raw.on("data", (chunk: Buffer) => duplex.push(chunk));
  raw.on("end", () => duplex.push(null));
  return duplex;
}

test("hellos of real clients find their way", async () => {
  for (const { client, bytes, serverName: name } of CAPTURED) {
    const { outer, events } = rig({ "*": { passthrough: client } });
    send(outer, bytes);
    await settle();
    expect(events).toEqual([`to ${client} for ${name} from 127.0.0.1`, `data ${bytes.toString("hex")}`]);
  }
});
