// Which server gets a request, seen from outside: real servers in processes of their own, a proxy of two workers.
import { describe, expect, test } from "bun:test";
import { Fleet, type UpstreamInput, upstreamApi } from "./support/fleet.ts";
import { type Message, request } from "./support/message.ts";
import { MixedLoadProcess, type MixPlan, type MixReport } from "./support/mixed-load.ts";
import { exchange, Peer } from "./support/peer.ts";
import type { SluiceProcess } from "./support/sluice.ts";

const WEIGHTS: Readonly<Record<string, number>> = { a: 5, b: 3, c: 2 };
const WITHIN = 0.02;
/** Chance leaves a random choice within so many standard deviations, once in 16,000 times. */
const SIGMAS = 4;

const weighted = (fleet: Fleet) => fleet.servers.map(({ url, id }) => ({ url, weight: WEIGHTS[id]! }));

async function load(proxy: SluiceProcess, plan: Partial<MixPlan>): Promise<MixReport> {
  await using running = new MixedLoadProcess({ port: proxy.port(), ...plan });
  return await running.finished();
}

/** Points on the ring of the server with the largest weight: their places are chance as well. */
const POINTS = 512;

/** How far each server is from the share of its weight, as a share of that; with what chance may do to so many choices. */
function expectShares(
  counts: Readonly<Record<string, number>>,
  weights: Readonly<Record<string, number>>,
  random: boolean,
  points = Number.POSITIVE_INFINITY,
) {
  const total = Object.values(counts).reduce((sum, each) => sum + each, 0);
  const all = Object.values(weights).reduce((sum, each) => sum + each, 0);
  const heaviest = Math.max(...Object.values(weights));
  for (const [id, weight] of Object.entries(weights)) {
    const share = weight / all;
    const scatter = heaviest / (weight * points);
    const chance = random ? SIGMAS * Math.sqrt((1 - share) * (1 / (share * total) + scatter)) : 0;
    const off = Math.abs((counts[id] ?? 0) / total / share - 1);
    expect({ id, counts, off, within: off <= WITHIN + chance }).toEqual({ id, counts, off, within: true });
  }
}

describe("requests are shared out by weight within 2 %", () => {
  const CASES: readonly (readonly [
    balance: NonNullable<UpstreamInput["balance"]>,
    random: boolean,
    latencyMs: number,
    total: number,
  ])[] = [
    ["round-robin", false, 0, 5000],
    ["round-robin", false, 5, 5000],
    ["least-connections", false, 10, 5000],
    ["random", true, 0, 8000],
    // Whoever compares requests in flight follows the load too: with few of them, or times that vary, that is not the weight.
    ["p2c", true, 10, 8000],
  ];
  for (const [balance, random, latencyMs, total] of CASES)
    test(`${balance}, servers that take ${latencyMs} ms`, async () => {
      await using fleet = await Fleet.start(3, { latencyMs });
      await using proxy = await fleet.proxy({ balance, servers: weighted(fleet) });
      const report = await load(proxy, { total, connections: latencyMs === 0 ? 8 : 30 });
      expect(report.answers).toEqual({ "GET 200": total });
      expectShares(report.servers, WEIGHTS, random);
    });

  test("a weight set through the admin API counts at once, 0 included", async () => {
    await using fleet = await Fleet.start(3);
    await using proxy = await fleet.proxy();
    const [a, , c] = fleet.servers;
    expect((await upstreamApi(proxy, "PATCH", `app/servers/${a!.address}`, { weight: 3 })).status).toBe(200);
    expect((await upstreamApi(proxy, "PATCH", `app/servers/${c!.address}`, { weight: 0 })).status).toBe(200);
    const report = await load(proxy, { total: 2000 });
    expect(report.servers.c ?? 0).toBe(0);
    expectShares(report.servers, { a: 3, b: 1 }, false);
  });
});

describe("a server ten times slower than the others", () => {
  const slowShare = async (balance: NonNullable<UpstreamInput["balance"]>): Promise<number> => {
    await using fleet = await Fleet.start(3, { latencyMs: 4 });
    await fleet.add({ latencyMs: 40 });
    await using proxy = await fleet.proxy({ balance });
    const report = await load(proxy, { total: 2500, connections: 16 });
    expect(report.answers).toEqual({ "GET 200": 2500 });
    return (report.servers.d ?? 0) / 2500;
  };
  // Round-robin gives it a quarter. Whoever counts requests in flight gives it what it can do: 1 of 31 parts, and somewhat
  // more, as with 16 clients there are few to compare.
  const CASES: readonly (readonly [NonNullable<UpstreamInput["balance"]>, from: number, to: number])[] = [
    ["round-robin", 0.24, 0.26],
    ["least-connections", 0.01, 0.1],
    ["p2c", 0.01, 0.15],
    ["peak-ewma", 0.0, 0.08],
  ];
  for (const [balance, from, to] of CASES)
    test(`${balance} gives it ${from * 100} to ${to * 100} % of the requests`, async () => {
      const share = await slowShare(balance);
      expect(share).toBeGreaterThanOrEqual(from);
      expect(share).toBeLessThanOrEqual(to);
    });
});

describe("consistent hashing", () => {
  const KEYS = 4000;
  const AT_ONCE = 16;

  /** Which server gets each key; asked over new connections, which both workers accept. */
  async function places(proxy: SluiceProcess, keys: number): Promise<string[]> {
    const found: string[] = [];
    let next = 0;
    const client = async (): Promise<void> => {
      await using peer = await Peer.connect(proxy.port());
      for (let key = next++; key < keys; key = next++) {
        const answer = await peer.send(request(`/?k=key-${key}`)).response();
        expect(answer.status).toBe(200);
        found[key] = answer.body;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, client));
    return found;
  }

  const tally = (found: readonly string[]): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const id of found) counts[id] = (counts[id] ?? 0) + 1;
    return counts;
  };

  test("keys follow the weights, and all workers agree", async () => {
    await using fleet = await Fleet.start(3);
    await using proxy = await fleet.proxy({ balance: { hash: "query:k" }, servers: weighted(fleet) });
    const found = await places(proxy, KEYS);
    expectShares(tally(found), WEIGHTS, true, POINTS);
    expect(await places(proxy, KEYS / 4)).toEqual(found.slice(0, KEYS / 4));
  });

  test("a server that is removed or added moves no more than 1.2 x the ideal share", async () => {
    await using fleet = await Fleet.start(5);
    await using proxy = await fleet.proxy({ balance: { hash: "query:k" } });
    const before = await places(proxy, KEYS);
    const gone = fleet.servers[2]!;
    expect((await upstreamApi(proxy, "DELETE", `app/servers/${gone.address}`)).status).toBe(200);
    const without = await places(proxy, KEYS);
    expect(without).not.toContain("c");
    const moved = (from: readonly string[], to: readonly string[]) =>
      from.filter((id, key) => id !== to[key]).length / KEYS;
    expect(moved(before, without)).toBeGreaterThan(0.1);
    expect(moved(before, without)).toBeLessThanOrEqual(1.2 / 5);
    expect((await upstreamApi(proxy, "POST", "app/servers", { url: gone.url })).status).toBe(201);
    const again = await places(proxy, KEYS);
    expect(moved(without, again)).toBeLessThanOrEqual(1.2 / 5);
    // Where a key belongs depends on who is there, not on what has happened.
    expect(again).toEqual(before);
  });

  const KINDS: readonly (readonly [
    balance: NonNullable<UpstreamInput["balance"]>,
    ask: (port: number, key: number) => Promise<Message>,
  ])[] = [
    [{ hash: "header:x-user" }, (port, key) => exchange(port, request("/", [`X-User: user-${key}`]))],
    [{ hash: "cookie:id" }, (port, key) => exchange(port, request("/", [`Cookie: other=1; id=user-${key}; more=2`]))],
    [{ hash: "query:q" }, (port, key) => exchange(port, request(`/${Math.random()}?x=1&q=${key}`))],
    [{ hash: "path" }, (port, key) => exchange(port, request(`/path-${key}?${Math.random()}`))],
    [{ hash: "url" }, (port, key) => exchange(port, request(`/same?url=${key}`))],
    [{ hash: "ip" }, fromAddress],
    ["ip-hash", fromAddress],
  ];
  async function fromAddress(port: number, key: number): Promise<Message> {
    await using peer = await Peer.connect(port, `127.0.1.${key + 1}`);
    return await peer.send(request(`/${Math.random()}`)).response();
  }
  for (const [balance, ask] of KINDS)
    test(`${typeof balance === "string" ? balance : balance.hash} keeps requests together`, async () => {
      await using fleet = await Fleet.start(3);
      await using proxy = await fleet.proxy({ balance });
      const rounds: string[][] = [];
      for (let round = 0; round < 3; round += 1) {
        const found: string[] = [];
        for (let key = 0; key < 20; key += 1) found.push((await ask(proxy.port(), key)).body);
        rounds.push(found);
      }
      expect(rounds[1]).toEqual(rounds[0]!);
      expect(rounds[2]).toEqual(rounds[0]!);
      expect(new Set(rounds[0]).size).toBe(3); // 3 servers and 20 keys: less once in a thousand
    });

  test("maxLoad passes on what is too much for one server", async () => {
    await using fleet = await Fleet.start(3, { latencyMs: 20 });
    await using proxy = await fleet.proxy({ balance: { hash: "header:x-user", maxLoad: "125%" } });
    const clients = await Promise.all(
      Array.from({ length: 30 }, () => exchange(proxy.port(), request("/", ["X-User: everybody"]))),
    );
    const counts = tally(clients.map(({ body }) => body));
    expect(Object.keys(counts).length).toBe(3);
    expect(Math.max(...Object.values(counts))).toBeLessThanOrEqual(16);
  });
});
