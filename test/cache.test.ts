// The cache from the outside: what is asked of servers, and what clients get.
import { describe, expect, test } from "bun:test";
import type { ConfigInput } from "../src/index.ts";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { NodeH2 } from "./support/node-h2.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

type CacheInput = NonNullable<NonNullable<ConfigInput["routes"]>[number]["cache"]>;

const MINUTE = "Cache-Control: max-age=60";
/** Fresh as long as no time passes: the next request has to ask, as the answer may be reused after validation alone. */
const NEVER_FRESH = "Cache-Control: max-age=0";

const start = (backend: RawBackend, cache: CacheInput = true): Promise<TestProxy> =>
  startProxy({ routes: [{ name: "app", cache, to: backend.url }] });

const get = (proxy: TestProxy, target: string, fields: readonly string[] = [], method = "GET"): Promise<Message> =>
  exchange(proxy.port, request(target, fields, method));

const status = (message: Message): string | null => message.field("cache-status");

/** Something that a test decides when it happens. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

describe("a hit", () => {
  test("is the stored answer, with its age and without asking", async () => {
    await using app = await RawBackend.answering(() => answer(200, "hello", [MINUTE, "X-Own: 1", 'ETag: "a"']));
    await using proxy = await start(app);
    const first = await get(proxy, "/a?b=1");
    expect(status(first)).toBe("sluice; fwd=uri-miss; stored");
    expect(first.field("age")).toBeNull();
    const second = await get(proxy, "/a?b=1");
    expect(status(second)).toBe("sluice; hit");
    expect(Number(second.field("age"))).toBeLessThan(10);
    expect([second.body, second.field("x-own"), second.field("etag")]).toEqual(["hello", "1", '"a"']);
    expect(second.all("content-length")).toEqual(["5"]);
    expect(app.requests.length).toBe(1);
  });

  test("of HEAD has the same head and no content", async () => {
    await using app = await RawBackend.answering(() => answer(200, "hello", [MINUTE]));
    await using proxy = await start(app);
    await get(proxy, "/a");
    const head = await get(proxy, "/a", [], "HEAD");
    expect([status(head), head.field("content-length"), head.body]).toEqual(["sluice; hit", "5", ""]);
  });

  test("needs the same scheme, host, path and query", async () => {
    await using app = await RawBackend.answering((got) => answer(200, `${got.field("host")}${got.target}`, [MINUTE]));
    await using proxy = await start(app);
    for (const target of ["/a", "/A", "/a?", "/a?b", "/a?b=", "/b"]) {
      expect(status(await get(proxy, target))).toBe("sluice; fwd=uri-miss; stored");
      expect((await get(proxy, target)).body).toBe(`app.example${target}`);
    }
    const other = await exchange(proxy.port, "GET /a HTTP/1.1\r\nHost: other.example\r\n\r\n");
    expect(other.body).toBe("other.example/a");
  });

  test("of an answer of many pieces is whole, for pipelined requests too", async () => {
    const body = Array.from({ length: 70_000 }, (_, at) => String(at)).join(" ");
    await using app = await RawBackend.answering(() => answer(200, body, [MINUTE]));
    await using proxy = await start(app);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/a") + request("/a") + request("/a"));
    for (let i = 0; i < 3; i += 1) expect((await client.response()).body).toBe(body);
    expect(app.requests.length).toBe(1);
  });

  test("without content", async () => {
    await using app = await RawBackend.answering((got) =>
      got.target === "/204" ? `HTTP/1.1 204 No Content\r\n${MINUTE}\r\n\r\n` : answer(200, "", [MINUTE]),
    );
    await using proxy = await start(app);
    for (const target of ["/204", "/empty"]) {
      await get(proxy, target);
      const hit = await get(proxy, target);
      expect([status(hit), hit.field("content-length")]).toEqual(["sluice; hit", target === "/204" ? null : "0"]);
    }
  });

  test("of chunked content has a length, and no trailers", async () => {
    const head = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${MINUTE}\r\n\r\n`;
    await using app = await RawBackend.answering(() => `${head}${chunks("ab", "cde")}0\r\nX-T: 1\r\n\r\n`);
    await using proxy = await start(app);
    const first = await get(proxy, "/a");
    expect([first.body, first.field("transfer-encoding"), first.trailers]).toEqual(["abcde", "chunked", []]);
    const second = await get(proxy, "/a");
    expect([second.body, second.field("content-length")]).toEqual(["abcde", "5"]);
  });

  test("goes through the filters of its route", async () => {
    await using app = await RawBackend.answering(() => answer(200, "hello", [MINUTE, "Server: x"]));
    await using proxy = await startProxy({
      routes: [{ cache: true, responseHeaders: { set: { "x-set": "{requestId}" }, remove: ["server"] }, to: app.url }],
    });
    const first = await get(proxy, "/a", ["X-Request-Id: 1"]);
    const second = await get(proxy, "/a", ["X-Request-Id: 2"]);
    expect(status(second)).toBe("sluice; hit");
    expect([first.field("server"), second.field("server")]).toEqual([null, null]);
    expect(first.field("x-set")).not.toBe(second.field("x-set"));
    expect(second.field("age")).toBe("0");
  });

  const PARTS: readonly (readonly [range: string, status: number, body: string, contentRange: string | null])[] = [
    ["bytes=0-3", 206, "0123", "bytes 0-3/10"],
    ["bytes=-2", 206, "89", "bytes 8-9/10"],
    ["bytes=10-", 416, "", "bytes */10"],
    ["chars=0-3", 200, "0123456789", null],
  ];
  for (const [range, code, body, contentRange] of PARTS)
    test(`of ${range}, stored or being stored`, async () => {
      await using app = await RawBackend.answering(() => answer(200, "0123456789", [MINUTE, 'ETag: "a"']));
      await using proxy = await start(app);
      for (let i = 0; i < 2; i += 1) {
        const got = await get(proxy, "/a", [`Range: ${range}`]);
        expect([got.status, got.body, got.field("content-range")]).toEqual([code, body, contentRange]);
      }
      expect(app.requests.map((got) => got.field("range"))).toEqual([null]);
    });

  test("of several parts", async () => {
    await using app = await RawBackend.answering(() => answer(200, "x".repeat(500), [MINUTE, "Content-Type: text/x"]));
    await using proxy = await start(app);
    await get(proxy, "/a");
    const got = await get(proxy, "/a", ["Range: bytes=0-1,400-402"]);
    expect(got.status).toBe(206);
    expect(got.field("content-type")).toStartWith("multipart/byteranges; boundary=");
    expect(got.body).toMatch(
      /^--\w+\r\nContent-Type: text\/x\r\nContent-Range: bytes 0-1\/500\r\n\r\nxx\r\n--\w+\r\n.*400-402\/500\r\n\r\nxxx\r\n--\w+--\r\n$/s,
    );
  });

  test("that the client has already is 304", async () => {
    await using app = await RawBackend.answering(() =>
      answer(200, "hello", [MINUTE, 'ETag: "a"', "Content-Type: a/b"]),
    );
    await using proxy = await start(app);
    for (const expected of ["sluice; fwd=uri-miss; stored", "sluice; hit"]) {
      const got = await get(proxy, "/a", ['If-None-Match: "a"']);
      expect([got.status, status(got), got.field("etag"), got.field("content-type")]).toEqual([
        304,
        expected,
        '"a"',
        null,
      ]);
    }
    expect(app.requests.map((each) => each.field("if-none-match"))).toEqual([null]);
  });
});

describe("what is not stored", () => {
  const CASES: readonly (readonly [name: string, sent: readonly string[], answered: readonly string[]])[] = [
    ["private", [], ["Cache-Control: private, max-age=60"]],
    ["no-store", [], ["Cache-Control: no-store"]],
    ["no freshness", [], []],
    ["Set-Cookie", [], [MINUTE, "Set-Cookie: a=b"]],
    ["Vary: *", [], [MINUTE, "Vary: *"]],
    ["Authorization", ["Authorization: Basic x"], [MINUTE]],
  ];
  for (const [name, sent, answered] of CASES)
    test(name, async () => {
      await using app = await RawBackend.answering((got) => answer(200, got.target, answered));
      await using proxy = await start(app);
      for (let i = 0; i < 3; i += 1) {
        const got = await get(proxy, "/a", sent);
        expect([got.body, got.field("age")]).toEqual(["/a", null]);
        expect(status(got)).toBe(i === 0 ? "sluice; fwd=uri-miss" : "sluice; fwd=bypass");
      }
      expect(app.requests.length).toBe(3);
    });

  test("another method, a body, a condition for the server", async () => {
    await using app = await RawBackend.answering((got) => answer(200, got.method, [MINUTE]));
    await using proxy = await start(app);
    expect(status(await get(proxy, "/a", [], "OPTIONS"))).toBe("sluice; fwd=method");
    expect(status(await get(proxy, "/a", ['If-Match: "a"']))).toBe("sluice; fwd=bypass");
    expect(status(await exchange(proxy.port, request("/a", [], "GET", "body")))).toBe("sluice; fwd=bypass");
    expect(status(await get(proxy, "/a"))).toBe("sluice; fwd=uri-miss; stored");
  });

  test("an answer that breaks off", async () => {
    const whole = answer(200, "x".repeat(1000), [MINUTE]);
    await using app = await RawBackend.answering(async (_, peer) => {
      if (app.requests.length > 1) return whole;
      peer.send(whole.slice(0, -500));
      peer.finish();
      return null;
    });
    await using proxy = await startProxy({
      routes: [{ cache: true, retry: false, to: app.url }],
    });
    await using client = await Peer.connect(proxy.port);
    client.send(request("/a"));
    await client.through("\r\n\r\n");
    await client.end();
    expect(client.peek().length).toBe(500);
    const again = await get(proxy, "/a");
    expect([again.body.length, status(again)]).toEqual([1000, "sluice; fwd=uri-miss; stored"]);
  });

  test("what is too large, told or not; it is passed on as it comes", async () => {
    const body = "x".repeat(200_000);
    await using app = await RawBackend.answering((got) =>
      got.target === "/told"
        ? answer(200, body, [MINUTE])
        : `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${MINUTE}\r\n\r\n${chunks(body)}0\r\n\r\n`,
    );
    await using proxy = await start(app, { maxSize: "100KB" });
    for (const target of ["/told", "/untold"]) {
      expect((await get(proxy, target)).body).toBe(body);
      expect(status(await get(proxy, target))).toBe("sluice; fwd=bypass");
    }
  });

  test("parts of what is too large are stored, put together, and given out in parts", async () => {
    const content = Array.from({ length: 20_000 }, (_, at) => `${at}`.padStart(10)).join("");
    await using app = await RawBackend.answering((got) => {
      const range = /^bytes=(\d+)-(\d+)$/.exec(got.field("range") ?? "");
      if (range === null) return answer(200, content, [MINUTE, 'ETag: "a"']);
      const [first, last] = [Number(range[1]), Number(range[2])];
      const fields = [MINUTE, 'ETag: "a"', `Content-Range: bytes ${first}-${last}/${content.length}`];
      return answer(206, content.slice(first, last + 1), fields);
    });
    await using proxy = await start(app, { maxSize: "100KB" });
    expect((await get(proxy, "/a")).body).toBe(content);
    const part = async (first: number, last: number): Promise<string | null> => {
      const got = await get(proxy, "/a", [`Range: bytes=${first}-${last}`]);
      expect([got.status, got.body]).toEqual([206, content.slice(first, last + 1)]);
      expect(got.field("content-range")).toBe(`bytes ${first}-${last}/${content.length}`);
      return status(got);
    };
    expect(await part(1000, 1999)).toBe("sluice; fwd=vary-miss; stored".replace("vary", "uri"));
    expect(await part(1000, 1999)).toBe("sluice; hit");
    expect(await part(1500, 1600)).toBe("sluice; hit");
    expect(await part(2000, 2999)).toContain("stored");
    expect(await part(1200, 2800)).toBe("sluice; hit"); // of both
    expect(await part(500, 1100)).toContain("stored");
    expect(await part(500, 2999)).toBe("sluice; hit");
    const unchanged = await get(proxy, "/a", ["Range: bytes=500-600", 'If-None-Match: "a"']);
    expect([unchanged.status, status(unchanged)]).toEqual([304, "sluice; hit"]);
    expect(app.requests.length).toBe(4);
    // A change ends the parts as well.
    await get(proxy, "/a", [], "POST");
    expect(await part(500, 600)).toContain("stored");
  });

  test("a part of what is too large is asked for by itself", async () => {
    await using app = await RawBackend.answering((got) =>
      got.field("range") === null
        ? answer(200, "x".repeat(200_000), [MINUTE])
        : answer(206, "part", ["Content-Range: bytes 0-3/200000"]),
    );
    await using proxy = await start(app, { maxSize: "100KB" });
    const got = await get(proxy, "/a", ["Range: bytes=0-3"]);
    expect([got.status, got.body]).toEqual([206, "part"]);
  });
});

describe("stale answers", () => {
  test("are validated, and go on with the fields of the 304", async () => {
    await using app = await RawBackend.answering((got) =>
      got.field("if-none-match") === null
        ? answer(200, "hello", [
            NEVER_FRESH,
            'ETag: "a"',
            "X-Version: 1",
            "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT",
          ])
        : 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nX-Version: 2\r\nCache-Control: max-age=60\r\n\r\n',
    );
    await using proxy = await start(app);
    await get(proxy, "/a");
    const second = await get(proxy, "/a");
    expect([second.body, second.field("x-version")]).toEqual(["hello", "2"]);
    expect(status(second)).toBe("sluice; fwd=stale; fwd-status=304");
    expect(app.requests[1]!.field("if-modified-since")).toBe("Mon, 01 Jan 2024 00:00:00 GMT");
    const third = await get(proxy, "/a");
    expect([status(third), third.field("x-version"), third.body]).toEqual(["sluice; hit", "2", "hello"]);
  });

  test("stay when the server confirms them to a client with credentials", async () => {
    await using app = await RawBackend.answering((got) =>
      got.field("if-none-match") === null
        ? answer(200, "hello", [NEVER_FRESH, 'ETag: "a"'])
        : 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nCache-Control: max-age=60\r\n\r\n',
    );
    await using proxy = await start(app);
    await get(proxy, "/a");
    expect((await get(proxy, "/a", ["Authorization: Basic YTpi"])).body).toBe("hello");
    // For this one alone: the others ask for themselves, and then it is fresh for all.
    expect(status(await get(proxy, "/a"))).toBe("sluice; fwd=stale; fwd-status=304");
    expect(status(await get(proxy, "/a"))).toBe("sluice; hit");
    expect(app.requests.map((got) => got.field("if-none-match"))).toEqual([null, '"a"', '"a"']);
  });

  test("are replaced by a new answer", async () => {
    await using app = await RawBackend.answering(() =>
      answer(200, `${app.requests.length}`, [NEVER_FRESH, 'ETag: "a"']),
    );
    await using proxy = await start(app);
    for (const body of ["1", "2", "3"]) expect((await get(proxy, "/a")).body).toBe(body);
  });

  test("are given out while they are fetched anew", async () => {
    const news = gate();
    await using app = await RawBackend.answering(async () => {
      if (app.requests.length === 1) return answer(200, "old", ["Cache-Control: max-age=0, stale-while-revalidate=60"]);
      await news.opened;
      return answer(200, "new", [MINUTE]);
    });
    await using proxy = await start(app);
    await get(proxy, "/a");
    for (let i = 0; i < 3; i += 1) {
      const got = await get(proxy, "/a");
      expect([got.body, status(got)]).toEqual(["old", "sluice; hit"]);
    }
    await app.received(2);
    news.open();
    await until(async () => (await get(proxy, "/a")).body === "new", "the new answer");
    expect(app.requests.length).toBe(2);
  });

  test("stand in for errors and for servers that are gone, for as long as they may", async () => {
    const fields = ["Cache-Control: max-age=0, stale-if-error=60", 'ETag: "a"'];
    await using app = await RawBackend.answering((got, peer) => {
      if (got.field("if-none-match") === null) return answer(200, "old", fields);
      if (got.target === "/error") return answer(503, "down");
      peer.reset();
      return null;
    });
    await using proxy = await startProxy({ routes: [{ cache: true, retry: false, to: app.url }] });
    for (const [target, said] of [
      ["/error", "sluice; fwd=stale; fwd-status=503; detail=stale-if-error"],
      ["/gone", "sluice; fwd=stale; detail=stale-if-error"],
    ] as const) {
      await get(proxy, target);
      const failed = await get(proxy, target);
      expect([failed.status, failed.body, status(failed)]).toEqual([200, "old", said]);
      // A server in trouble is not asked for every one of its clients.
      const again = await get(proxy, target);
      expect([again.status, again.body, status(again)]).toEqual([200, "old", "sluice; hit; detail=stale-if-error"]);
    }
    expect(app.requests.length).toBe(4);
  });

  test("do not where nothing says so", async () => {
    await using app = await RawBackend.answering(() =>
      app.requests.length === 1 ? answer(200, "old", [NEVER_FRESH, 'ETag: "a"']) : answer(503, "down"),
    );
    await using proxy = await start(app);
    await get(proxy, "/a");
    expect((await get(proxy, "/a")).status).toBe(503);
  });
});

describe("the answer to HEAD", () => {
  const LIVES = "Cache-Control: max-age=60";
  const CASES: readonly (readonly [name: string, fields: readonly string[], then: string])[] = [
    ["freshens what is stored", [LIVES, 'ETag: "a"', "X-Version: 2"], "sluice; hit"],
    ["ends what is out of date", [LIVES, 'ETag: "b"'], "sluice; fwd=uri-miss; stored"],
  ];
  for (const [name, fields, then] of CASES)
    test(name, async () => {
      await using app = await RawBackend.answering((got) => {
        if (got.method === "GET") return answer(200, "hello", [NEVER_FRESH, 'ETag: "a"', "X-Version: 1"]);
        return `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${fields.join("\r\n")}\r\n\r\n`;
      });
      await using proxy = await start(app);
      await get(proxy, "/a");
      expect(status(await get(proxy, "/a", [], "HEAD"))).toBe("sluice; fwd=stale");
      const got = await get(proxy, "/a");
      expect([status(got), got.body, got.field("x-version")]).toEqual([
        then,
        "hello",
        then === "sluice; hit" ? "2" : "1",
      ]);
    });

  test("is that of the server where nothing is stored, and is not stored", async () => {
    await using app = await RawBackend.answering((got) =>
      got.method === "GET"
        ? answer(200, "hello", [MINUTE])
        : `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${MINUTE}\r\n\r\n`,
    );
    await using proxy = await start(app);
    for (let i = 0; i < 2; i += 1) {
      const head = await get(proxy, "/a", [], "HEAD");
      expect([status(head), head.field("content-length")]).toEqual(["sluice; fwd=uri-miss", "5"]);
    }
    expect((await get(proxy, "/a")).body).toBe("hello");
  });
});

describe("requests for the same, at the same time", () => {
  const many = async (proxy: TestProxy, count: number, fields: (at: number) => readonly string[] = () => []) => {
    const clients: Peer[] = [];
    for (let at = 0; at < count; at += 1) {
      const client = await Peer.connect(proxy.port);
      clients.push(client.send(request("/a", fields(at))));
    }
    return clients;
  };

  test("make one to the server, and follow its answer", async () => {
    const content = gate();
    const head = `HTTP/1.1 200 OK\r\nContent-Length: 6\r\n${MINUTE}\r\n\r\n`;
    await using app = await RawBackend.answering(async (_, peer) => {
      peer.send(`${head}abc`);
      await content.opened;
      return "def";
    });
    await using proxy = await start(app);
    const clients = await many(proxy, 20);
    const late = (await many(proxy, 1))[0]!;
    for (const client of [...clients, late]) await client.through("abc");
    content.open();
    for (const client of [...clients, late]) {
      expect(await client.through("def")).toBe("def");
      client.close();
    }
    expect(app.requests.length).toBe(1);
  });

  test("the one that began it may leave", async () => {
    const go = gate();
    await using app = await RawBackend.answering(async () => {
      await go.opened;
      return answer(200, "hello", [MINUTE]);
    });
    await using proxy = await start(app);
    const [first, second] = await many(proxy, 2);
    await app.received(1);
    first!.close();
    await first!.end();
    go.open();
    expect((await second!.response()).body).toBe("hello");
    second!.close();
    expect(status(await get(proxy, "/a"))).toBe("sluice; hit");
    expect(app.requests.length).toBe(1);
  });

  test("do not wait for each other where the answer is for one", async () => {
    const go = gate();
    await using app = await RawBackend.answering(async () => {
      await go.opened;
      return answer(200, `${app.requests.length}`, ["Cache-Control: private"]);
    });
    await using proxy = await start(app);
    const clients = await many(proxy, 5);
    await app.received(1);
    go.open();
    for (const client of clients) {
      expect(status(await client.response())).toBe("sluice; fwd=uri-miss");
      client.close();
    }
    expect(app.requests.length).toBe(5);
  });

  test("get each the variant that is theirs, with one request for each of them", async () => {
    const go = gate();
    await using app = await RawBackend.answering(async (got) => {
      await go.opened;
      return answer(200, got.field("accept-language") ?? "", [MINUTE, "Vary: Accept-Language"]);
    });
    await using proxy = await start(app);
    const clients = await many(proxy, 6, (at) => [`Accept-Language: ${at % 2 === 0 ? "de" : "en"}`]);
    await app.received(1);
    go.open();
    for (const [at, client] of clients.entries()) {
      expect((await client.response()).body).toBe(at % 2 === 0 ? "de" : "en");
      client.close();
    }
    expect(app.requests.length).toBe(2);
  });

  test("all hear of a server that fails", async () => {
    const go = gate();
    await using app = await RawBackend.answering(async (_, peer) => {
      await go.opened;
      peer.reset();
      return null;
    });
    await using proxy = await startProxy({ routes: [{ cache: true, retry: false, to: app.url }] });
    const clients = await many(proxy, 3);
    await app.received(1);
    go.open();
    for (const client of clients) {
      expect((await client.response()).status).toBe(502);
      client.close();
    }
  });
});

describe("an unsafe request", () => {
  const CASES: readonly (readonly [method: string, answered: string, want: string])[] = [
    ["POST", answer(200, "done"), "sluice; fwd=uri-miss; stored"],
    ["DELETE", answer(303, "", ["Location: /other"]), "sluice; fwd=uri-miss; stored"],
    ["X-ODD", answer(200, "done"), "sluice; fwd=uri-miss; stored"],
    ["POST", answer(500, "failed"), "sluice; hit"],
  ];
  for (const [method, answered, want] of CASES)
    test(`${method} answered ${answered.slice(9, 12)}: then ${want}`, async () => {
      await using app = await RawBackend.answering((got) =>
        got.method === "GET" ? answer(200, "hello", [MINUTE]) : answered,
      );
      await using proxy = await start(app);
      await get(proxy, "/a");
      await get(proxy, "/a", [], method);
      expect(status(await get(proxy, "/a"))).toBe(want);
    });

  test("with a query that the key writes otherwise", async () => {
    await using app = await RawBackend.answering((got) => answer(200, got.method, [MINUTE]));
    await using proxy = await start(app, { key: { query: { ignore: ["utm_*"], sort: true } } });
    await get(proxy, "/a?x=1&b=2");
    await get(proxy, "/a?x=1&utm_x=3&b=2", [], "POST");
    expect(status(await get(proxy, "/a?x=1&b=2"))).toBe("sluice; fwd=uri-miss; stored");
  });

  test("what was fetched before its answer is not stored after it", async () => {
    const go = gate();
    await using app = await RawBackend.answering(async (got) => {
      if (got.method === "POST") return answer(200, "done");
      const number = app.requests.length;
      if (number === 1) await go.opened;
      return answer(200, `${number}`, [MINUTE]);
    });
    await using proxy = await start(app);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/a"));
    await app.received(1);
    await get(proxy, "/a", [], "POST");
    go.open();
    expect((await client.response()).body).toBe("1");
    expect((await get(proxy, "/a")).body).toBe("3");
  });
});

describe("the key", () => {
  test("leaves out what is ignored, also of what the server is asked", async () => {
    await using app = await RawBackend.answering((got) => answer(200, got.target, [MINUTE]));
    await using proxy = await start(app, { key: { query: { ignore: ["utm_*"], sort: true } } });
    expect((await get(proxy, "/a?b=1&utm_x=1&a=2")).body).toBe("/a?a=2&b=1");
    expect(status(await get(proxy, "/a?a=2&utm_y=2&b=1"))).toBe("sluice; hit");
  });

  test("holds the fields and cookies that count", async () => {
    await using app = await RawBackend.answering((got) =>
      answer(200, got.field("x-group") ?? "", [MINUTE, "Cache-Control: public"]),
    );
    await using proxy = await start(app, { key: { headers: ["X-Group"], cookies: ["lang"] } });
    await get(proxy, "/a", ["X-Group: a", "Cookie: lang=de; other=1"]);
    expect(status(await get(proxy, "/a", ["X-Group: a", "Cookie: lang=de; other=2"]))).toBe("sluice; hit");
    expect(status(await get(proxy, "/a", ["X-Group: b", "Cookie: lang=de"]))).toContain("fwd=");
    expect(status(await get(proxy, "/a", ["X-Group: a", "Cookie: lang=en"]))).toContain("fwd=");
  });

  test("keeps routes and upstreams apart that something chose which is not in it", async () => {
    await using a = await RawBackend.answering(() => answer(200, "a", [MINUTE]));
    await using b = await RawBackend.answering(() => answer(200, "b", [MINUTE]));
    await using proxy = await startProxy({
      defaults: { cache: true },
      upstreams: { a: { servers: [a.url] }, b: { servers: [b.url] } },
      routes: [
        { match: { header: { "x-beta": "1" } }, to: "b" },
        {
          to: [
            { upstream: "a", weight: 1 },
            { upstream: "b", weight: 0, match: { header: { "x-canary": "1" } } },
          ],
        },
      ],
    });
    for (let i = 0; i < 2; i += 1) {
      expect((await get(proxy, "/a")).body).toBe("a");
      expect((await get(proxy, "/a", ["X-Beta: 1"])).body).toBe("b");
      expect((await get(proxy, "/a", ["X-Canary: 1"])).body).toBe("b");
    }
    expect([a.requests.length, b.requests.length]).toEqual([1, 2]);
  });

  test("is not what a client hides from the server, or would have it take for another address", async () => {
    await using app = await RawBackend.answering((got) =>
      answer(200, `${got.field("x-group")} ${got.field("x-original-url")}`, [MINUTE]),
    );
    await using proxy = await start(app, { key: { headers: ["x-group"] } });
    const hidden = await get(proxy, "/a", ["X-Group: a", "Connection: X-Group", "X-Original-URL: /admin"]);
    expect(hidden.body).toBe("null null");
    expect((await get(proxy, "/a", ["X-Group: a"])).body).toBe("a null");
    expect(status(await get(proxy, "/a"))).toBe("sluice; hit");
  });

  test("holds what a rewrite made of the target", async () => {
    await using app = await RawBackend.answering((got) => answer(200, got.target, [MINUTE]));
    await using proxy = await startProxy({
      routes: [{ cache: true, rewrite: { path: "/{header.x-tenant}/page" }, to: app.url }],
    });
    for (const tenant of ["a", "b", "a", "b"])
      expect((await get(proxy, "/page", [`X-Tenant: ${tenant}`])).body).toBe(`/${tenant}/page`);
    expect(app.requests.length).toBe(2);
  });
});

describe("what requests ask for", () => {
  test("only-if-cached gets what is stored, or 504", async () => {
    await using app = await RawBackend.answering(() => answer(200, "hello", [MINUTE]));
    await using proxy = await start(app);
    expect((await get(proxy, "/a", ["Cache-Control: only-if-cached"])).status).toBe(504);
    await get(proxy, "/a");
    expect((await get(proxy, "/a", ["Cache-Control: only-if-cached"])).status).toBe(200);
    expect(app.requests.length).toBe(1);
  });

  test("no-cache asks the server, unless the route does not listen", async () => {
    await using app = await RawBackend.answering(() => answer(200, `${app.requests.length}`, [MINUTE]));
    for (const requestDirectives of [true, false]) {
      await using proxy = await start(app, { requestDirectives });
      await get(proxy, "/a");
      const got = await get(proxy, "/a", ["Cache-Control: no-cache"]);
      expect(status(got)).toBe(requestDirectives ? "sluice; fwd=request; stored" : "sluice; hit");
    }
  });
});

test("a route stores by its own ttl what servers say nothing of", async () => {
  await using app = await RawBackend.answering((got) => answer(got.target === "/404" ? 404 : 200, "hello"));
  await using proxy = await start(app, { ttl: "1m", statusTtl: { 404: "10s" } });
  for (const target of ["/a", "/404"]) {
    await get(proxy, target);
    expect(status(await get(proxy, target))).toBe("sluice; hit");
  }
});

test("over HTTP/2: hits, parts, and an answer that is larger than any window", async () => {
  const body = "x".repeat(400_000);
  await using app = await RawBackend.answering((got) => answer(200, got.target === "/big" ? body : "hello", [MINUTE]));
  await using proxy = await startProxy({ listener: { h2c: true }, routes: [{ cache: true, to: app.url }] });
  await using client = await NodeH2.connect(proxy.url);
  for (let round = 0; round < 2; round += 1) {
    const [small, big, part] = await Promise.all([
      client.ask({ path: "/a" }),
      client.ask({ path: "/big" }),
      client.ask({ path: "/big", fields: { range: "bytes=7-9" } }),
    ]);
    expect([small!.status, small!.body]).toEqual([200, "hello"]);
    expect([big!.status, big!.body === body]).toEqual([200, true]);
    expect([part!.status, part!.body]).toEqual([206, "xxx"]);
  }
  expect(app.requests.length).toBe(2);
});

test("a slow client does not hold up others, and gets it all", async () => {
  const body = "x".repeat(4_000_000);
  await using app = await RawBackend.answering(() => answer(200, body, [MINUTE]));
  await using proxy = await start(app);
  await using slow = await Peer.connect(proxy.port);
  slow.socket.pause();
  slow.send(request("/a"));
  await app.received(1);
  expect((await get(proxy, "/a")).body.length).toBe(body.length);
  slow.socket.resume();
  expect((await slow.response()).body.length).toBe(body.length);
  expect(app.requests.length).toBe(1);
});

test("content is stored within the memory that there is", async () => {
  await using app = await RawBackend.answering(() => answer(200, "x".repeat(50_000), [MINUTE]));
  await using proxy = await start(app, { memory: "1MB" });
  for (let at = 0; at < 60; at += 1) await get(proxy, `/${at}`);
  expect(status(await get(proxy, "/0"))).toBe("sluice; fwd=uri-miss; stored");
  expect(status(await get(proxy, "/59"))).toBe("sluice; hit");
});

test("the cookie of a sticky upstream is in no stored answer, and keeps none from being stored", async () => {
  await using app = await RawBackend.answering(() => answer(200, "hello", [MINUTE]));
  await using proxy = await startProxy({
    upstreams: { app: { servers: [app.url, `${app.url}/`], sticky: { cookie: "server" } } },
    routes: [{ cache: { setCookie: "store" }, to: "app" }],
  });
  for (const expected of ["sluice; fwd=uri-miss; stored", "sluice; hit"]) {
    const got = await get(proxy, "/a");
    expect([status(got), got.field("set-cookie")]).toEqual([expected, null]);
  }
});
