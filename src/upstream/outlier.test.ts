import { describe, expect, test } from "bun:test";
import { millis } from "../core/units.ts";
import { Board, HEALTH_DOWN, HEALTH_UP } from "./board.ts";
import { type Ejection, Outlier, type OutlierConfig } from "./outlier.ts";

const CONFIG: OutlierConfig = {
  consecutiveErrors: 5,
  errorRate: 0.5,
  minRequests: 20,
  interval: millis(10_000),
  ejectFor: millis(30_000),
  ejectMax: millis(100_000),
  maxEjected: 0.5,
};

// Memory is made once: a board is large, and each test takes slots of its own.
const MEMORY = Board.memory(2);
let nextSlot = 1;

class Rig {
  now = 1_000_000;
  readonly board = new Board(MEMORY, 0);
  readonly slots: readonly number[];
  readonly outlier: Outlier;
  /** The same upstream as another thread sees it. */
  readonly other: Outlier;

  constructor(servers: number, config: Partial<OutlierConfig> = {}, random = () => 0) {
    this.board.tick(this.now);
    this.slots = Array.from({ length: servers }, () => nextSlot++);
    const merged = { ...CONFIG, ...config };
    this.outlier = new Outlier(this.board, merged, () => this.slots, random);
    this.other = new Outlier(new Board(MEMORY, 1), merged, () => this.slots, random);
  }

  pass(ms: number): void {
    this.now += ms;
    this.board.tick(this.now);
  }

  /** Errors in a row, each told to a thread's outlier as a worker does; true once one ejected the server. */
  fail(server: number, times: number, outlier = this.outlier): boolean {
    let ejected = false;
    for (let i = 0; i < times; i += 1) {
      const inARow = this.board.count(this.slots[server]!, true, 0);
      if (outlier.errorsInARow(this.slots[server]!, inARow)) ejected = true;
    }
    return ejected;
  }

  /** Traffic of one interval that no errors in a row stand out of. */
  traffic(server: number, good: number, bad: number, ms = 10): void {
    for (let i = 0; i < bad; i += 1) this.board.count(this.slots[server]!, true, 0);
    for (let i = 0; i < good; i += 1) this.board.count(this.slots[server]!, false, ms);
  }

  /** An interval ends. Ejections as `server reason seconds`. */
  evaluate(ms = 10_000): string[] {
    this.pass(ms);
    return this.outlier.evaluate().map((each) => this.#show(each));
  }

  #show({ slot, reason, forMs }: Ejection): string {
    return `${this.slots.indexOf(slot)} ${reason} ${forMs / 1000}`;
  }

  out(): number[] {
    return this.slots.flatMap((slot, at) => (this.board.ejectedUntil(slot) > this.now ? [at] : []));
  }
  ejections(server: number): number {
    return this.board.ejections(this.slots[server]!);
  }
}

describe("errors in a row", () => {
  const CASES: readonly (readonly [name: string, servers: number, config: Partial<OutlierConfig>, want: number])[] = [
    ["half of four", 4, {}, 2],
    ["half of five", 5, {}, 2],
    ["one of two, whatever the share", 2, { maxEjected: 0.01 }, 1],
    ["never the only one", 1, { maxEjected: 1 }, 0],
    ["all but the last", 3, { maxEjected: 1 }, 2],
    ["29 % of a hundred", 100, { maxEjected: 0.29 }, 29],
    ["switched off", 4, { consecutiveErrors: 0 }, 0],
  ];
  for (const [name, servers, config, want] of CASES)
    test(`${name}: ${want} may be out`, () => {
      const rig = new Rig(servers, config);
      for (let server = 0; server < servers; server += 1) rig.fail(server, 8);
      expect(rig.out()).toHaveLength(want);
    });

  test("the fifth ejects; an answer in between begins anew", () => {
    const rig = new Rig(3);
    expect(rig.fail(0, 4)).toBe(false);
    rig.traffic(0, 1, 0);
    expect(rig.fail(0, 4)).toBe(false);
    expect(rig.fail(0, 1)).toBe(true);
    expect(rig.out()).toEqual([0]);
  });

  test("one that is ejected is not ejected again, by any thread", () => {
    const rig = new Rig(4);
    expect(rig.fail(0, 5)).toBe(true);
    expect(rig.fail(0, 20)).toBe(false);
    expect(rig.fail(0, 20, rig.other)).toBe(false);
    expect(rig.ejections(0)).toBe(1);
    expect(rig.board.ejectedUntil(rig.slots[0]!)).toBe(rig.now + 30_000);
  });

  test("where no more may be out, it goes once there is room", () => {
    const rig = new Rig(2);
    expect(rig.fail(0, 5)).toBe(true);
    expect(rig.fail(1, 50)).toBe(false);
    rig.pass(30_000);
    expect(rig.fail(1, 1)).toBe(true);
    expect(rig.out()).toEqual([1]);
  });

  test("servers that are down are not usable instead", () => {
    const rig = new Rig(3, { maxEjected: 1 });
    rig.board.setHealth(rig.slots[1]!, HEALTH_DOWN);
    rig.board.setHealth(rig.slots[2]!, HEALTH_DOWN);
    expect(rig.fail(0, 5)).toBe(false);
    rig.board.setHealth(rig.slots[2]!, HEALTH_UP);
    expect(rig.fail(0, 1)).toBe(true);
    expect(rig.fail(2, 5)).toBe(false);
  });

  test("a server that is no longer of the upstream is left alone", () => {
    const rig = new Rig(2);
    expect(rig.outlier.errorsInARow(nextSlot++, 100)).toBe(false);
  });

  test("two threads that eject different servers at once leave one", () => {
    const rig = new Rig(2);
    // The other thread decides between this one's check and its ejection.
    const eject = rig.board.eject.bind(rig.board);
    let otherEjected = false;
    rig.board.eject = (slot, until, before) => {
      otherEjected = rig.other.errorsInARow(rig.slots[1]!, 5);
      return eject(slot, until, before);
    };
    expect(rig.fail(0, 5)).toBe(false);
    expect(otherEjected).toBe(true);
    expect(rig.out()).toEqual([1]);
    expect(rig.ejections(0)).toBe(0);
  });

  test("two threads that eject the same server at once eject it once", () => {
    const rig = new Rig(4);
    const eject = rig.board.eject.bind(rig.board);
    let otherEjected = false;
    rig.board.eject = (slot, until, before) => {
      otherEjected = rig.other.errorsInARow(slot, 6);
      return eject(slot, until, before);
    };
    expect(rig.fail(0, 5)).toBe(false);
    expect(otherEjected).toBe(true);
    expect(rig.out()).toEqual([0]);
    expect(rig.ejections(0)).toBe(1);
  });
});

describe("an interval", () => {
  type Traffic = readonly (readonly [good: number, bad: number, ms?: number])[];
  const CASES: readonly (readonly [
    name: string,
    config: Partial<OutlierConfig>,
    traffic: Traffic,
    want: readonly string[],
  ])[] = [
    [
      "nothing happened",
      {},
      [
        [0, 0],
        [0, 0],
      ],
      [],
    ],
    [
      "half of the requests failed",
      {},
      [
        [10, 10],
        [20, 0],
      ],
      ["0 error rate 30"],
    ],
    [
      "not quite half",
      {},
      [
        [11, 10],
        [20, 0],
      ],
      [],
    ],
    [
      "too few requests",
      {},
      [
        [0, 19],
        [20, 0],
      ],
      [],
    ],
    [
      "7 % of a hundred is 7",
      { errorRate: 0.07 },
      [
        [93, 7],
        [100, 0],
      ],
      ["0 error rate 30"],
    ],
    [
      "no errors are no share of errors",
      { errorRate: 0 },
      [
        [20, 0],
        [20, 0],
      ],
      [],
    ],
    [
      "the worst go first",
      {},
      [
        [10, 10],
        [5, 15],
        [0, 20],
        [20, 0],
      ],
      ["2 error rate 30", "1 error rate 30"],
    ],
    [
      "slow, but nobody asked",
      {},
      [
        [20, 0, 900],
        [20, 0],
        [20, 0],
        [20, 0],
      ],
      [],
    ],
    [
      "three times the others",
      { latency: 3 },
      [
        [20, 0, 30],
        [20, 0, 10],
        [20, 0, 10],
      ],
      ["0 latency 30"],
    ],
    [
      "not quite three times",
      { latency: 3 },
      [
        [20, 0, 29],
        [20, 0, 10],
        [20, 0, 10],
      ],
      [],
    ],
    [
      "two servers have no typical latency",
      { latency: 3 },
      [
        [20, 0, 900],
        [20, 0, 10],
      ],
      [],
    ],
    [
      "too few answers to be measured",
      { latency: 3 },
      [
        [20, 0, 900],
        [20, 0],
        [19, 0],
      ],
      [],
    ],
    [
      "the median of an even number",
      { latency: 2 },
      [
        [20, 0, 24],
        [20, 0, 10],
        [20, 0, 14],
        [20, 0, 10],
        [20, 0, 14],
      ],
      ["0 latency 30"],
    ],
    [
      "not quite twice that",
      { latency: 2 },
      [
        [20, 0, 23],
        [20, 0, 10],
        [20, 0, 14],
        [20, 0, 10],
        [20, 0, 14],
      ],
      [],
    ],
    [
      "the slowest go first",
      { latency: 2 },
      [
        [20, 0, 40],
        [20, 0, 10],
        [20, 0, 10],
        [20, 0, 10],
        [20, 0, 90],
      ],
      ["4 latency 30", "0 latency 30"],
    ],
    [
      "errors before latency, one share for both",
      { latency: 2 },
      [
        [20, 0, 900],
        [20, 0, 10],
        [0, 20],
        [20, 0, 10],
        [0, 20],
      ],
      ["2 error rate 30", "4 error rate 30"],
    ],
  ];
  for (const [name, config, traffic, want] of CASES)
    test(name, () => {
      const rig = new Rig(traffic.length, config);
      for (const [server, [good, bad, ms]] of traffic.entries()) rig.traffic(server, good, bad, ms);
      expect(rig.evaluate()).toEqual([...want]);
    });

  test("what was counted before does not count again", () => {
    const rig = new Rig(2);
    rig.traffic(0, 9, 9);
    expect(rig.evaluate()).toEqual([]);
    rig.traffic(0, 9, 9);
    expect(rig.evaluate()).toEqual([]);
  });

  test("what it was ejected for is not held against it when it is back", () => {
    const rig = new Rig(2, { ejectFor: millis(1000) });
    expect(rig.fail(0, 30)).toBe(true);
    expect(rig.evaluate()).toEqual([]);
    rig.traffic(0, 20, 30);
    expect(rig.evaluate()).toEqual(["0 error rate 2"]);
  });
});

describe("how long", () => {
  test("longer each time, up to the maximum, and forgiven one by one", () => {
    const rig = new Rig(3, { ejectMax: millis(70_000) });
    const lengths: number[] = [];
    for (let time = 0; time < 5; time += 1) {
      rig.fail(0, 5);
      const until = rig.board.ejectedUntil(rig.slots[0]!);
      lengths.push((until - rig.now) / 1000);
      // Intervals while it is out forgive nothing.
      while (rig.now < until) rig.evaluate();
    }
    expect(lengths).toEqual([30, 60, 70, 70, 70]);
    expect(rig.ejections(0)).toBe(3);
    // The interval in which it came back is not one that it behaved in as a whole.
    rig.pass(1);
    const left: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      rig.evaluate();
      left.push(rig.ejections(0));
    }
    expect(left).toEqual([2, 1, 0, 0, 0]);
  });

  test("an interval of failures is not forgiven, too few to judge or not", () => {
    const rig = new Rig(2, { ejectFor: millis(1000) });
    rig.fail(0, 5);
    rig.evaluate();
    expect(rig.ejections(0)).toBe(1);
    rig.traffic(0, 2, 3);
    rig.evaluate();
    expect(rig.ejections(0)).toBe(1);
    rig.traffic(0, 5, 1);
    rig.evaluate();
    expect(rig.ejections(0)).toBe(0);
  });

  test("up to a tenth less by chance", () => {
    for (const [random, want] of [
      [0, 30_000],
      [0.5, 28_500],
      [0.999, 27_003],
    ] as const) {
      const rig = new Rig(2, {}, () => random);
      rig.fail(0, 5);
      expect(rig.board.ejectedUntil(rig.slots[0]!) - rig.now).toBe(want);
    }
  });
});
