// Servers that try to break a request that is tried again: what is sent twice, and what comes too late.
import { describe, expect, test } from "bun:test";
import { echo, start } from "./support/attacked.ts";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { proxyHasRead } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

/** Fails its first request in a way that can be chosen and keeps it; answers all others with their target. */
const failsFirst = (fail: (peer: Peer) => void): Promise<RawBackend> => {
  let failed = false;
  return RawBackend.answering((got, peer) => {
    if (failed) return answer(200, got.target);
    failed = true;
    fail(peer);
    return null;
  });
};

const show = ({ first, fields, body, trailers }: Message) => ({
  first,
  fields: fields.filter(([name]) => name.toLowerCase() !== "via").concat(fields.filter(([name]) => name === "Via")),
  body,
  trailers,
});

describe("a request that is written twice is the same twice", () => {
  const EDITS = {
    requestHeaders: { set: { "x-set": "1" }, add: { "x-add": "{path}" }, remove: ["x-gone", "x-forwarded-for"] },
  };
  const TRAILERS = [
    "TE: trailers",
    "Trailer: X-Sum",
    "Connection: TE, X-Hop",
    "X-Hop: 1",
    "X-Gone: 1",
    "X-Forwarded-For: 1.2.3.4",
  ];
  const CHUNKED = `${chunks("one", "two")}0\r\nX-Sum: 6\r\n\r\n`;
  const CASES: readonly (readonly [name: string, text: string])[] = [
    ["GET", request("/a?b", ["X-Gone: 1", "Connection: x-hop", "X-Hop: 1"])],
    ["PUT with a length", request("/a", TRAILERS, "PUT", "body")],
    ["PUT in chunks with trailers", request("/a", [...TRAILERS, "Transfer-Encoding: chunked"], "PUT") + CHUNKED],
    ["absolute target", request("http://app.example/a", TRAILERS, "PUT", "body")],
    ["Expect without a body", request("/a", ["Expect: 100-continue"])],
    [
      "POST with a key",
      request("/a", ["Idempotency-Key: 1", "Connection: idempotency-key"], "POST", "x".repeat(60_000)),
    ],
  ];
  const FAILURES: readonly (readonly [name: string, fail: (peer: Peer) => void])[] = [
    ["reset", (peer) => peer.reset()],
    ["503", (peer) => peer.send(answer(503, "busy"))],
    ["103 and the end", (peer) => peer.send("HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n").finish()],
    ["nonsense", (peer) => peer.send("HTTP/1.1 2000 OK\r\n\r\n")],
  ];
  for (const [plain, route] of [
    ["plain", {}],
    ["edited", EDITS],
  ] as const)
    for (const trusted of [false, true])
      for (const [name, text] of CASES)
        test(`${name}, ${plain}${trusted ? ", of a trusted peer" : ""}`, async () => {
          for (const [, fail] of FAILURES) {
            await using bad = await failsFirst(fail);
            await using good = await echo();
            await using proxy = await start([bad, good], {}, route, trusted ? { trustedProxies: ["127.0.0.1"] } : {});
            await using client = await Peer.connect(proxy.port);
            client.send(text);
            let came = await client.response();
            if (came.status === 103) came = await client.response();
            expect(came.status).toBe(200);
            const [once, again] = [bad.requests[0]!, good.requests[0]!];
            expect(show(again)).toEqual(show(once));
            const names = again.fields.map(([each]) => each.toLowerCase());
            for (const single of ["x-forwarded-for", "via", "host", "x-request-id", "content-length", "te"])
              expect([single, names.filter((each) => each === single).length <= 1]).toEqual([single, true]);
            expect(names).not.toContain("x-hop");
            // The client's connection is where it should be.
            client.send(request("/next"));
            expect((await client.response()).body).toBe("/next");
          }
        });
});

describe("a body that comes while nobody is connected", () => {
  for (const chunked of [false, true])
    test(`is sent whole, ${chunked ? "in chunks" : "with a length"}`, async () => {
      await using bad = await RawBackend.start(async (peer) => {
        const head = await peer.head();
        if (head.method === "PUT") await peer.when(() => peer.peek().includes("first"), "the first piece");
        peer.reset();
      });
      const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      await using good = await RawBackend.answering(async (got) => {
        await gates[good.requests.length - 1]?.promise;
        return answer(200, got.body);
      });
      await using proxy = await start([good, bad], {
        limits: { connections: 1, queueTimeout: "8s" },
        retry: { body: "1KB" },
      });
      await using other = await Peer.connect(proxy.port);
      other.send(request("/other"));
      await good.received(1);
      const before = bad.peers.length;
      await using client = await Peer.connect(proxy.port);
      const rest = "x".repeat(Number(process.env.N ?? 3_000_000));
      const wrap = (text: string) => (chunked ? chunks(text) : text);
      const framing = chunked ? "Transfer-Encoding: chunked" : `Content-Length: ${rest.length + 5}`;
      client.send(request("/put", [framing], "PUT") + wrap("first"));
      await until(() => bad.peers.length > before && bad.peers.at(-1)!.ended, "the first try");
      await proxyHasRead(proxy.port);
      client.send(wrap(rest) + (chunked ? "0\r\n\r\n" : ""));
      client.send(request("/behind"));
      await proxyHasRead(proxy.port);
      gates[0]!.resolve();
      gates[1]!.resolve();
      expect((await client.response()).body === `first${rest}`).toBe(true);
      expect((await client.response()).status).toBe(200);
      expect(good.requests.map(({ target }) => target)).toEqual(["/other", "/put", "/behind"]);
    });

  test("and whose client leaves, takes nobody's place", async () => {
    await using bad = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.reset();
    });
    const gate = Promise.withResolvers<void>();
    await using good = await RawBackend.answering(async (got) => {
      if (got.target === "/other") await gate.promise;
      return answer(200, got.target);
    });
    await using proxy = await start([good, bad], { limits: { connections: 1, queue: 1, queueTimeout: "8s" } });
    await using other = await Peer.connect(proxy.port);
    other.send(request("/other"));
    await good.received(1);
    for (let i = 0; i < 5; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.send(`${request(`/put${i}`, ["Content-Length: 1000"], "PUT")}x`);
      await (await bad.peer(i)).end();
      await proxyHasRead(proxy.port);
      client.reset();
      await proxyHasRead(proxy.port);
    }
    gate.resolve();
    expect((await other.response()).body).toBe("/other");
    expect((await exchange(proxy.port, request("/last"))).body).toMatch("/last");
    expect(good.requests.map(({ target }) => target)).toEqual(["/other", "/last"]);
  });
});

describe("what a first server says too late or too long reaches nobody", () => {
  const head = (rest: string) => `HTTP/1.1 503 No\r\n${rest}`;
  const POISON = answer(200, "poison");
  const CASES: readonly (readonly [name: string, say: (peer: Peer) => void | Promise<void>])[] = [
    ["a huge length", (peer) => void peer.send(head("Content-Length: 10000000\r\n\r\n")).send("x".repeat(100_000))],
    ["a small length, and nothing", (peer) => void peer.send(head("Content-Length: 10\r\n\r\n"))],
    ["a length, and more", (peer) => void peer.send(answer(503, "busy") + POISON)],
    ["no body, and more", (peer) => void peer.send(answer(503) + POISON)],
    [
      "a body that comes late, and more",
      async (peer) => {
        peer.send(head("Content-Length: 4\r\n\r\n"));
        await Bun.sleep(20);
        peer.send(`busy${POISON}`);
      },
    ],
    ["garbage behind the head", (peer) => void peer.send(`${head("Content-Length: 0\r\n\r\n")}\0\x01garbage`)],
    [
      "chunks, and more",
      (peer) => void peer.send(`${head("Transfer-Encoding: chunked\r\n\r\n")}${chunks("busy")}0\r\n\r\n${POISON}`),
    ],
    ["broken chunks", (peer) => void peer.send(`${head("Transfer-Encoding: chunked\r\n\r\n")}zz\r\n${POISON}`)],
    [
      "endless chunks",
      async (peer) => {
        peer.send(head("Transfer-Encoding: chunked\r\n\r\n"));
        for (let i = 0; i < 500 && !peer.closed; i += 1) {
          peer.send(chunks(POISON.repeat(20)));
          await Bun.sleep(0);
        }
      },
    ],
    [
      "until the end",
      async (peer) => {
        peer.send(head("\r\n") + POISON);
        await Bun.sleep(5);
        peer.send(POISON).finish();
      },
    ],
    ["1xx behind it", (peer) => void peer.send(`${answer(503, "busy")}HTTP/1.1 103 Early\r\n\r\n`)],
    ["101", (peer) => void peer.send(`HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n${POISON}`)],
    [
      "silence, and an answer much later",
      async (peer) => {
        await Bun.sleep(350);
        peer.send(POISON);
      },
    ],
  ];
  for (const [name, say] of CASES)
    test(name, async () => {
      let failed = 0;
      await using bad = await RawBackend.answering(async (got, peer) => {
        if (failed > 4) return answer(200, got.target);
        failed += 1;
        await say(peer);
        return null;
      });
      await using good = await echo();
      await using proxy = await start([bad, good], { retry: { perTry: "200ms" }, limits: { connections: 3 } });
      const clients = await Promise.all([Peer.connect(proxy.port), Peer.connect(proxy.port)]);
      for (let i = 0; i < 24; i += 1) {
        const client = clients[i % 2]!;
        client.send(request(`/${i}`) + request(`/${i}-pipelined`));
        for (const target of [`/${i}`, `/${i}-pipelined`]) {
          const came = await client.response();
          if (name === "101" && came.status === 502) {
            client.close();
            clients[i % 2] = await Peer.connect(proxy.port);
            break;
          }
          expect([came.status, came.body]).toEqual([200, target]);
        }
      }
      for (const client of clients) client.close();
      expect(failed).toBeGreaterThan(0);
    });
});

describe("Expect: 100-continue and a second try", () => {
  const EXPECTS = ["Expect: 100-continue", "Content-Length: 4"];
  const CASES: readonly (readonly [name: string, fail: (peer: Peer) => void | Promise<void>, told: boolean])[] = [
    ["a server that refuses before the body", (peer) => void peer.send(answer(503, "busy")), false],
    ["a server that dies before the body", (peer) => peer.reset(), false],
    [
      "a server that asks for the body, and dies",
      async (peer) => {
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        await peer.bytes(4);
        peer.reset();
      },
      true,
    ],
    [
      "a server that asks, gets the body, and refuses",
      async (peer) => {
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        await peer.bytes(4);
        peer.send(answer(503, "busy")).finish();
      },
      true,
    ],
  ];
  for (const [name, fail, told] of CASES)
    test(name, async () => {
      await using bad = await RawBackend.start(async (peer) => {
        const head = await peer.head();
        if (head.method === "PUT") await fail(peer);
        else peer.reset();
        await peer.end();
      });
      await using good = await RawBackend.start(async (peer) => {
        for (;;) {
          const head = await peer.head();
          if (head.field("expect") !== null && peer.peek() === "") peer.send("HTTP/1.1 100 Continue\r\n\r\n");
          peer.send(answer(200, head.method === "PUT" ? await peer.bytes(4) : head.target));
        }
      });
      await using proxy = await start([bad, good]);
      await using client = await Peer.connect(proxy.port);
      client.send(request("/", EXPECTS, "PUT"));
      expect((await client.response()).status).toBe(100);
      client.send("body").send(request("/next"));
      let came = await client.response();
      if (told && came.status === 100) came = await client.response();
      expect([came.status, came.body]).toEqual([200, "body"]);
      expect((await client.response()).body).toBe("/next");
    });
});

describe("a server that answers before the body has ended", () => {
  for (const [size, retried] of [
    [1000, true],
    [200_000, false],
  ] as const)
    test(`503 and the end, ${size} bytes into the body`, async () => {
      await using bad = await RawBackend.start(async (peer) => {
        const head = await peer.head();
        if (head.method === "PUT") await peer.bytes(size);
        peer.send(answer(503, "early"));
        if (retried) peer.finish();
        await peer.end();
      });
      await using good = await RawBackend.answering((got) => answer(200, `${got.target} ${got.body.length}`));
      await using proxy = await start([bad, good]);
      await using client = await Peer.connect(proxy.port);
      client.send(request("/put", ["Content-Length: 250000"], "PUT") + "x".repeat(size));
      if (retried) await (await bad.peer(0)).end();
      client.send("x".repeat(250_000 - size) + request("/next"));
      const came = await client.response();
      expect(came.body).toBe(retried ? "/put 250000" : "early");
      expect((await client.response()).body).toBe("/next 0");
    });
});

test("a body whose second try finds no place is dropped, and the next request is read", async () => {
  await using bad = await RawBackend.start(async (peer) => {
    const head = await peer.head();
    if (head.method === "PUT") await peer.when(() => peer.peek() !== "", "the body");
    peer.reset();
  });
  const gate = Promise.withResolvers<void>();
  await using good = await RawBackend.answering(async (got) => {
    if (got.target === "/other") await gate.promise;
    return answer(200, got.target);
  });
  await using proxy = await start([good, bad], { limits: { connections: 1, queueTimeout: "300ms" } });
  await using other = await Peer.connect(proxy.port);
  other.send(request("/other"));
  await good.received(1);
  await using client = await Peer.connect(proxy.port);
  const before = bad.peers.length;
  client.send(request("/put", ["Transfer-Encoding: chunked"], "PUT") + chunks("first"));
  await until(() => bad.peers.length > before && bad.peers.at(-1)!.ended, "the first try");
  client.send(`${chunks(...Array(50).fill("x".repeat(4000)))}0\r\n\r\n`);
  expect((await client.response()).status).toBe(502);
  gate.resolve();
  await other.response();
  client.send(request("/next"));
  expect((await client.response()).body).toBe("/next");
});
