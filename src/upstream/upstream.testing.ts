// An upstream of one thread whose clock, servers and requests a test holds in its hands.
import type { Address } from "../config/address.ts";
import { upstreamSchema } from "../config/schema-upstreams.ts";
import type { Fault } from "../core/faults.ts";
import { TimerWheel } from "../core/timers.ts";
import { Metrics } from "../observe/metrics.ts";
import { Board } from "./board.ts";
import type { Member, UpstreamMembership } from "./member.ts";
import type { Server } from "./pool.ts";
import { Resolver } from "./resolver.ts";
import { Upstream } from "./upstream.ts";
import type { Want } from "./want.ts";

// Memory is made once: a board is large, and each test takes slots of its own.
export const MEMORY = Board.memory(2);
let nextSlot = 1;
/** The first of so many slots that nobody has. */
export function takeSlots(count: number): number {
  nextSlot += count;
  return nextSlot - count;
}

/** A server's description: its name, and what of it is not the usual. */
export type Spec = string | (Partial<Omit<Member, "id" | "address" | "slot">> & { readonly id: string });

/** The member of that description. `id` is what a test calls it. */
function memberOf(spec: Spec, slot: number): Member {
  const { id, ...more } = typeof spec === "string" ? { id: spec } : spec;
  const address: Address = { kind: "tcp", host: id, port: 1 };
  return {
    id,
    address,
    tls: false,
    http: "1.1",
    weight: 1,
    backup: false,
    zone: "",
    mode: "ready",
    slot,
    origin: "config",
    ...more,
  };
}

/** A request that asks for a server, and what became of it. */
export class TestWant implements Want {
  withdrawn = false;
  late = false;
  readonly name: string;
  readonly key: number;
  readonly pinned: Server | null;
  readonly tried: readonly Server[] | null;
  readonly patient: boolean;
  readonly lane: number;
  server: Server | null = null;
  fault: Fault | null = null;
  /** How often it was told anything. */
  told = 0;

  constructor(name: string, more: Partial<Want> = {}) {
    this.name = name;
    this.key = more.key ?? 0;
    this.pinned = more.pinned ?? null;
    this.tried = more.tried ?? null;
    this.patient = more.patient ?? true;
    this.lane = more.lane ?? 3;
  }
  onServer(server: Server): void {
    this.told += 1;
    this.server = server;
  }
  onNoServer(cause: Fault): void {
    this.told += 1;
    this.fault = cause;
  }
  /** The name of its server, the code of its fault, or "" while it waits. */
  get fate(): string {
    return this.server?.name ?? this.fault?.code ?? "";
  }
}

/** Of an upstream's configuration, what a test is about. */
export type UpstreamInput = Parameters<typeof upstreamSchema.parse>[0];

export class UpstreamRig {
  now = 1_000_000;
  readonly board = new Board(MEMORY, 0);
  readonly wheel: TimerWheel;
  readonly upstream: Upstream;
  readonly ejections: string[] = [];
  /** The upstream's own slots. */
  readonly slot = takeSlots(2);
  readonly #slots = new Map<string, number>();
  #version = 0;

  constructor(specs: readonly Spec[], config: UpstreamInput = {}, random: () => number = () => 0) {
    this.board.tick(this.now);
    this.board.reset(this.slot, 0);
    this.board.reset(this.slot + 1, 0);
    this.wheel = new TimerWheel(() => this.now);
    const metrics = new Metrics(() => {});
    this.upstream = new Upstream("app", upstreamSchema.parse(config), this.membership(specs), {
      resolver: new Resolver({ minTtl: 1000, maxTtl: 1000 }),
      wheel: this.wheel,
      board: this.board,
      secret: new Uint8Array(32),
      wallNow: () => this.now,
      random,
      metrics: (name) => metrics.upstream(name),
      ejected: (_, server, errors) => this.ejections.push(`${server} ${errors}`),
    });
  }

  /** The same server keeps its slot. */
  membership(specs: readonly Spec[]): UpstreamMembership {
    const members = specs.map((spec) => {
      const id = typeof spec === "string" ? spec : spec.id;
      if (!this.#slots.has(id)) this.#slots.set(id, takeSlots(1));
      return memberOf(spec, this.#slots.get(id)!);
    });
    this.#version += 1;
    return { members, slot: this.slot, version: this.#version };
  }

  slotOf(id: string): number {
    return this.#slots.get(id)!;
  }
  server(id: string): Server {
    return this.upstream.roster.byId(id)!;
  }
  inFlight(id: string): number {
    return this.board.inFlight(this.slotOf(id));
  }

  pass(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now = Math.min(end, this.now + 100);
      this.board.tick(this.now);
      this.wheel.turn();
    }
  }

  ask(name: string, more: Partial<Want> = {}): TestWant {
    const want = new TestWant(name, more);
    this.upstream.acquire(want);
    return want;
  }
  /** It is through: its place is given back. */
  leave(want: TestWant): void {
    this.upstream.serverFreed(want.server!);
  }
}
