// A second server is asked while the first one thinks: who is heard, who is given up, and what is left of it.
import { describe, expect, test } from "bun:test";
import type { UpstreamInput } from "./support/fleet.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

/** The first server asked is always the first in the list, as long as it has room. */
const start = (servers: readonly (RawBackend | string)[], app: UpstreamInput = {}, route = {}): Promise<TestProxy> =>
  startProxy({
    upstreams: {
      app: {
        servers: servers.map((each, i) => ({
          url: typeof each === "string" ? each : each.url,
          zone: i === 0 ? "first" : "then",
        })),
        preferZone: "first",
        outlier: false,
        hedge: { after: "50ms" },
        ...app,
      },
    },
    routes: [{ to: "app", ...route }],
  });

/** Answers once it is let go, and says whether its connection was closed meanwhile. */
class Slow {
  go = Promise.withResolvers<void>();
  readonly text: string;
  constructor(text = answer(200, "slow")) {
    this.text = text;
  }
  readonly serve = async (): Promise<string> => {
    await this.go.promise;
    return this.text;
  };
}
const fast = (text = answer(200, "fast")): Promise<RawBackend> => RawBackend.answering(() => text);

const NARROW: UpstreamInput = { limits: { connections: 1, queue: 0 } };

test("the first to answer is heard; the other's connection is closed", async () => {
  const slow = new Slow();
  await using a = await RawBackend.answering(slow.serve);
  await using b = await fast();
  await using proxy = await start([a, b]);
  await using client = await Peer.connect(proxy.port);
  for (let i = 0; i < 3; i += 1) {
    expect((await client.send(request("/")).response()).body).toBe("fast");
    await until(() => a.peers[i]?.ended === true, "the slow server's connection to be closed");
  }
  slow.go.resolve();
  expect([a.requests.length, b.requests.length]).toEqual([3, 3]);
});

test("the first server is heard when it answers first after all", async () => {
  const [slow, slower] = [new Slow(), new Slow(answer(200, "slower"))];
  await using a = await RawBackend.answering(slow.serve);
  await using b = await RawBackend.answering(slower.serve);
  await using proxy = await start([a, b]);
  const came = exchange(proxy.port, request("/"));
  await b.received(1);
  slow.go.resolve();
  expect((await came).body).toBe("slow");
  await until(() => b.peers[0]!.ended, "the rival's connection to be closed");
});

test("a server that answers in time is the only one asked", async () => {
  await using a = await fast(answer(200, "a"));
  await using b = await fast();
  await using proxy = await start([a, b], { hedge: { after: "100ms" } });
  for (let i = 0; i < 5; i += 1) expect((await exchange(proxy.port, request("/"))).body).toBe("a");
  await Bun.sleep(150);
  expect(b.requests.length).toBe(0);
});

describe("what is asked of one server only", () => {
  const CASES: readonly (readonly [string, string, readonly string[], string, UpstreamInput, object])[] = [
    ["POST", "POST", [], "", {}, {}],
    ["PUT", "PUT", [], "body", {}, {}],
    ["GET with a body", "GET", [], "body", {}, {}],
    ["an upgrade", "GET", ["Connection: Upgrade", "Upgrade: x"], "", {}, {}],
    ["where the route does not want it", "GET", [], "", {}, { hedge: false }],
  ];
  for (const [name, method, fields, body, app, route] of CASES)
    test(name, async () => {
      const slow = new Slow();
      await using a = await RawBackend.answering(slow.serve);
      await using b = await fast();
      await using proxy = await start([a, b], app, route);
      const came = exchange(proxy.port, request("/", fields, method, body));
      await a.received(1);
      await Bun.sleep(150);
      slow.go.resolve();
      expect((await came).body).toBe("slow");
      expect(b.requests.length).toBe(0);
    });

  test("a request of a client that belongs to a server", async () => {
    let hold: Promise<void> = Promise.resolve();
    await using a = await RawBackend.answering(async () => {
      await hold;
      return answer(200, "a");
    });
    await using b = await fast();
    await using proxy = await start([a, b], { sticky: { cookie: "srv" } });
    const first = await exchange(proxy.port, request("/"));
    const cookie = first.field("set-cookie")!.split(";")[0]!;
    const held = Promise.withResolvers<void>();
    hold = held.promise;
    const came = exchange(proxy.port, request("/", [`Cookie: ${cookie}`]));
    await a.received(2);
    await Bun.sleep(150);
    held.resolve();
    expect([(await came).body, b.requests.length]).toEqual(["a", 0]);
  });
});

test("HEAD and OPTIONS too; a hedge without retries of the upstream's own", async () => {
  const slow = new Slow();
  await using a = await RawBackend.answering(slow.serve);
  await using b = await fast("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-From: b\r\n\r\n");
  await using proxy = await start([a, b], { retry: false });
  for (const method of ["HEAD", "OPTIONS"])
    expect((await exchange(proxy.port, request("/", [], method))).field("x-from")).toBe("b");
  slow.go.resolve();
});

describe("who fails is not heard while the other may still answer", () => {
  const FAILURES: readonly (readonly [string, (peer: Peer) => string | null])[] = [
    [
      "a reset",
      (peer) => {
        peer.reset();
        return null;
      },
    ],
    ["503", () => answer(503, "failed")],
    ["503 with a long body", () => answer(503, "x".repeat(200_000))],
    ["nonsense", () => "nonsense\r\n\r\n"],
    ["a 101 that nobody asked for", () => "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"],
  ];
  for (const [name, fail] of FAILURES) {
    test(`the rival: ${name}`, async () => {
      const slow = new Slow();
      await using a = await RawBackend.answering(slow.serve);
      await using b = await RawBackend.answering((_, peer) => fail(peer));
      await using proxy = await start([a, b], NARROW);
      for (let i = 1; i <= 3; i += 1) {
        const came = exchange(proxy.port, request("/"));
        await b.received(i);
        slow.go.resolve();
        expect((await came).body).toBe("slow");
        slow.go = Promise.withResolvers<void>();
      }
    });

    test(`the first: ${name}`, async () => {
      const slow = new Slow(answer(200, "rival"));
      const failing = Promise.withResolvers<void>();
      await using a = await RawBackend.answering(async (_, peer) => {
        await failing.promise;
        return fail(peer);
      });
      await using b = await RawBackend.answering(slow.serve);
      await using proxy = await start([a, b], NARROW);
      const came = exchange(proxy.port, request("/"));
      await b.received(1);
      failing.resolve();
      await Bun.sleep(30);
      slow.go.resolve();
      const { status, body } = await came;
      // Nothing follows a protocol that was switched to.
      if (name.startsWith("a 101")) expect(status).toBe(502);
      else expect([status, body]).toEqual([200, "rival"]);
    });
  }

  test("both: a third server is asked", async () => {
    const held = Promise.withResolvers<void>();
    const failing = async (_: unknown, peer: Peer): Promise<null> => {
      await held.promise;
      peer.reset();
      return null;
    };
    await using a = await RawBackend.answering(failing);
    await using b = await RawBackend.answering(failing);
    await using c = await RawBackend.answering(async () => {
      await held.promise;
      return answer(200, "third");
    });
    await using proxy = await start([a, b, c]);
    const came = exchange(proxy.port, request("/"));
    await until(() => b.requests.length + c.requests.length > 0, "a rival");
    held.resolve();
    expect((await came).body).toBe("third");
  });

  test("both, and there is no third", async () => {
    const held = Promise.withResolvers<void>();
    const failing = async (): Promise<string> => {
      await held.promise;
      return answer(503, "failed");
    };
    await using a = await RawBackend.answering(failing);
    await using b = await RawBackend.answering(failing);
    await using proxy = await start([a, b], NARROW);
    const came = exchange(proxy.port, request("/"));
    await b.received(1);
    held.resolve();
    expect((await came).status).toBeGreaterThanOrEqual(502);
    expect([a.requests.length, b.requests.length]).toEqual([1, 1]);
    // Both have room again.
    const again = await exchange(proxy.port, request("/"));
    expect([again.body, a.requests.length, b.requests.length]).toEqual(["failed", 2, 2]);
  });
});

test("a rival that cannot be reached harms nobody", async () => {
  const slow = new Slow();
  await using a = await RawBackend.answering(slow.serve);
  await using proxy = await start([a, `127.0.0.1:${await refusingPort()}`], NARROW);
  for (let i = 1; i <= 2; i += 1) {
    const came = exchange(proxy.port, request("/"));
    await a.received(i);
    await Bun.sleep(120);
    slow.go.resolve();
    expect((await came).body).toBe("slow");
  }
});

test("no server with room for a rival: the first one is waited for", async () => {
  const slow = new Slow();
  await using a = await RawBackend.answering(slow.serve);
  await using b = await RawBackend.answering(slow.serve);
  await using proxy = await start([a, b], NARROW);
  const both = [exchange(proxy.port, request("/1")), exchange(proxy.port, request("/2"))];
  await until(() => a.requests.length + b.requests.length === 2, "both requests");
  await Bun.sleep(120);
  slow.go.resolve();
  expect((await Promise.all(both)).map(({ body }) => body)).toEqual(["slow", "slow"]);
});

test("a client that leaves: both servers have room again", async () => {
  const slow = new Slow();
  await using a = await RawBackend.answering(slow.serve);
  await using b = await RawBackend.answering(slow.serve);
  await using proxy = await start([a, b], NARROW);
  for (let i = 1; i <= 3; i += 1) {
    await using client = await Peer.connect(proxy.port);
    client.send(request("/"));
    await until(() => a.requests.length >= i && b.requests.length >= i, "both servers to be asked");
    client.reset();
    await until(() => a.peers[i - 1]!.ended && b.peers[i - 1]!.ended, "both connections to be closed");
  }
  slow.go.resolve();
  const both = await Promise.all([exchange(proxy.port, request("/")), exchange(proxy.port, request("/"))]);
  expect(both.map(({ status }) => status)).toEqual([200, 200]);
});

test("a total time ends a rival's as well", async () => {
  await using a = await RawBackend.answering(() => null);
  await using b = await RawBackend.answering(() => null);
  await using proxy = await start([a, b], { timeouts: { total: "500ms", response: "30s" } });
  const ms = await timed(async () => expect((await exchange(proxy.port, request("/"))).status).toBe(504));
  expect(ms).toBeLessThan(2000);
  expect([a.requests.length, b.requests.length]).toEqual([1, 1]);
});

test("a large answer of a rival comes whole, also to a client that reads slowly", async () => {
  const body = "0123456789".repeat(500_000);
  await using a = await RawBackend.answering(() => null);
  await using b = await fast(answer(200, body));
  await using proxy = await start([a, b]);
  await using client = await Peer.connect(proxy.port);
  client.send(request("/"));
  client.socket.pause();
  await b.received(1);
  await Bun.sleep(100);
  client.socket.resume();
  expect((await client.response()).body === body).toBe(true);
});

test("the budget bounds how many more are asked", async () => {
  const slow = new Slow();
  await using a = await RawBackend.answering(slow.serve);
  await using b = await RawBackend.answering(() => null);
  await using proxy = await start([a, b], { retry: { budget: "0%" }, hedge: { after: "10ms" } });
  const all = Array.from({ length: 40 }, () => exchange(proxy.port, request("/")));
  await a.received(40);
  await Bun.sleep(150);
  expect(b.requests.length).toBeGreaterThanOrEqual(8);
  expect(b.requests.length).toBeLessThanOrEqual(13); // ten, and three for each second
  slow.go.resolve();
  for (const { body } of await Promise.all(all)) expect(body).toBe("slow");
});
