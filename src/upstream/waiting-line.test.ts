import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TimerWheel } from "../core/timers.ts";
import { priorityOf, WaitingLine } from "./waiting-line.ts";

interface Item {
  readonly name: string;
  withdrawn: boolean;
}

class Rig {
  now = 10_000;
  readonly wheel = new TimerWheel(() => this.now);
  readonly expired: string[] = [];
  readonly line: WaitingLine<Item>;
  readonly items = new Map<string, Item>();

  constructor(capacity = 100, timeoutMs = 1000) {
    this.line = new WaitingLine(capacity, timeoutMs, this.wheel, (item) => this.onExpired(item));
  }

  onExpired(item: Item): void {
    this.expired.push(`${item.name}@${this.now}`);
  }

  /** `a5`: item `a5` into lane 5. */
  push(...names: string[]): boolean[] {
    return names.map((name) => {
      const item = { name, withdrawn: false };
      this.items.set(name, item);
      return this.line.push(item, Number(name[1] ?? 3));
    });
  }
  withdraw(...names: string[]): void {
    for (const name of names) this.items.get(name)!.withdrawn = true;
  }
  remove(name: string): boolean {
    return this.line.remove(this.items.get(name)!);
  }
  shift(accept?: (item: Item) => boolean): string | null {
    return this.line.shift(accept)?.name ?? null;
  }
  all(): string {
    const names: string[] = [];
    for (let name = this.shift(); name !== null; name = this.shift()) names.push(name);
    return names.join(" ");
  }
  pass(ms: number): void {
    const until = this.now + ms;
    while (this.now < until) {
      this.now = Math.min(until, this.now + 100);
      this.wheel.turn();
    }
  }
}

describe("order", () => {
  test("first come, first served, by lane", () => {
    const rig = new Rig();
    rig.push("a3", "b3", "c0", "d7", "e3", "f1", "g0", "h7");
    expect(rig.line.length).toBe(8);
    expect(rig.all()).toBe("c0 g0 f1 a3 b3 e3 d7 h7");
    expect(rig.line.length).toBe(0);
    expect(rig.shift()).toBeNull();
  });

  test("who is not accepted stays", () => {
    const rig = new Rig();
    rig.push("a3", "b3", "c3", "d1");
    expect(rig.shift(({ name }) => name.startsWith("b"))).toBe("b3");
    expect(rig.shift(() => false)).toBeNull();
    expect(rig.all()).toBe("d1 a3 c3");
  });

  test("the first, one in the middle and the last leave", () => {
    const rig = new Rig();
    rig.push("a3", "b3", "c3", "d3", "e3");
    expect(["a3", "c3", "e3", "c3"].map((name) => rig.remove(name))).toEqual([true, true, true, false]);
    rig.push("f3");
    expect(rig.all()).toBe("b3 d3 f3");
    expect(rig.remove("b3")).toBe(false);
  });

  test("the withdrawn are passed over", () => {
    const rig = new Rig();
    rig.push("a3", "b3", "c3", "d3");
    rig.withdraw("a3", "c3", "d3");
    expect(rig.shift(() => true)).toBe("b3");
    expect(rig.shift()).toBeNull();
    expect(rig.line.length).toBe(0);
  });
});

describe("capacity", () => {
  test("no more than that, in whatever lane", () => {
    const rig = new Rig(2);
    expect(rig.push("a3", "b7", "c0")).toEqual([true, true, false]);
    expect(rig.all()).toBe("a3 b7");
    expect(new Rig(0).push("a3")).toEqual([false]);
  });

  test("a client that left frees its place", () => {
    const rig = new Rig(3);
    rig.push("a3", "b3", "c3");
    rig.withdraw("b3");
    expect(rig.push("d3", "e3")).toEqual([true, false]);
    rig.remove("a3");
    expect(rig.push("f3")).toEqual([true]);
    expect(rig.all()).toBe("c3 d3 f3");
  });

  test("a full line is not searched at each refusal, but soon", () => {
    const looks = { count: 0 };
    class Watched {
      readonly #looks = looks;
      gone = false;
      get withdrawn(): boolean {
        this.#looks.count += 1;
        return this.gone;
      }
    }
    const line = new WaitingLine<Watched>(800, 1000, new TimerWheel(() => 0), () => {});
    const items = Array.from({ length: 800 }, () => new Watched());
    for (const item of items) line.push(item, 3);
    looks.count = 0;
    for (let i = 0; i < 10_000; i += 1) expect(line.push(new Watched(), 3)).toBe(false);
    expect(looks.count).toBeLessThanOrEqual(80_800);
    items[17]!.gone = true;
    let refusals = 0;
    while (!line.push(new Watched(), 3)) refusals += 1;
    expect(refusals).toBeLessThanOrEqual(100);
  });
});

describe("time", () => {
  test("everyone waits as long, and not less", () => {
    const rig = new Rig();
    rig.push("a3");
    rig.pass(300);
    rig.push("b7");
    rig.pass(50);
    rig.push("c0");
    rig.pass(3000);
    const waited = Object.fromEntries(rig.expired.map((entry) => entry.split("@") as [string, string]));
    for (const [name, from] of [
      ["a3", 10_000],
      ["b7", 10_300],
      ["c0", 10_350],
    ] as const) {
      const ms = Number(waited[name]) - from;
      expect(ms).toBeGreaterThanOrEqual(1000);
      expect(ms).toBeLessThanOrEqual(1200);
    }
    expect(rig.line.length).toBe(0);
  });

  test("who left in any way does not expire", () => {
    const rig = new Rig();
    rig.push("a3", "b3", "c3", "d3");
    rig.withdraw("a3");
    rig.remove("b3");
    rig.shift();
    rig.pass(5000);
    expect(rig.expired).toEqual(["d3@11100"]);
    expect(rig.line.length).toBe(0);
  });

  test("a timer for each of several generations", () => {
    const rig = new Rig();
    for (let i = 0; i < 5; i += 1) {
      rig.push(`${i}3`);
      rig.pass(2000);
    }
    expect(rig.expired).toHaveLength(5);
  });

  test("what expires may push again and shift", () => {
    const rig = new Rig();
    let again = 2;
    rig.onExpired = ({ name }) => {
      rig.expired.push(name);
      if (again-- > 0) rig.push(`${again}0`, `${again}5`);
      else rig.shift();
    };
    rig.push("a3", "b4");
    rig.pass(1200);
    expect(rig.expired).toEqual(["a3", "b4"]);
    expect(rig.line.length).toBe(4);
    rig.pass(5000);
    expect(rig.expired).toEqual(["a3", "b4", "10", "15"]);
    expect(rig.line.length).toBe(0);
  });

  test("closed, it forgets", () => {
    const rig = new Rig();
    rig.push("a3");
    rig.line.close();
    expect(rig.line.length).toBe(0);
    rig.pass(5000);
    expect(rig.expired).toEqual([]);
    expect(rig.shift()).toBeNull();
  });
});

test("behaves as eight arrays would", () => {
  const CAPACITY = 12;
  const step = fc.record({
    do: fc.constantFrom("push", "push", "push", "shift", "shift even", "remove", "withdraw", "pass"),
    n: fc.nat(1000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const rig = new Rig(CAPACITY);
      const lanes: Item[][] = Array.from({ length: 8 }, () => []);
      const waiting = (): Item[] => lanes.flat().filter(({ withdrawn }) => !withdrawn);
      const leave = (item: Item | null): void => {
        for (const lane of lanes) if (item !== null && lane.includes(item)) lane.splice(lane.indexOf(item), 1);
      };
      const even = ({ name }: Item): boolean => Number(name) % 2 === 0;
      rig.onExpired = (item) => {
        expect(waiting()).toContain(item);
        leave(item);
      };
      for (const [at, { do: what, n }] of steps.entries()) {
        if (what === "push") {
          const item = { name: String(at), withdrawn: false };
          const hadRoom = rig.line.length < CAPACITY;
          const isFull = waiting().length === CAPACITY;
          const pushed = rig.line.push(item, n % 8);
          // In between, places of the withdrawn may be found a refusal later.
          if (hadRoom || isFull) expect(pushed).toBe(hadRoom);
          if (pushed) lanes[n % 8]!.push(item);
        } else if (what.startsWith("shift")) {
          const accept = what === "shift" ? undefined : even;
          const want = waiting().find(accept ?? (() => true)) ?? null;
          expect(rig.line.shift(accept)).toBe(want);
          leave(want);
        } else if (what === "pass") rig.pass(n);
        else {
          const items = waiting();
          const item = items[n % Math.max(1, items.length)];
          if (item === undefined) continue;
          if (what === "withdraw") item.withdrawn = true;
          else expect(rig.line.remove(item)).toBe(true);
          leave(item);
        }
        expect(rig.line.length).toBeLessThanOrEqual(CAPACITY);
        expect(rig.line.length).toBeGreaterThanOrEqual(waiting().length);
      }
      rig.pass(2000);
      expect(waiting()).toEqual([]);
      expect(rig.line.length).toBe(0);
    }),
  );
});

describe("priority", () => {
  const CASES: readonly (readonly [value: string | null, want: number])[] = [
    [null, 3],
    ["", 3],
    ["0", 0],
    ["7", 7],
    ["8", 3],
    ["-1", 3],
    ["05", 3],
    ["u", 3],
    ["u=0", 0],
    ["u=5, i", 5],
    ["i, u=5", 5],
    ["i,u=5", 5],
    ["  i \t,\tu=5  ", 5],
    ["u=1, u=5", 5],
    ["u=1, u", 3],
    ["u=1, u=x", 3],
    ["u=1, u;a=2", 3],
    ["u=5;a=1;b", 5],
    ["u=5 ;a", 5],
    ["u=8", 3],
    ["u=-1", 3],
    ["u=5.0", 3],
    ["u=55", 3],
    ["u=", 3],
    ['u="5"', 3],
    ["U=5", 3],
    ["urgent=5", 3],
    ["xu=5", 3],
    ["u =5", 3],
    ["u= 5", 3],
    ['a="u=1, u=2", i', 3],
    ['a="u=1, \\", u=2", u=6', 6],
    ['u=6, a="', 3],
    ['u=6, a="\\', 3],
    [",,,u=2", 2],
    ["u=５", 3],
  ];
  for (const [value, want] of CASES)
    test(`${JSON.stringify(value)} is ${want}`, () => {
      expect(priorityOf(value)).toBe(want);
    });

  test("any text is a lane", () => {
    const pieces = fc.constantFrom("u", "=", "5", "0", "9", ",", " ", '"', "\\", ";", "i", "a", "(", ")", "\t", "\0");
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(pieces, { maxLength: 20 }).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(text, (value) => {
        const lane = priorityOf(value);
        expect(Number.isInteger(lane) && lane >= 0 && lane < 8).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test("finds the last urgency among other members", () => {
    const other = fc.constantFrom("i", "a=1", 'b="u=1, x"', "c=(1 2)", "d=?0", 'e="\\"";p=u', "u2=4");
    const urgency = fc.integer({ min: 0, max: 7 });
    fc.assert(
      fc.property(fc.array(other), fc.array(urgency, { minLength: 1 }), fc.array(other), (before, urgencies, after) => {
        const members = [...before, ...urgencies.map((each) => `u=${each}`), ...after];
        expect(priorityOf(members.join(", "))).toBe(urgencies.at(-1)!);
      }),
    );
  });
});
