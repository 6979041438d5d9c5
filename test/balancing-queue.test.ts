// What does not fit waits, in its order, for a while; and leaves its place when nobody wants it any more.
import { expect, test } from "bun:test";
import type { UpstreamInput } from "./support/fleet.ts";
import { answer, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { MARKER, proxyHasRead, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

/** A server that answers when it is told to. */
class Held {
  readonly waiting: { readonly target: string; readonly go: () => void }[] = [];
  readonly serve = (message: Message): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.waiting.push({ target: message.target, go: () => resolve(answer(200, message.target)) });
    return promise;
  };
  get targets(): string[] {
    return this.waiting.map(({ target }) => target);
  }
  async has(count: number): Promise<void> {
    await until(() => this.waiting.length >= count, `${count} requests at the server; there are ${this.targets}`);
  }
}

const start = (servers: readonly RawBackend[], limits: NonNullable<UpstreamInput["limits"]>): Promise<TestProxy> =>
  startProxy({
    upstreams: { app: { servers: servers.map(({ url }) => url), limits } },
    routes: [MARKER, { to: "app" }],
  });

test("a burst waits; what the queue cannot hold is answered 503 at once", async () => {
  const held = new Held();
  await using app = await RawBackend.answering(held.serve);
  await using proxy = await start([app], { connections: 2, queue: 4, queueTimeout: "8s" });
  const burst = Array.from({ length: 12 }, (_, i) => exchange(proxy.port, request(`/${i}`)));
  const refused: Message[] = [];
  for (const each of burst)
    void each.then((message) => {
      if (message.status === 503) refused.push(message);
    });
  await until(() => refused.length === 6, "the refused ones");
  for (const message of refused) {
    expect(Number(message.field("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(message.field("proxy-status")).toContain("error=connection_limit_reached");
  }
  for (let i = 0; i < 6; i += 1) {
    await held.has(i + 1);
    expect(held.waiting.length).toBeLessThanOrEqual(i + 2);
    held.waiting[i]!.go();
  }
  const all = await Promise.all(burst);
  expect(all.filter(({ status }) => status === 200).length).toBe(6);
});

test("a wait has an end: 503 after queueTimeout, and the next one is served", async () => {
  const held = new Held();
  await using app = await RawBackend.answering(held.serve);
  await using proxy = await start([app], { connections: 1, queue: 4, queueTimeout: "300ms" });
  const first = exchange(proxy.port, request("/first"));
  await held.has(1);
  const ms = await timed(async () => {
    const late = await Promise.all([exchange(proxy.port, request("/a")), exchange(proxy.port, request("/b"))]);
    for (const message of late) {
      expect(message.status).toBe(503);
      expect(Number(message.field("retry-after"))).toBeGreaterThanOrEqual(1);
    }
  });
  expect(ms).toBeGreaterThan(250);
  expect(ms).toBeLessThan(900);
  held.waiting[0]!.go();
  expect((await first).body).toBe("/first");
  const next = exchange(proxy.port, request("/next"));
  await held.has(2);
  held.waiting[1]!.go();
  expect((await next).body).toBe("/next");
  expect(held.targets).toEqual(["/first", "/next"]);
});

test("a client that leaves frees its place in the queue", async () => {
  const held = new Held();
  await using app = await RawBackend.answering(held.serve);
  await using proxy = await start([app], { connections: 1, queue: 1, queueTimeout: "8s" });
  const first = exchange(proxy.port, request("/first"));
  await held.has(1);
  await using leaving = await Peer.connect(proxy.port);
  leaving.send(request("/leaving"));
  await proxyHasRead(proxy.port);
  expect((await exchange(proxy.port, request("/too-many"))).status).toBe(503);
  leaving.reset();
  await proxyHasRead(proxy.port);
  const next = exchange(proxy.port, request("/next"));
  await proxyHasRead(proxy.port);
  held.waiting[0]!.go();
  await first;
  await held.has(2);
  held.waiting[1]!.go();
  expect((await next).body).toBe("/next");
  expect(held.targets).toEqual(["/first", "/next"]);
});

test("who has priority waits first", async () => {
  const held = new Held();
  await using app = await RawBackend.answering(held.serve);
  await using proxy = await start([app], {
    connections: 1,
    queue: 20,
    queueTimeout: "8s",
    queuePriority: "priority",
  });
  const sent = [exchange(proxy.port, request("/first"))];
  await held.has(1);
  // RFC 9218: without a word, urgency is 3.
  const waiting: readonly (readonly [target: string, fields: readonly string[]])[] = [
    ["/7", ["Priority: u=7"]],
    ["/3-1", []],
    ["/5", ["Priority: 5"]],
    ["/3-2", ["Priority: u=3, i"]],
    ["/0", ["Priority: u=0"]],
    ["/3-3", ["Priority: whatever"]],
    ["/1", ["Priority: i, u=1"]],
  ];
  for (const [target, fields] of waiting) {
    sent.push(exchange(proxy.port, request(target, fields)));
    await proxyHasRead(proxy.port);
  }
  for (let i = 0; i < sent.length; i += 1) {
    await held.has(i + 1);
    held.waiting[i]!.go();
  }
  await Promise.all(sent);
  expect(held.targets).toEqual(["/first", "/0", "/1", "/3-1", "/3-2", "/3-3", "/5", "/7"]);
});

test("those who wait go to whichever server has room first", async () => {
  const [heldA, heldB] = [new Held(), new Held()];
  await using a = await RawBackend.answering(heldA.serve);
  await using b = await RawBackend.answering(heldB.serve);
  await using proxy = await start([a, b], { connections: 1, queue: 5, queueTimeout: "8s" });
  const sent: Promise<Message>[] = [];
  for (let i = 0; i < 5; i += 1) {
    sent.push(exchange(proxy.port, request(`/${i}`)));
    await proxyHasRead(proxy.port);
  }
  await heldA.has(1);
  await heldB.has(1);
  for (let i = 0; i < 4; i += 1) {
    await heldB.has(i + 1);
    heldB.waiting[i]!.go();
  }
  heldA.waiting[0]!.go();
  expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect([heldA.waiting.length, heldB.waiting.length]).toEqual([1, 4]);
});
