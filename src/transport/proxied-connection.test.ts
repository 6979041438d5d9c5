import { afterEach, describe, expect, test } from "bun:test";
import { TimerWheel } from "../core/timers.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { type MemoryConnection, memoryPair } from "./memory-pair.ts";
import { acceptProxied } from "./proxied-connection.ts";
import { writeProxyHeader } from "./proxy-protocol.ts";
import { dial, listenOn, type SocketListener } from "./socket.ts";

const TIMEOUT_MS = 3000;
const SOURCE = { address: "203.0.113.7", port: 40_000 };
const DESTINATION = { address: "198.51.100.1", port: 443 };
const V1 = writeProxyHeader("v1", SOURCE, DESTINATION).latin1Slice();
const V2 = writeProxyHeader("v2", SOURCE, DESTINATION).latin1Slice();
const SEEN = "203.0.113.7 40000 > 198.51.100.1 443";
const REAL = "127.0.0.1 1 > 127.0.0.1 2";

/** The handler behind: what it saw, as one line. */
class Behind implements ConnectionHandler {
  readonly events: string[];
  constructor(events: string[], connection: Connection) {
    this.events = events;
    const { remoteAddress, remotePort, localAddress, localPort } = connection;
    events.push(`${remoteAddress} ${remotePort} > ${localAddress} ${localPort}`);
  }
  onData(chunk: Buffer): void {
    this.events.push(`data ${chunk.latin1Slice()}`);
  }
  onDrain(): void {}
  onEnd(): void {
    this.events.push("end");
  }
  onClose(): void {
    this.events.push("close");
  }
}

function rig(required: boolean, takes = true) {
  let now = 0;
  const wheel = new TimerWheel(() => now);
  const [outer, inner] = memoryPair();
  const events: string[] = [];
  inner.handler = acceptProxied(
    inner,
    { required, timeoutMs: TIMEOUT_MS, wheel },
    {
      ready: (connection) => (takes ? new Behind(events, connection) : null),
      refused: (connection, reason) => events.push(`${connection === inner ? "refused" : "?"}: ${reason}`),
    },
  );
  outer.handler = new Behind([], outer);
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      wheel.turn();
    }
  };
  return { outer, inner, events, pass };
}
/** Everything in memory happens in microtasks: once a macrotask comes, it has happened. */
const settle = (): Promise<void> => Bun.sleep(1);
const send = (to: MemoryConnection, text: string): void => {
  const bytes = Buffer.from(text, "latin1");
  to.send(bytes, 0, bytes.length, false);
};

const CASES: readonly (readonly [name: string, required: boolean, sent: string, want: readonly string[]])[] = [
  ["version 1", true, V1, [SEEN]],
  ["version 2", true, V2, [SEEN]],
  ["what follows comes first", true, `${V1}GET /`, [SEEN, "data GET /"]],
  ["UNKNOWN: the real peer", true, "PROXY UNKNOWN\r\nx", [REAL, "data x"]],
  ["LOCAL: the real peer", true, writeProxyHeader("v2", null, null).latin1Slice(), [REAL]],
  ["none", true, "GET /", ["refused: no PROXY header"]],
  ["none, and none required", false, "GET /", [REAL, "data GET /"]],
  ["none required, but one is there", false, `${V2}x`, [SEEN, "data x"]],
  ["a broken one", true, "PROXY TCP9\r\n", ["refused: PROXY header: neither TCP4, TCP6 nor UNKNOWN"]],
  [
    "a broken one, where none is required",
    false,
    "PROXY\x20TCP9\r\n",
    ["refused: PROXY header: neither TCP4, TCP6 nor UNKNOWN"],
  ],
];

for (const [name, required, sent, want] of CASES)
  test(`${name}, at once and byte by byte`, async () => {
    for (const size of [sent.length, 1]) {
      const { outer, events, inner } = rig(required);
      for (let at = 0; at < sent.length; at += size) {
        send(outer, sent.slice(at, at + size));
        await settle();
      }
      const data = events.filter((event) => event.startsWith("data ")).map((event) => event.slice(5));
      const others = events.filter((event) => !event.startsWith("data "));
      if (data.length > 0) others.push(`data ${data.join("")}`);
      expect(others).toEqual([...want]);
      expect(inner.closed).toBe(want[0]!.startsWith("refused"));
    }
  });

test("events after the header go to the handler behind", async () => {
  const { outer, events } = rig(true);
  send(outer, V1);
  await settle();
  send(outer, "hello");
  outer.end();
  await settle();
  expect(events).toEqual([SEEN, "data hello", "end"]);
  outer.destroy(true);
  await settle();
  expect(events.at(-1)).toBe("close");
});

test("header, bytes and end in one go", async () => {
  const { outer, events } = rig(true);
  send(outer, `${V1}hello`);
  outer.end();
  await settle();
  expect(events).toEqual([SEEN, "data hello", "end"]);
});

describe("the wait ends", () => {
  const WAITS: readonly (readonly [name: string, required: boolean, sent: string, want: readonly string[]])[] = [
    ["nothing was sent", true, "", [`refused: no PROXY header within ${TIMEOUT_MS} ms`]],
    ["half of one was sent", true, V1.slice(0, 20), [`refused: no PROXY header within ${TIMEOUT_MS} ms`]],
    ["nothing was sent, and none is required", false, "", [REAL]],
    ["it may yet be one, and none is required", false, "PRO", [REAL, "data PRO"]],
    [
      "half of one, where none is required",
      false,
      V1.slice(0, 20),
      [`refused: no PROXY header within ${TIMEOUT_MS} ms`],
    ],
  ];
  for (const [name, required, sent, want] of WAITS)
    test(name, async () => {
      const { outer, events, pass } = rig(required);
      if (sent !== "") send(outer, sent);
      await settle();
      pass(TIMEOUT_MS - 500);
      await settle();
      expect(events).toEqual([]);
      pass(1000);
      await settle();
      expect(events).toEqual([...want]);
    });

  test("but not for one that has come", async () => {
    const { outer, events, pass } = rig(true);
    send(outer, V1);
    await settle();
    pass(10 * TIMEOUT_MS);
    await settle();
    expect(events).toEqual([SEEN]);
  });
});

test("a peer that leaves before is told of once", async () => {
  for (const how of ["end", "reset"] as const) {
    const { outer, inner, events, pass } = rig(true);
    send(outer, V1.slice(0, 10));
    await settle();
    if (how === "end") outer.end();
    else outer.destroy(true);
    await settle();
    pass(2 * TIMEOUT_MS);
    outer.destroy();
    await settle();
    expect(events).toEqual(["refused: closed before the PROXY header"]);
    expect(inner.closed).toBe(true);
  }
});

test("a peer that ends without one, where none is required, is passed on with its end", async () => {
  const { outer, events } = rig(false);
  send(outer, "PRO");
  outer.end();
  await settle();
  expect(events).toEqual([REAL, "data PRO", "end"]);
});

test("a connection that is not taken is closed", async () => {
  const { outer, inner, events } = rig(true, false);
  send(outer, V1);
  await settle();
  expect(events).toEqual([]);
  expect(inner.closed).toBe(true);
});

describe("with sockets", () => {
  const wheel = new TimerWheel();
  let listener: SocketListener | null = null;
  afterEach(() => listener?.stop());

  test("the announced addresses take the place of the real ones", async () => {
    const got = Promise.withResolvers<string[]>();
    const events: string[] = [];
    const options = { required: true, timeoutMs: TIMEOUT_MS, wheel };
    const real: number[] = [];
    listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => {
      real.push(connection.remotePort, connection.localPort);
      return acceptProxied(connection, options, {
        ready: (same) => {
          const behind = new Behind(events, same);
          return Object.assign(behind, {
            onData(chunk: Buffer) {
              events.push(`data ${chunk.latin1Slice()}`);
              got.resolve([...events]);
              same.close();
            },
          });
        },
        refused: (_, reason) => got.reject(new Error(reason)),
      });
    });
    const client = await dial({ kind: "tcp", host: "127.0.0.1", port: listener.port }).promise;
    const bytes = Buffer.from(`${V2}hello`, "latin1");
    client.send(bytes, 0, bytes.length, false);
    expect(await got.promise).toEqual([SEEN, "data hello"]);
    expect(real).toEqual([client.localPort, listener.port]);
    client.destroy();
  });
});
