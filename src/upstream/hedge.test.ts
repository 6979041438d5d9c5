import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Fault } from "../core/faults.ts";
import { fault } from "../core/faults.ts";
import type { ResponseHead } from "../http/message.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { type MemoryConnection, memoryPair } from "../transport/memory-pair.ts";
import { H1Client } from "./h1-client.ts";
import { Race, type RaceOwner } from "./hedge.ts";
import type { ConnectionWant, Server } from "./pool.ts";
import { UpstreamRig } from "./upstream.testing.ts";

/** Lets everything in flight between connections in memory arrive. */
async function settled(): Promise<void> {
  for (let i = 0; i < 100; i += 1) await Promise.resolve();
}

/** A race of servers named r0, r1, …; the first request is at "leader" and is none of the race's business. */
class Rig implements RaceOwner {
  readonly upstreamRig: UpstreamRig;
  readonly race: Race;
  /** What was asked of servers and is not connected yet, by server. */
  readonly wants = new Map<string, ConnectionWant>();
  readonly connections = new Map<string, MemoryConnection>();
  readonly said: string[] = [];
  withdrawn = false;
  readonly connectMs = 100;
  readonly responseMs = 1000;
  readonly key = 0;
  readonly leader: Server;
  readonly tried: readonly Server[];

  constructor(rivals: number, max = 1, busy: readonly string[] = []) {
    const ids = ["leader", "tried", ...Array.from({ length: rivals }, (_, i) => `r${i}`)];
    this.upstreamRig = new UpstreamRig(ids, { limits: { connections: 1 } });
    const { upstream, board } = this.upstreamRig;
    for (const server of upstream.servers) server.request = (want) => void this.wants.set(server.name, want);
    for (const id of busy) board.enter(this.upstreamRig.slotOf(id), 1);
    this.leader = this.upstreamRig.server("leader");
    this.tried = [this.upstreamRig.server("tried")];
    this.race = new Race(this, exchangeOf(), upstream, { max, afterMs: 600_000, quantile: 0 });
  }

  within(ms: number): number {
    return ms;
  }
  hostFor(): string | null {
    return null;
  }
  raceWon(server: Server, client: H1Client, _attemptAt: number, head: ResponseHead): boolean {
    this.said.push(`won ${server.name} ${head.status}`);
    client.abandon();
    return true;
  }
  raceLost(cause: Fault, tried: readonly Server[]): void {
    this.said.push(`lost ${cause.code} after ${tried.map(({ name }) => name).join()}`);
  }

  connect(id: string): void {
    const want = this.wants.get(id);
    this.wants.delete(id);
    if (want === undefined) return;
    const [ours, theirs] = memoryPair();
    this.connections.set(id, theirs);
    const free = (): void => this.upstreamRig.upstream.serverFreed(this.upstreamRig.server(id));
    const client = new H1Client(
      ours,
      { released: free, lost: (_, inUse) => inUse && free() },
      this.upstreamRig.wheel,
      1000,
    );
    if (!want.withdrawn) return want.onConnection(client);
    client.close();
    free();
  }
  refuse(id: string): void {
    const want = this.wants.get(id);
    this.wants.delete(id);
    if (want === undefined) return;
    this.upstreamRig.upstream.serverFreed(this.upstreamRig.server(id));
    if (!want.withdrawn) want.onNoConnection(fault("upstream.connect_refused"));
  }
  async answer(id: string, status: number): Promise<void> {
    const text = `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`;
    this.connections.get(id)?.send(Buffer.from(text), 0, text.length, true);
    await settled();
  }
  async cut(id: string): Promise<void> {
    this.connections.get(id)?.destroy();
    await settled();
  }
}

describe("who is asked", () => {
  test("neither the first server, nor one that was tried, nor a rival", () => {
    const rig = new Rig(2, 3);
    for (let i = 0; i < 5; i += 1) rig.race.due();
    expect([...rig.wants.keys()].sort()).toEqual(["r0", "r1"]);
  });

  const NOBODY: readonly (readonly [string, (rig: Rig) => void])[] = [
    ["the exchange is over", (rig) => void Object.assign(rig, { withdrawn: true })],
    ["the first server has answered", (rig) => rig.race.cancel()],
    ["the first server has failed", (rig) => rig.race.leaderFailed(fault("upstream.reset"))],
    [
      "the budget is spent",
      (rig) => {
        while (rig.upstreamRig.upstream.mayRetry()) {}
      },
    ],
  ];
  for (const [name, prepare] of NOBODY)
    test(`nobody when ${name}`, () => {
      const rig = new Rig(2);
      prepare(rig);
      rig.race.due();
      expect([rig.wants.size, rig.race.running]).toEqual([0, false]);
    });

  test("nobody when all are busy: rivals do not wait", () => {
    const rig = new Rig(1, 1, ["r0"]);
    rig.race.due();
    expect([rig.wants.size, rig.race.running, rig.upstreamRig.upstream.queue.length]).toEqual([0, false, 0]);
  });
});

describe("who is heard", () => {
  const CASES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["a rival that answers", ["due", "connect r0", "200 r0"], ["won r0 200"]],
    ["one that answers 404", ["due", "connect r0", "404 r0"], ["won r0 404"]],
    ["not one that answers 503", ["due", "connect r0", "503 r0"], []],
    ["not one that switches protocols", ["due", "connect r0", "101 r0"], []],
    ["not one that fails", ["due", "connect r0", "cut r0"], []],
    ["not one that cannot be reached", ["due", "refuse r0"], []],
    ["the other of two rivals", ["due", "due", "connect r0", "connect r1", "503 r0", "200 r1"], ["won r1 200"]],
    ["the faster of two", ["due", "due", "connect r0", "connect r1", "200 r1", "200 r0"], ["won r1 200"]],
    ["nobody once it is over", ["due", "connect r0", "cancel", "200 r0"], []],
    ["nobody who is connected after it is over", ["due", "cancel", "connect r0", "200 r0"], []],
    ["a rival after the first has failed", ["due", "connect r0", "first fails", "200 r0"], ["won r0 200"]],
    [
      "the first's failure when the rival fails too",
      ["due", "connect r0", "first fails", "cut r0"],
      ["lost upstream.reset after r0"],
    ],
    [
      "…whoever fails last",
      ["due", "due", "connect r0", "refuse r1", "first fails", "503 r0"],
      ["lost upstream.reset after r0,r1"],
    ],
  ];
  for (const [name, steps, said] of CASES)
    test(name, async () => {
      const rig = new Rig(2, 2);
      for (const step of steps) await run(rig, step);
      expect(rig.said).toEqual([...said]);
    });
});

async function run(rig: Rig, step: string): Promise<void> {
  const [what, id = ""] = step.split(" ");
  if (what === "due") rig.race.due();
  else if (what === "cancel") rig.race.cancel();
  else if (what === "first") {
    // As Forward does: without a race that is under way the first one's failure is not the race's.
    if (rig.race.running) rig.race.leaderFailed(fault("upstream.reset"));
    else rig.race.cancel();
  } else if (what === "connect") rig.connect(id);
  else if (what === "refuse") rig.refuse(id);
  else if (what === "cut") await rig.cut(id);
  else await rig.answer(id, Number(what));
}

test("property: it ends once at most, and every place is given back", async () => {
  const ids = ["r0", "r1", "r2"];
  const step = fc.oneof(
    fc.constantFrom("due", "due", "first fails", "cancel"),
    fc
      .tuple(fc.constantFrom("connect", "connect", "refuse", "cut", "200", "503"), fc.constantFrom(...ids))
      .map((pair) => pair.join(" ")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const rig = new Rig(3, 3);
      for (const each of steps) {
        const isOver = rig.said.length > 0;
        await run(rig, each);
        if (isOver) expect(rig.said.length).toBe(1);
      }
      rig.race.cancel();
      for (const id of ids) rig.connect(id);
      for (const id of ids) await rig.answer(id, 200); // whatever is still read is read to its end
      expect(rig.said.length).toBeLessThanOrEqual(1);
      expect(ids.map((id) => rig.upstreamRig.inFlight(id))).toEqual([0, 0, 0]);
      expect(rig.race.running).toBe(false);
    }),
    { numRuns: 150 },
  );
});
