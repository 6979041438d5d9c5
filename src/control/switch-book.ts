// What operators have switched at run time: maintenance, and the weights of split routes. Kept where the configuration
// names a place for that, shared with other machines like bans, and given to threads as memory.
import { createHash } from "node:crypto";
import { z } from "zod";
import { wallClock } from "../core/clock.ts";
import { layOutSwitches, type MaintenanceSwitch, NO_SWITCHES, type Switches } from "../pipeline/switches.ts";
import type { Entry } from "../state/shared-map.ts";

/** Far more than anybody has routes: what other machines tell is not to fill the memory of this one. */
const SWITCHES_MAX = 20_000;

const maintenance = z.strictObject({
  kind: z.literal("maintenance"),
  route: z.string(),
  enabled: z.boolean(),
  untilMs: z.number().nullable(),
  reason: z.string(),
});
const split = z.strictObject({
  kind: z.literal("split"),
  route: z.string(),
  weights: z.record(z.string(), z.int().min(0).max(10_000)),
});
const kept = z.union([maintenance, split]);
type Kept = z.output<typeof kept>;

export class SwitchBook {
  readonly name = "switches";
  readonly #kept = new Map<string, Kept>();
  readonly #changed: (entry: Entry) => void;
  readonly #spread: (memory: SharedArrayBuffer) => void;
  readonly #now: () => number;
  #switches: Switches = NO_SWITCHES;
  #memory = layOutSwitches(NO_SWITCHES);

  /** `changed` is told of what is switched here; `spread` gets all that holds, for all threads. */
  constructor(
    changed: (entry: Entry) => void,
    spread: (memory: SharedArrayBuffer) => void,
    now: () => number = wallClock,
  ) {
    this.#changed = changed;
    this.#spread = spread;
    this.#now = now;
  }

  get memory(): SharedArrayBuffer {
    return this.#memory;
  }
  /** What holds now. */
  get switches(): Switches {
    return this.#switches;
  }

  /** Switches maintenance of a route, or, for "", of all: then what was said of single routes is taken back. */
  setMaintenance(route: string, to: MaintenanceSwitch | null): void {
    if (route === "")
      for (const [key, { kind, route: other }] of this.#kept)
        if (kind === "maintenance" && other !== "") this.#put(key, null);
    this.#put(keyOf("maintenance", route), to === null ? null : { kind: "maintenance", route, ...to });
    this.#lay();
  }

  /** Replaces the weights of a route's upstreams; null for those of the configuration. */
  setSplit(route: string, weights: Readonly<Record<string, number>> | null): void {
    this.#put(keyOf("split", route), weights === null ? null : { kind: "split", route, weights: { ...weights } });
    this.#lay();
  }

  #put(key: string, value: Kept | null): void {
    if (value === null && !this.#kept.has(key)) return;
    if (value === null) this.#kept.delete(key);
    else this.#kept.set(key, value);
    this.#changed(entryOf(key, value));
  }

  /** Threads look at these alone. */
  #lay(): void {
    const switches = { maintenance: new Map<string, MaintenanceSwitch>(), splits: new Map() };
    for (const each of this.#kept.values()) {
      const { route } = each;
      if (each.kind === "split") switches.splits.set(route, each.weights);
      else {
        const { enabled, untilMs, reason } = each;
        switches.maintenance.set(route, { enabled, untilMs, reason });
      }
    }
    this.#switches = switches;
    this.#memory = layOutSwitches(switches);
    this.#spread(this.#memory);
  }

  entries(): Entry[] {
    const now = this.#now();
    return [...this.#kept].map(([key, value]) => entryOf(key, value)).filter(({ untilMs }) => untilMs > now);
  }

  /** What other machines have switched, or was kept. */
  receive(entries: readonly Entry[]): void {
    for (const { key, value } of entries) {
      const found = value === null ? null : keptOf(value);
      if (found === null) this.#kept.delete(key);
      else if (this.#kept.has(key) || this.#kept.size < SWITCHES_MAX) this.#kept.set(key, found);
    }
    if (entries.length > 0) this.#lay();
  }
}

/** Names of routes may be longer than keys of the state. */
const keyOf = (kind: Kept["kind"], route: string): string =>
  `${kind}/${createHash("sha256").update(route).digest("base64url")}`;

function entryOf(key: string, value: Kept | null): Entry {
  if (value === null) return { key, value: null, untilMs: 0 };
  const until = value.kind === "maintenance" ? value.untilMs : null;
  return { key, value: JSON.stringify(value), untilMs: until ?? Number.POSITIVE_INFINITY };
}

function keptOf(text: string): Kept | null {
  try {
    return kept.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
