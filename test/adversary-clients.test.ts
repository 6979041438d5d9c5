// Clients that forge, flood and leave, and the shadows that follow their requests.
import { describe, expect, test } from "bun:test";
import { echo, start } from "./support/attacked.ts";
import type { UpstreamInput } from "./support/fleet.ts";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { proxyHasRead, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

describe("PROXY headers that are forged or broken", () => {
  const WHO = { routes: [{ respond: { body: "{ip}" } }] };
  const V2 = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
  const v2 = (command: number, transport: number, length: number, rest = new Uint8Array()): string =>
    Buffer.concat([V2, Buffer.from([command, transport, length >> 8, length & 255]), rest]).latin1Slice();
  const V1 = "PROXY TCP4 203.0.113.7 192.0.2.1 1000 80\r\n";
  const INET = Buffer.from([203, 0, 113, 7, 192, 0, 2, 1, 3, 232, 0, 80]);
  /** What is answered: an address, a status, or "" for a connection that is closed without a word. */
  const CASES: readonly (readonly [name: string, sent: string, said: string])[] = [
    ["v1", V1, "203.0.113.7"],
    ["header after header, v1", V1 + V1.replace(".7", ".8"), "400"],
    ["header after header, v2", V1 + v2(0x21, 0x11, 12, INET), "400"],
    ["v2", v2(0x21, 0x11, 12, INET), "203.0.113.7"],
    ["LOCAL", v2(0x20, 0, 0), "127.0.0.1"],
    ["LOCAL with addresses", v2(0x20, 0x11, 12, INET), "127.0.0.1"],
    ["UNKNOWN with addresses", "PROXY UNKNOWN 203.0.113.7 192.0.2.1 1 2\r\n", "127.0.0.1"],
    ["huge length", v2(0x21, 0x11, 65_535, Buffer.alloc(3000)), ""],
    ["huge length, LOCAL", v2(0x20, 0, 65_535, Buffer.alloc(3000)), ""],
    ["length too short", v2(0x21, 0x11, 11, INET.subarray(1)), ""],
    ["another version", v2(0x11, 0x11, 12, INET), ""],
    ["an endless line", `PROXY TCP4 ${"1".repeat(300)}`, ""],
    ["lower case", V1.toLowerCase(), ""],
    ["leading zeros", V1.replace("203.0.113.7", "203.0.113.07"), ""],
    ["IPv6 as TCP4", V1.replace("203.0.113.7", "::1"), ""],
    ["a request first", "GET / HTTP/1.1\r\n", ""],
  ];
  for (const whole of [true, false])
    test(whole ? "in one piece" : "byte by byte", async () => {
      await using proxy = await startProxy({
        ...WHO,
        listener: { proxyProtocol: { trusted: ["127.0.0.1"], timeout: "1s" } },
      });
      for (const [name, sent, said] of CASES) {
        await using client = await Peer.connect(proxy.port);
        if (whole) client.send(sent + request("/"));
        else {
          for (const byte of sent.slice(0, 130)) {
            client.send(byte);
            await Bun.sleep(0);
          }
          if (sent.length <= 130) client.send(request("/"));
        }
        await client.when(() => client.ended || client.peek().includes("\r\n\r\n"), name);
        const came = client.peek() === "" ? null : await client.response();
        expect([name, came === null ? "" : came.status === 200 ? came.body : String(came.status)]).toEqual([
          name,
          said,
        ]);
      }
    });

  test("an announced address is trusted no more than a real one", async () => {
    await using app = await RawBackend.answering((got) => answer(200, got.field("x-forwarded-for") ?? ""));
    await using proxy = await start(
      [app],
      {},
      {},
      {
        listener: { proxyProtocol: { trusted: ["127.0.0.1"] } },
        trustedProxies: ["127.0.0.1"],
      },
    );
    const forged = ["X-Forwarded-For: 1.2.3.4"];
    expect((await exchange(proxy.port, V1 + request("/", forged))).body).toBe("203.0.113.7");
  });
});

test("a connection that announces one client carries nobody else's request", async () => {
  await using app = await RawBackend.start(async (peer, self) => {
    const line = await peer.through("\r\n");
    for (;;) {
      const got = await peer.request();
      self.requests.push(got);
      peer.send(got.target === "/bad" ? answer(503, line) : answer(200, line.split(" ")[2]));
    }
  });
  await using bad = await RawBackend.start(async (peer) => {
    await peer.through("\r\n");
    await peer.request();
    peer.send(answer(503, "busy"));
    await peer.end();
  });
  await using proxy = await start([bad, app], { proxyProtocol: "v1", retry: { budget: "100%" } });
  const ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
  const clients = await Promise.all(ADDRESSES.map((address) => Peer.connect(proxy.port, address)));
  for (let i = 0; i < 10; i += 1)
    for (const [at, client] of clients.entries()) {
      client.send(request("/") + request("/"));
      for (let each = 0; each < 2; each += 1) expect((await client.response()).body).toBe(ADDRESSES[at]!);
    }
  for (const client of clients) client.close();
  expect(app.peers.length).toBe(60);
});

describe("cookies", () => {
  const one = async (stack: AsyncDisposableStack, sticky: NonNullable<UpstreamInput["sticky"]>, count = 3) => {
    const servers: RawBackend[] = [];
    for (let i = 0; i < count; i += 1)
      servers.push(stack.use(await RawBackend.answering(() => answer(200, String(i)))));
    const upstream = { servers: servers.map(({ url }) => url), sticky };
    return stack.use(
      await startProxy({
        upstreams: { app: upstream, twin: upstream },
        routes: [{ match: { path: "/twin" }, to: "twin" }, { to: "app" }],
        listener: { limits: { headers: "64KB", fields: 1000 } },
      }),
    );
  };
  test("forged, doubled, huge and thousands of them", async () => {
    await using stack = new AsyncDisposableStack();
    const proxy = await one(stack, { cookie: "s", ttl: "1h", secret: "a secret of some length" });
    const first = await exchange(proxy.port, request("/"));
    const good = first.field("set-cookie")!.split(";")[0]!;
    const token = good.slice(2, 18);
    const now = Math.floor(Date.now() / 1000);
    /** Whether the client is kept, and whether its cookie is set again. */
    const CASES: readonly (readonly [
      name: string,
      cookies: string | readonly string[],
      kept: boolean,
      again: boolean,
    ])[] = [
      ["as given", good, true, false],
      ["quoted", `s="${good.slice(2)}"`, false, true],
      ["cut", good.slice(0, -8), false, true],
      ["longer", `${good}0000000`, false, true],
      ["from the far future", `s=${token}.zzzzzzz`, true, true],
      ["too large a time", `s=${token}.zzzzzzzz`, false, true],
      ["negative", `s=${token}.-1`, false, true],
      ["without a time", `s=${token}`, false, true],
      ["at its end", `s=${token}.${(now - 3590).toString(36)}`, true, true],
      ["over", `s=${token}.${(now - 3700).toString(36)}`, false, true],
      ["upper case", `s=${token.toUpperCase()}.${now.toString(36)}`, false, true],
      ["a bad one before", `s=${"x".repeat(16)}.1; ${good}`, true, false],
      ["another name's", `xs=${good.slice(2)}; s-=${good.slice(2)}`, false, true],
      ["thousands before", `${"s=; ".repeat(8000)}${good}`, true, false],
      ["thousands of fields", [...Array(900).fill("s=x"), good], true, false],
      ["blanks", `${"s ".repeat(15_000)}; ${good}`, true, false],
      ["a huge value", `s=${"A".repeat(60_000)}`, false, true],
      ["bytes", `s=\xff\xfe${good}`, false, true],
    ];
    for (const [name, cookies, kept, again] of CASES) {
      const fields = (typeof cookies === "string" ? [cookies] : cookies).map((each) => `Cookie: ${each}`);
      let stayed = 0;
      let set = false;
      const ms = await timed(async () => {
        for (let i = 0; i < 6; i += 1) {
          const came = await exchange(proxy.port, request("/", fields));
          expect([name, came.status]).toEqual([name, 200]);
          if (came.body === first.body) stayed += 1;
          set = came.field("set-cookie") !== null;
        }
      });
      expect([name, stayed === 6, set]).toEqual([name, kept, again]);
      expect(ms).toBeLessThan(1000);
    }
    const twin = await exchange(proxy.port, request("/twin", [`Cookie: ${good}`]));
    expect(twin.field("set-cookie")).not.toBeNull();
  });
});

describe("hash keys", () => {
  for (const hash of ["header:x-key", "cookie:k", "query:k", "path", "url"])
    test(`${hash}: missing, empty, huge and many`, async () => {
      await using a = await echo();
      await using b = await echo();
      await using proxy = await start(
        [a, b],
        { balance: { hash } },
        {},
        { listener: { limits: { headers: "64KB", fields: 1000, requestLine: "64KB" } } },
      );
      const long = "x".repeat(30_000);
      const CASES: readonly (readonly [target: string, fields: readonly string[]])[] = [
        ["/", []],
        ["/", ["X-Key:", "Cookie: k="]],
        [`/${long}`, [`X-Key: ${long}`]],
        ["/?k=", [`Cookie: k=${long}`]],
        [`/?${"k=1&".repeat(7000)}`, Array(900).fill("X-Key: 1")],
        [`/?k=${"%41".repeat(7000)}`, Array(900).fill("Cookie: k=1")],
        ["/?k=%zz%", ["X-Key: \xff\xfe"]],
      ];
      for (const [target, fields] of CASES) {
        const before = [a.requests.length, b.requests.length];
        const ms = await timed(async () => {
          for (let i = 0; i < 4; i += 1) expect((await exchange(proxy.port, request(target, fields))).status).toBe(200);
        });
        expect(ms).toBeLessThan(1000);
        const grown = [a.requests.length - before[0]!, b.requests.length - before[1]!].sort();
        expect(grown).toEqual([0, 4]);
      }
    });
});

describe("a shadow", () => {
  test("that never ends its answers, or dribbles, slows nobody down, and is let go", async () => {
    await using app = await echo();
    for (const endless of [true, false]) {
      await using shadow = await RawBackend.start(async (peer, self) => {
        self.requests.push(await peer.request());
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (!peer.ended) {
          peer.send(chunks(endless ? "x".repeat(60_000) : "x"));
          await Bun.sleep(endless ? 0 : 20);
        }
        peer.close();
      });
      await using proxy = await start(
        [app],
        {},
        { mirror: { to: "shadow" } },
        { upstreams: { shadow: { servers: [shadow.url], timeouts: { response: "500ms" } } } },
      );
      expect(
        await timed(async () => {
          for (let i = 0; i < 20; i += 1) expect((await exchange(proxy.port, request("/"))).status).toBe(200);
        }),
      ).toBeLessThan(2000);
      await shadow.received(20);
      await until(() => shadow.peers.every(({ ended }) => ended), "the end of all copies", 4000);
    }
  });

  test("gets nothing of a body whose client leaves, and no whole one", async () => {
    await using app = await RawBackend.answering((got) => answer(200, String(got.body.length)));
    await using shadow = await RawBackend.start(async (peer) => {
      await peer.head();
      await peer.end();
    });
    await using proxy = await start([app], {}, { mirror: { to: shadow.url } });
    for (const framing of ["Content-Length: 100000", "Transfer-Encoding: chunked"]) {
      const count = shadow.peers.length;
      await using client = await Peer.connect(proxy.port);
      client.send(request("/", [framing], "PUT") + (framing.startsWith("T") ? chunks("half") : "half"));
      const copy = await shadow.peer(count);
      await copy.when(() => copy.peek().includes("half"), "the half");
      client.reset();
      await copy.end();
      expect(copy.peek()).not.toContain("0\r\n\r\n");
    }
    expect(app.requests.length).toBe(0);
  });
});

describe("limits.rate", () => {
  test("answers without content, tunnels and clients that do not read", async () => {
    await using app = await RawBackend.answering(async (got, peer) => {
      if (got.target === "/204") return "HTTP/1.1 204 No\r\n\r\n";
      if (got.field("upgrade") === null) return answer(200, got.method === "HEAD" ? "" : "x".repeat(40_000));
      peer.send("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
      peer.send(`tunnel ${"x".repeat(50_000)} end`);
      await peer.end();
      return null;
    });
    await using proxy = await start([app], {}, { limits: { rate: "10KB/s" } });
    expect(
      await timed(async () => {
        await using client = await Peer.connect(proxy.port);
        for (let i = 0; i < 30; i += 1) {
          client.send(request("/204")).send(request("/", [], "HEAD"));
          expect((await client.response()).status).toBe(204);
          expect((await client.response("HEAD")).status).toBe(200);
        }
        await using tunnel = await Peer.connect(proxy.port);
        tunnel.send(request("/", ["Connection: upgrade", "Upgrade: x"]));
        await tunnel.through("end");
      }),
    ).toBeLessThan(1500);
    // Held back and gone: nothing hangs, and its place is free.
    for (let i = 0; i < 5; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.send(request("/"));
      await client.through("xxx");
      client.reset();
    }
    await until(() => app.peers.every((peer) => peer.ended || peer.peek() === ""), "rest");
    expect((await exchange(proxy.port, request("/204"))).status).toBe(204);
  });
});

test("upstreams that fail over to one another in a circle are refused", async () => {
  const servers = ["127.0.0.1:1"];
  const upstreams = { a: { servers, failover: "b" }, b: { servers, failover: "c" }, c: { servers, failover: "a" } };
  const starting = startProxy({ upstreams, routes: [{ to: "a" }] });
  await expect(starting).rejects.toThrow("fail over to itself");
});

test("hundreds who wait and leave are gone", async () => {
  let gate = Promise.withResolvers<void>();
  await using app = await RawBackend.answering(async (got) => {
    if (got.target === "/held") await gate.promise;
    return answer(200, got.target);
  });
  await using proxy = await start([app], { limits: { connections: 1, queue: 10_000, queueTimeout: "60s" } });
  for (let round = 0; round < 3; round += 1) {
    gate = Promise.withResolvers<void>();
    await using first = await Peer.connect(proxy.port);
    first.send(request("/held"));
    await app.received(round * 2 + 1);
    const crowd = await Promise.all(Array.from({ length: 300 }, () => Peer.connect(proxy.port)));
    for (const client of crowd) client.send(request("/crowd", ["Priority: u=0"]));
    await proxyHasRead(proxy.port);
    for (const client of crowd) client.reset();
    await proxyHasRead(proxy.port);
    const mine = exchange(proxy.port, request("/mine"));
    await proxyHasRead(proxy.port);
    gate.resolve();
    expect((await mine).body).toBe("/mine");
    expect((await first.response()).status).toBe(200);
  }
  expect(app.requests.filter(({ target }) => target === "/crowd")).toEqual([]);
});

test("a copy whose request still waits goes with the client", async () => {
  await using app = await RawBackend.answering(() => null);
  await using shadow = await RawBackend.start(async (peer, self) => {
    self.requests.push(await peer.head());
    await peer.end();
  });
  const limits = { connections: 1, queueTimeout: "7s" };
  await using proxy = await start([app], { limits }, { mirror: { to: shadow.url } });
  await using first = await Peer.connect(proxy.port);
  first.send(request("/first"));
  await app.received(1);
  await using second = await Peer.connect(proxy.port);
  second.send(request("/second", ["Content-Length: 10"], "POST"));
  await shadow.received(2);
  second.reset();
  await shadow.peers[1]!.end(3000);
});
