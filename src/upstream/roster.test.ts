import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HEALTH_AWAITED, HEALTH_DOWN, HEALTH_UNKNOWN, HEALTH_UP } from "./board.ts";
import { type Spec, type UpstreamInput, UpstreamRig } from "./upstream.testing.ts";

/** What else is known of a server. */
interface State {
  readonly health?: typeof HEALTH_UNKNOWN | typeof HEALTH_UP | typeof HEALTH_DOWN | typeof HEALTH_AWAITED;
  /** Milliseconds from now. */
  readonly ejectedFor?: number;
  readonly failedFor?: number;
  /** Milliseconds ago. */
  readonly upFor?: number;
}

function rigOf(specs: readonly Spec[], states: Readonly<Record<string, State>>, config: UpstreamInput): UpstreamRig {
  const rig = new UpstreamRig(specs, config);
  for (const [id, { health, ejectedFor, failedFor, upFor }] of Object.entries(states)) {
    const slot = rig.slotOf(id);
    if (health !== undefined) rig.board.setHealth(slot, health);
    if (ejectedFor !== undefined) rig.board.eject(slot, rig.now + ejectedFor, 0);
    if (failedFor !== undefined) rig.server(id).failedUntil = rig.now + failedFor;
    if (upFor !== undefined) rig.board.setUpSince(slot, rig.now - upFor);
  }
  rig.upstream.roster.touch();
  return rig;
}

/** Out of a hundred requests in turn, how many each server gets: `a50 b50`. */
function shares(rig: UpstreamRig, of = 100): string {
  const counts = new Map<string, number>();
  for (let i = 0; i < of; i += 1) {
    const name = rig.upstream.roster.next(0, null)?.name ?? "nobody";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .sort()
    .map(([name, count]) => `${name}${count}`)
    .join(" ");
}

const DOWN: State = { health: HEALTH_DOWN };
const EJECTED: State = { ejectedFor: 1000 };
const spare = (id: string): Spec => ({ id, backup: true });
const near = (id: string, weight = 1): Spec => ({ id, zone: "near", weight });
const far = (id: string, weight = 1): Spec => ({ id, zone: "far", weight });
const ZONE: UpstreamInput = { preferZone: "near" };

describe("who gets how much of a hundred", () => {
  const CASES: readonly (readonly [string, readonly Spec[], Readonly<Record<string, State>>, UpstreamInput, string])[] =
    [
      ["all alike", ["a", "b"], {}, {}, "a50 b50"],
      ["weights", [{ id: "a", weight: 3 }, "b"], {}, {}, "a75 b25"],
      ["no weight", [{ id: "a", weight: 0 }, "b"], {}, {}, "b100"],
      ["nobody", [], {}, {}, "nobody100"],
      ["no weight at all", [{ id: "a", weight: 0 }], {}, {}, "nobody100"],
      ["never checked", ["a", "b"], { a: { health: HEALTH_UNKNOWN } }, {}, "a50 b50"],
      ["found healthy", ["a", "b"], { a: { health: HEALTH_UP } }, {}, "a50 b50"],
      ["found down", ["a", "b"], { a: DOWN }, {}, "b100"],
      ["new, and not checked yet", ["a", "b"], { a: { health: HEALTH_AWAITED } }, {}, "b100"],
      ["all down", ["a", "b"], { a: DOWN, b: DOWN }, {}, "nobody100"],
      ["ejected", ["a", "b"], { a: EJECTED }, {}, "b100"],
      ["connects fail", ["a", "b"], { a: { failedFor: 1000 } }, {}, "b100"],
      ["ejected until now", ["a", "b"], { a: { ejectedFor: 0 } }, {}, "a50 b50"],
      ["passive signs leave nobody out when there is nobody else", ["a", "b"], { a: EJECTED, b: DOWN }, {}, "a100"],
      ["…all of them", ["a", "b"], { a: EJECTED, b: { failedFor: 5 } }, {}, "a50 b50"],
      ["drained", [{ id: "a", mode: "drain" }, "b"], {}, {}, "b100"],
      ["drained but for its clients", [{ id: "a", mode: "drain-sticky" }, "b"], {}, {}, "b100"],
      ["disabled", [{ id: "a", mode: "disabled" }, "b"], {}, {}, "b100"],
      ["all drained", [{ id: "a", mode: "drain" }], {}, {}, "nobody100"],
      ["a backup waits", ["a", spare("b")], {}, {}, "a100"],
      ["a backup takes over", ["a", spare("b")], { a: DOWN }, {}, "b100"],
      ["…from those that are left out", ["a", spare("b")], { a: EJECTED }, {}, "b100"],
      ["…and not while it is down itself", ["a", spare("b")], { a: EJECTED, b: DOWN }, {}, "a100"],
      ["…but for its own signs", ["a", spare("b")], { a: DOWN, b: EJECTED }, {}, "b100"],
      ["above panic", ["a", "b"], { a: DOWN }, { panic: "50%" }, "b100"],
      ["panic", ["a", "b", "c", "d"], { a: DOWN, b: EJECTED, c: DOWN }, { panic: "50%" }, "a25 b25 c25 d25"],
      ["no panic while backups are well", ["a", spare("b")], { a: DOWN }, { panic: "50%" }, "b100"],
      ["panic spares the drained", ["a", { id: "b", mode: "drain" }], { a: DOWN }, { panic: "50%" }, "a100"],
      ["slow start: half of its time", ["a", "b"], { b: { upFor: 5000 } }, { slowStart: "10s" }, "a67 b33"],
      ["slow start: its first moment", ["a", "b"], { b: { upFor: 1 } }, { slowStart: "10s" }, "a95 b5"],
      ["slow start: over", ["a", "b"], { b: { upFor: 10_000 } }, { slowStart: "10s" }, "a50 b50"],
      ["no slow start", ["a", "b"], { b: { upFor: 1 } }, {}, "a50 b50"],
      ["alone in its slow start", ["a", "b"], { a: DOWN, b: { upFor: 1 } }, { slowStart: "10s" }, "b100"],
      ["the preferred zone", [near("a"), near("b"), far("c")], {}, ZONE, "a50 b50"],
      ["…bears the loss of a few", [near("a", 3), near("b"), far("c")], { b: DOWN }, ZONE, "a100"],
      ["…and spills what it cannot bear", [near("a"), near("b"), far("c")], { b: DOWN }, ZONE, "a70 c30"],
      ["…over the others by weight", [near("a"), near("b"), far("c", 2), far("d")], { b: DOWN }, ZONE, "a70 c20 d10"],
      ["…all of it when it is gone", [near("a"), far("c"), far("d")], { a: DOWN }, ZONE, "c50 d50"],
      ["a zone that nobody is in", [far("c"), far("d")], {}, ZONE, "c50 d50"],
      ["no zone preferred", [near("a"), far("c")], {}, {}, "a50 c50"],
    ];
  for (const [name, specs, states, config, expected] of CASES)
    test(name, () => {
      const rig = rigOf(specs, states, config);
      expect(shares(rig)).toBe(expected);
      expect(rig.upstream.roster.available).toBe(expected !== "nobody100");
    });
});

describe("time and other threads change it", () => {
  test("an ejection ends by itself", () => {
    const rig = rigOf(["a", "b"], { a: EJECTED }, {});
    expect(shares(rig)).toBe("b100");
    rig.pass(900);
    expect(shares(rig)).toBe("b100");
    rig.pass(100);
    expect(shares(rig)).toBe("a50 b50");
  });

  test("the first of several ends first", () => {
    const rig = rigOf(["a", "b", "c"], { a: EJECTED, b: { failedFor: 400 } }, {});
    expect(shares(rig)).toBe("c100");
    rig.pass(400);
    expect(shares(rig)).toBe("b50 c50");
    rig.pass(600);
    expect(shares(rig, 99)).toBe("a33 b33 c33");
  });

  test("a slow start goes on by itself, from its ejection's end", () => {
    const rig = rigOf(["a", "b"], { b: EJECTED }, { slowStart: "10s" });
    const seen: string[] = [];
    for (const ms of [1000, 2000, 3000, 5000]) {
      rig.pass(ms);
      seen.push(shares(rig));
    }
    expect(seen).toEqual(["a95 b5", "a84 b16", "a66 b34", "a50 b50"]); // 2 in 12, 1 in 3: whoever was owed a turn keeps it
  });

  test("health that another thread writes is seen at once", () => {
    const rig = rigOf(["a", "b"], {}, {});
    expect(shares(rig)).toBe("a50 b50");
    rig.board.setHealth(rig.slotOf("a"), HEALTH_DOWN);
    expect(shares(rig)).toBe("b100");
    rig.board.setHealth(rig.slotOf("a"), HEALTH_UP);
    expect(shares(rig)).toBe("a50 b50");
  });
});

describe("a server that goes down is forsaken", () => {
  const forsaken = (rig: UpstreamRig): string[] => {
    const names: string[] = [];
    for (const server of rig.upstream.servers) server.forsake = () => void names.push(server.name);
    return names;
  };

  test("once for each time", async () => {
    const rig = rigOf(["a", "b"], {}, {});
    const names = forsaken(rig);
    rig.upstream.look();
    for (const health of [HEALTH_DOWN, HEALTH_DOWN, HEALTH_UP, HEALTH_DOWN] as const) {
      rig.board.setHealth(rig.slotOf("a"), health);
      rig.upstream.look();
      rig.upstream.look();
      await Promise.resolve();
    }
    expect(names).toEqual(["a", "a"]);
  });

  test("not when it was so from the start", async () => {
    const rig = rigOf(["a", "b"], {}, {});
    rig.board.setHealth(rig.slotOf("c") ?? rig.membership(["c"]).members[0]!.slot, HEALTH_DOWN);
    rig.upstream.setMembers(rig.membership(["a", "b", "c"]));
    const names = forsaken(rig);
    rig.upstream.look();
    await Promise.resolve();
    expect(names).toEqual([]);
  });

  test("also when the list of servers changes before anybody has looked", async () => {
    const rig = rigOf(["a", "b"], {}, {});
    const names = forsaken(rig);
    rig.board.setHealth(rig.slotOf("a"), HEALTH_DOWN);
    rig.upstream.setMembers(rig.membership(["a", "b", "c"]));
    await Promise.resolve();
    expect(names).toEqual(["a"]);
  });
});

describe("where there is nobody by the usual account", () => {
  const CASES: readonly (readonly [
    name: string,
    specs: readonly Spec[],
    states: Readonly<Record<string, State>>,
    config: UpstreamInput,
    overflow: string,
    retry: string,
  ])[] = [
    ["an ejected server is only for a further try", ["a", "b"], { b: EJECTED }, {}, "", "b"],
    ["one that cannot be reached too", ["a", "b"], { b: { failedFor: 9 } }, {}, "", "b"],
    ["…after those that can", ["a", "b", "c"], { b: { failedFor: 9 }, c: EJECTED }, {}, "", "c"],
    ["a backup too", ["a", spare("b")], {}, {}, "", "b"],
    ["one that is down never", ["a", "b"], { b: DOWN }, {}, "", ""],
    ["nor one that was not checked yet", ["a", "b"], { b: { health: HEALTH_AWAITED } }, {}, "", ""],
    ["nor a drained one", ["a", { id: "b", mode: "drain" }], {}, {}, "", ""],
    ["nor one without weight", ["a", { id: "b", weight: 0 }], {}, {}, "", ""],
    ["another zone takes what overflows", [near("a"), far("b")], {}, ZONE, "b", "b"],
    ["…if it is well", [near("a"), far("b")], { b: EJECTED }, ZONE, "", "b"],
  ];
  for (const [name, specs, states, config, overflow, retry] of CASES)
    test(name, () => {
      const rig = rigOf(specs, states, config);
      const { roster } = rig.upstream;
      roster.next(0, null);
      const mask = (): Uint8Array => {
        const tried = roster.mask();
        tried[rig.server("a").index] = 1;
        return tried;
      };
      expect(roster.next(0, mask())).toBeNull();
      expect(roster.beyond(mask(), false)?.name ?? "").toBe(overflow);
      expect(roster.beyond(mask(), true)?.name ?? "").toBe(retry);
    });
});

test("whose client may come back", () => {
  const CASES: readonly (readonly [Spec, State, boolean])[] = [
    ["a", {}, true],
    [{ id: "a", mode: "drain-sticky" }, {}, true],
    [{ id: "a", weight: 0 }, {}, true],
    [{ id: "a", mode: "drain" }, {}, false],
    [{ id: "a", mode: "disabled" }, {}, false],
    ["a", DOWN, false],
    ["a", EJECTED, false],
    ["a", { failedFor: 100 }, false],
  ];
  for (const [spec, state, keeps] of CASES) {
    const rig = rigOf([spec, "b"], { a: state }, {});
    expect([spec, state, rig.upstream.roster.keeps(rig.server("a"))]).toEqual([spec, state, keeps]);
  }
});

test("property: whoever is chosen is ready, and there is always somebody while one ready server is not down", () => {
  const spec = fc.record({
    mode: fc.constantFrom("ready", "drain", "drain-sticky", "disabled"),
    weight: fc.constantFrom(0, 1, 3),
    backup: fc.boolean(),
    zone: fc.constantFrom("near", "far"),
    health: fc.constantFrom(HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN, HEALTH_AWAITED),
    ejectedFor: fc.constantFrom(-1, 500),
    failedFor: fc.constantFrom(-1, 500),
    upFor: fc.constantFrom(0, 1, 5000),
  });
  const config = fc.record({
    panic: fc.constantFrom("0%", "50%", "100%"),
    slowStart: fc.constantFrom(undefined, "10s"),
    preferZone: fc.constantFrom(undefined, "near", "elsewhere"),
  });
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 6 }), config, (all, { panic, slowStart, preferZone }) => {
      const named = all.map((each, i) => ({ ...each, id: `s${i}` }));
      const rig = rigOf(
        named.map(({ id, mode, weight, backup, zone }) => ({ id, mode, weight, backup, zone })) as Spec[],
        Object.fromEntries(
          named.map(({ id, health, ejectedFor, failedFor, upFor }) => [id, { health, ejectedFor, failedFor, upFor }]),
        ),
        {
          panic,
          ...(slowStart === undefined ? {} : { slowStart }),
          ...(preferZone === undefined ? {} : { preferZone }),
        },
      );
      const chosen = rig.upstream.roster.next(0, null);
      const ready = named.filter(({ mode, weight }) => mode === "ready" && weight > 0);
      const well = ready.filter(({ health }) => health !== HEALTH_DOWN && health !== HEALTH_AWAITED);
      if (chosen !== null) expect(ready.map(({ id }) => id)).toContain(chosen.name);
      if (well.length > 0) expect(chosen).not.toBeNull();
      // One that nothing is known of yet is better than none.
      const awaited = ready.filter(({ health, backup }) => health === HEALTH_AWAITED && !backup);
      const fit = well.length > 0 ? well : awaited;
      if (chosen !== null && panic === "0%") expect(fit.map(({ id }) => id)).toContain(chosen.name);
      expect(rig.upstream.roster.available).toBe(chosen !== null);
    }),
    { numRuns: 300 },
  );
});
