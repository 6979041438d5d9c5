import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { millis } from "../core/units.ts";
import { Board } from "./board.ts";
import { CircuitBreaker, type CircuitBreakerConfig } from "./circuit-breaker.ts";

const CONFIG: CircuitBreakerConfig = {
  errorRate: 0.5,
  minRequests: 10,
  window: millis(10_000),
  openFor: millis(16_000), // a multiple of 16 ms, so that tables can be exact
  probes: 3,
};

// Memory is made once: a board is large, and each test takes a slot of its own.
const MEMORY = Board.memory(2);
let nextSlot = 1;

class Rig {
  now: number;
  readonly board = new Board(MEMORY, 0);
  /** The same circuit as two threads have it. */
  readonly a: CircuitBreaker;
  readonly b: CircuitBreaker;

  constructor(config: Partial<CircuitBreakerConfig> = {}, now = 5_000_000) {
    this.now = now;
    this.board.tick(now);
    const slot = nextSlot++;
    const merged = { ...CONFIG, ...config };
    this.a = new CircuitBreaker(this.board, slot, merged);
    this.b = new CircuitBreaker(new Board(MEMORY, 1), slot, merged);
  }

  /**
   * Runs steps and returns what they said. `ok5`, `err5`: five outcomes; `ask5`: how many of five may go; `gone1`: one
   * cancelled; `w100`: 100 ms pass; `state`; `retry`: milliseconds. Threads take turns.
   */
  run(script: string): string[] {
    const said: string[] = [];
    let turn = 0;
    const thread = (): CircuitBreaker => (turn++ % 2 === 0 ? this.a : this.b);
    for (const step of script.split(" ")) {
      const [, what, digits] = /^([a-z]+)(\d*)$/.exec(step)!;
      const times = Number(digits);
      if (what === "ok") for (let i = 0; i < times; i += 1) thread().outcome(false);
      else if (what === "err") for (let i = 0; i < times; i += 1) thread().outcome(true);
      else if (what === "gone") for (let i = 0; i < times; i += 1) thread().cancelled();
      else if (what === "ask") {
        let allowed = 0;
        for (let i = 0; i < times; i += 1) if (thread().allow()) allowed += 1;
        said.push(String(allowed));
      } else if (what === "w") this.pass(times);
      else if (what === "state") said.push(thread().state);
      else if (what === "retry") said.push(String(thread().retryAfterMs()));
      else throw new Error(`no step "${step}"`);
    }
    return said;
  }

  pass(ms: number): void {
    this.now += ms;
    this.board.tick(this.now);
  }
}

type Case = readonly [name: string, script: string, want: string, config?: Partial<CircuitBreakerConfig>];
const OPENED = "err10 w16000";

const CASES: readonly Case[] = [
  ["closed at first", "state ask100 retry", "closed 100 0"],
  ["opens at the rate", "ok5 err4 state err1 state ask100", "closed open 0"],
  ["stays closed below it", "ok12 err11 state ask9", "closed 9"],
  ["7 % of a hundred is 7", "ok93 err6 state err1 state", "closed open", { errorRate: 0.07 }],
  ["too few requests", "err9 state err1 state", "closed open"],
  ["errors of two threads add up", "ok4 err5 ok1 state err1 state", "closed open"],
  [
    "an answer after the rate was reached opens nothing; the next error does",
    "err9 ok1 state err1 state",
    "closed open",
  ],
  ["errors older than the window do not count", "err9 w10000 err9 state err1 state", "closed open"],
  ["errors within four fifths of it do", "err9 w7999 err1 state", "open"],
  ["old requests do not hide new errors", "ok1000 w10001 err10 state", "open"],
  ["and recent ones do", "ok1000 w7000 err10 state", "closed"],
  [
    "the window slides",
    "err3 w2000 err3 w2000 err3 w2000 ok9 w2000 w2000 w2000 err2 state err1 state",
    "closed closed",
  ],
  ["after a year everything is forgotten", "err9 w31536000000 err1 state", "closed"],
  ["a window of a few milliseconds", "err9 w6 err9 state err1 state", "closed open", { window: millis(5) }],

  ["open until openFor has passed", "err10 w15900 ask9 state w100 ask1 state", "0 open 1 half-open"],
  ["says when to come again", "err10 retry w6000 retry w9984 retry w16 retry", "16000 10000 16 0"],
  ["it is still open when nobody asks", `${OPENED} w9999 state retry ask1 state`, "open 0 1 half-open"],
  ["late outcomes change nothing while open", "err10 ok50 err50 state w16000 ask1", "open 1"],
  ["a year later it is tried", "err10 w31536000000 ask9", "3"],
  ["a quarter of a year later too", "err10 w7776000000 ask9", "3"],

  ["as many probes as it should", `${OPENED} ask10 state`, "3 half-open"],
  ["a thousand probes", `${OPENED} ask2000 ok999 state ok1 state`, "1000 half-open closed", { probes: 1000 }],
  ["one probe", `${OPENED} ask9 ok1 state`, "1 closed", { probes: 1 }],
  ["good probes close", `${OPENED} ask9 ok2 state ok1 state ask50`, "3 half-open closed 50"],
  [
    "and the past is forgotten",
    "err10 w1000 ask9 ok3 err9 state err1 state",
    "3 closed open",
    { openFor: millis(992) },
  ],
  [
    "a failed probe opens again, for the whole time",
    `${OPENED} ask9 ok2 err1 state w15900 ask9 w100 ask9`,
    "3 open 0 3",
  ],
  [
    "what was good before it does not count",
    `${OPENED} ask9 ok2 err1 w16000 ask9 ok2 state ok1 state`,
    "3 3 half-open closed",
  ],
  ["probes one after the other", `${OPENED} ask1 ok1 ask1 ok1 state ask1 ok1 state`, "1 1 half-open 1 closed"],
  ["more answers than probes", `${OPENED} ask1 ok9 state`, "1 half-open"],
  ["clients are not told to wait for long", `${OPENED} ask3 retry w15488 retry`, "3 1000 512"],

  ["a probe whose client left makes room for another", `${OPENED} ask9 gone1 ask9 ok3 state`, "3 1 closed"],
  ["all left", `${OPENED} ask9 gone3 ask9 gone3 ask1 ok1 ask9 ok2 state`, "3 3 1 2 closed"],
  ["no more room than probes", `${OPENED} ask9 ok2 gone9 ask9`, "3 1"],
  ["leaving otherwise changes nothing", "gone9 err9 gone1 state err1 gone9 state w16000 gone9 ask9", "closed open 3"],
  ["probes that never end", `${OPENED} ask9 w15900 ask9 w100 ask9 ok3 state`, "3 0 3 closed"],
  ["some of them ended", `${OPENED} ask9 ok2 w16000 ask9 ok2 state ok1 state`, "3 3 half-open closed"],
];

describe("circuit breaker", () => {
  // The second time is where 30 bits of 16 ms begin again, the third where their sign changes.
  for (const [name, script, want, config] of CASES)
    for (const start of [5_000_000, 2 ** 34 - 7000, 2 ** 33 - 7000])
      test(`${name}, from ${start}`, () => {
        // Sub-windows begin at full two seconds.
        const at = start - (start % 2000);
        expect(new Rig(config, at).run(script).join(" ")).toBe(want);
      });

  test("a thread whose clock lies back does not shorten the time", () => {
    const rig = new Rig();
    rig.run("err10");
    rig.board.tick(rig.now - 50);
    expect(rig.run("ask9 state")).toEqual(["0", "open"]);
    expect(rig.run("w16050 ask1")).toEqual(["1"]);
    rig.board.tick(rig.now - 50);
    expect(rig.run("ask9 state")).toEqual(["2", "half-open"]);
  });

  test("a thread whose clock lies back counts in the current sub-window", () => {
    const rig = new Rig();
    rig.run("err5 w2000 err4");
    rig.board.tick(rig.now - 100);
    rig.b.outcome(true);
    expect(rig.a.state).toBe("open");
  });

  test("a slot that was reset is closed", () => {
    const rig = new Rig();
    rig.run("err10");
    rig.board.reset(nextSlot - 1, 0);
    expect(rig.run("state ask9 err9 state")).toEqual(["closed", "9", "closed"]);
  });

  test("whatever happens: probes are few, refusals end, and good probes close it", () => {
    const steps = fc.array(
      fc.record({
        thread: fc.boolean(),
        step: fc.constantFrom("ask", "ok", "err", "gone", "wait", "wait long"),
        times: fc.integer({ min: 1, max: 12 }),
      }),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(steps, fc.integer({ min: 0, max: 2 ** 35 }), (script, start) => {
        const rig = new Rig({}, start);
        nextSlot -= 1; // a board has not enough slots for all runs
        rig.board.reset(nextSlot, 0);
        let allowedWhileNotClosed = 0;
        let elapsedMs = 0;
        let ended = 0; // what makes room for further probes
        for (const { thread, step, times } of script) {
          const breaker = thread ? rig.a : rig.b;
          for (let i = 0; i < times; i += 1) {
            if (step === "ask") {
              const closed = breaker.state === "closed";
              if (breaker.allow() && !closed) allowedWhileNotClosed += 1;
            } else if (step === "ok") breaker.outcome(false);
            else if (step === "err") breaker.outcome(true);
            else if (step === "gone") {
              breaker.cancelled();
              ended += 1;
            } else {
              const ms = step === "wait" ? 300 : 4000;
              rig.pass(ms);
              elapsedMs += ms;
            }
          }
        }
        expect(allowedWhileNotClosed).toBeLessThanOrEqual(CONFIG.probes * (1 + elapsedMs / 15_984) + ended);
        rig.pass(16_016);
        // What is left of a trial, some of whose probes may never end, and then one more.
        for (let i = 0; i < 2 * CONFIG.probes && rig.a.state !== "closed"; i += 1) {
          expect(rig.b.allow()).toBe(true);
          rig.a.outcome(false);
        }
        expect(rig.b.state).toBe("closed");
      }),
      { numRuns: 300 },
    );
  });
});
