// What is tried again, where, and how often: servers on raw bytes that fail in a way that can be chosen.
import { describe, expect, test } from "bun:test";
import type { UpstreamInput } from "./support/fleet.ts";
import { answer, type Message, request } from "./support/message.ts";
import { exchange, Peer, PeerGone } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed } from "./support/wait.ts";

/** How a server fails: a status, a reset instead of an answer, or never an answer. */
type Failure = number | "reset" | "silence";

const failing = (way: Failure): Promise<RawBackend> =>
  RawBackend.answering((_, peer) => {
    if (typeof way === "number") return answer(way, "failed");
    if (way === "reset") peer.reset();
    return null;
  });

const well = (): Promise<RawBackend> => RawBackend.answering((got) => answer(200, got.body === "" ? "well" : got.body));

/** Nobody is left out for what a test makes fail. */
const start = (servers: readonly (RawBackend | string)[], app: UpstreamInput = {}, route = {}): Promise<TestProxy> =>
  startProxy({
    upstreams: {
      app: { servers: servers.map((each) => (typeof each === "string" ? each : each.url)), outlier: false, ...app },
    },
    routes: [{ to: "app", ...route }],
  });

describe("what fails at one server is asked of another", () => {
  const KEY = ["Idempotency-Key: 8e03978e"];
  const CASES: readonly (readonly [
    name: string,
    failure: Failure,
    method: string,
    fields: readonly string[],
    app: UpstreamInput,
    retried: boolean,
  ])[] = [
    ["a reset", "reset", "GET", [], {}, true],
    ["a reset", "reset", "PUT", [], {}, true],
    ["a reset", "reset", "DELETE", [], {}, true],
    ["a reset", "reset", "POST", [], {}, false],
    ["a reset", "reset", "PATCH", [], {}, false],
    ["a reset with an Idempotency-Key", "reset", "POST", KEY, {}, true],
    ["a reset where unsafe methods may", "reset", "POST", [], { retry: { unsafeMethods: true } }, true],
    ["a reset where only connects count", "reset", "GET", [], { retry: { on: ["connect"] } }, false],
    ["502", 502, "GET", [], {}, true],
    ["503", 503, "GET", [], {}, true],
    ["504", 504, "GET", [], {}, true],
    ["503", 503, "POST", [], {}, false],
    ["503 with an Idempotency-Key", 503, "POST", KEY, {}, true],
    ["500", 500, "GET", [], {}, false],
    ["500 where it counts", 500, "GET", [], { retry: { on: [500] } }, true],
    ["429", 429, "GET", [], {}, false],
    ["404", 404, "GET", [], {}, false],
    ["silence", "silence", "GET", [], { timeouts: { response: "300ms" } }, true],
    ["silence", "silence", "POST", [], { timeouts: { response: "300ms" } }, false],
    ["no attempts", 503, "GET", [], { retry: { attempts: 0 } }, false],
    ["retries turned off", 503, "GET", [], { retry: false }, false],
  ];
  for (const [name, failure, method, fields, app, retried] of CASES)
    test(`${name}: ${method} ${retried ? "is" : "is not"} tried again`, async () => {
      await using bad = await failing(failure);
      await using good = await well();
      await using proxy = await start([bad, good], app);
      const body = method === "GET" || method === "DELETE" ? "" : "the body";
      const ask = () => exchange(proxy.port, request("/", fields, method, body));
      const answers: Message[] = [];
      for (let i = 0; i < 4; i += 1) answers.push(await ask()); // round-robin: two of them meet the bad one
      const lost = typeof failure === "number" ? failure : failure === "reset" ? 502 : 504;
      const statuses = answers.map(({ status }) => status).sort();
      expect(statuses).toEqual(retried ? [200, 200, 200, 200] : [200, 200, lost, lost]);
      expect(bad.requests.length).toBeGreaterThanOrEqual(retried ? 1 : 2);
      expect(good.requests.length).toBe(retried ? 4 : 2);
      for (const got of good.requests) expect(got.body).toBe(body);
    });

  for (const [method, body] of [
    ["GET", ""],
    ["POST", "the body"],
    ["PATCH", ""],
  ] as const)
    test(`a refused connection: ${method} is tried again, as nothing was sent`, async () => {
      await using good = await well();
      await using proxy = await start([`127.0.0.1:${await refusingPort()}`, good]);
      for (let i = 0; i < 4; i += 1)
        expect((await exchange(proxy.port, request("/", [], method, body))).status).toBe(200);
      expect(good.requests.length).toBe(4);
    });
});

test("no server is tried twice while there are others, and the last answer is what the client gets", async () => {
  await using a = await failing(503);
  await using b = await failing(503);
  await using c = await failing(503);
  await using proxy = await start([a, b, c]);
  const came = await exchange(proxy.port, request("/"));
  expect([came.status, came.body]).toEqual([503, "failed"]);
  expect([a, b, c].map(({ requests }) => requests.length)).toEqual([1, 1, 1]);
});

test("with no other server, an answer is what the client gets: the server has had its say", async () => {
  await using only = await failing(503);
  await using proxy = await start([only]);
  expect((await exchange(proxy.port, request("/"))).body).toBe("failed");
  expect(only.requests.length).toBe(1);
});

test("a route's own retry replaces its upstream's", async () => {
  await using bad = await failing(503);
  await using proxy = await start([bad], { retry: { attempts: 3, backoff: "1ms" } }, { retry: false });
  expect((await exchange(proxy.port, request("/"))).status).toBe(503);
  expect(bad.requests.length).toBe(1);
});

test("an answer that has begun is not asked for again", async () => {
  await using broken = await RawBackend.answering((_, peer) => {
    peer.send(answer(200, "x".repeat(1000)).slice(0, -500));
    peer.finish();
    return null;
  });
  await using good = await well();
  await using proxy = await start([broken, good]);
  const outcomes: string[] = [];
  for (let i = 0; i < 2; i += 1) {
    const outcome = await exchange(proxy.port, request("/")).catch((error: unknown) => error);
    outcomes.push(outcome instanceof PeerGone ? "broken" : (outcome as Message).body);
  }
  expect(outcomes.sort()).toEqual(["broken", "well"]);
  expect([broken.requests.length, good.requests.length]).toEqual([1, 1]);
});

test("a body beyond retry.body is not sent again; one within it is, whole", async () => {
  await using bad = await failing(503);
  await using good = await well();
  await using proxy = await start([bad, good], { retry: { body: "64KB" } });
  for (let i = 0; i < 2; i += 1) {
    const body = "y".repeat(60_000 + i);
    expect((await exchange(proxy.port, request("/", [], "PUT", body))).body === body).toBe(true);
  }
  const statuses: number[] = [];
  for (let i = 0; i < 2; i += 1)
    statuses.push((await exchange(proxy.port, request("/", [], "PUT", "z".repeat(200_000)))).status);
  expect(statuses.sort()).toEqual([200, 503]);
});

describe("perTry", () => {
  const app: UpstreamInput = { retry: { perTry: "200ms" } };
  const LATE_MS = 700;
  const slow = (): Promise<RawBackend> =>
    RawBackend.answering(async (got) => {
      await Bun.sleep(LATE_MS);
      return answer(200, `late ${got.method}`);
    });

  test("gives up a try while another may follow", async () => {
    await using late = await slow();
    await using good = await well();
    await using proxy = await start([late, good], app);
    for (let i = 0; i < 4; i += 1) {
      const ms = await timed(async () => expect((await exchange(proxy.port, request("/"))).body).toBe("well"));
      expect(ms).toBeLessThan(LATE_MS);
    }
  });

  const LAST: readonly (readonly [name: string, method: string, servers: number])[] = [
    ["the only server", "GET", 1],
    ["the last of two servers", "GET", 2],
    ["a POST", "POST", 2],
  ];
  for (const [name, method, count] of LAST)
    test(`does not end ${name}`, async () => {
      await using stack = new AsyncDisposableStack();
      const servers: RawBackend[] = [];
      for (let i = 0; i < count; i += 1) servers.push(stack.use(await slow()));
      await using proxy = await start(servers, app);
      const came = await exchange(proxy.port, request("/", [], method, method === "POST" ? "x" : ""));
      expect([came.status, came.body]).toEqual([200, `late ${method}`]);
    });
});

test("timeouts.total ends all tries", async () => {
  await using a = await failing("silence");
  await using b = await failing("silence");
  await using c = await failing("silence");
  await using proxy = await start([a, b, c], { retry: { perTry: "200ms" }, timeouts: { total: "1s" } });
  const ms = await timed(async () => expect((await exchange(proxy.port, request("/"))).status).toBe(504));
  expect(ms).toBeGreaterThan(900);
  expect(ms).toBeLessThan(1500);
  expect([a, b, c].map(({ requests }) => requests.length)).toEqual([1, 1, 1]);
});

test("a request of which nothing was answered in time is not heard of later", async () => {
  const late = Promise.withResolvers<void>();
  await using slow = await RawBackend.answering(async (got) => {
    await late.promise;
    return answer(200, `late ${got.target}`);
  });
  await using good = await RawBackend.answering((got) => answer(200, `well ${got.target}`));
  await using proxy = await start([slow, good], { timeouts: { response: "200ms" } });
  await using client = await Peer.connect(proxy.port);
  for (let i = 0; i < 3; i += 1) expect((await client.send(request(`/${i}`)).response()).body).toBe(`well /${i}`);
  late.resolve();
  for (let i = 3; i < 9; i += 1)
    expect((await client.send(request(`/${i}`)).response()).body).toMatch(new RegExp(`^(well|late) /${i}$`));
});
