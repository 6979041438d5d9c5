import { afterEach, describe, expect, jest, test } from "bun:test";
import { FaultError } from "../core/faults.ts";
import { type Attempt, connectAny, orderAddresses } from "./happy-eyeballs.ts";

const ORDER: readonly (readonly [name: string, addresses: readonly string[], want: readonly string[]])[] = [
  ["nothing", [], []],
  ["one family", ["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]],
  ["IPv6 first", ["10.0.0.1", "fd00::1"], ["fd00::1", "10.0.0.1"]],
  ["taking turns", ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"], ["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2"]],
  [
    "the longer family ends it",
    ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"],
    ["fd00::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"],
  ],
];
for (const [name, addresses, want] of ORDER)
  test(`order: ${name}`, () => expect(orderAddresses(addresses)).toEqual([...want]));

interface Fake {
  readonly address: string;
  close(): void;
}

/** Dials nothing: the test decides what becomes of every attempt. */
class Dials {
  readonly log: string[] = [];
  readonly #attempts = new Map<string, PromiseWithResolvers<Fake>>();

  readonly dial = (address: string): Attempt<Fake> => {
    const attempt = Promise.withResolvers<Fake>();
    this.#attempts.set(address, attempt);
    this.log.push(`dial ${address}`);
    return { promise: attempt.promise, cancel: () => this.log.push(`cancel ${address}`) };
  };

  connect(address: string): void {
    this.#attempts.get(address)?.resolve({ address, close: () => this.log.push(`close ${address}`) });
  }

  refuse(address: string): void {
    this.#attempts.get(address)?.reject(new Error(`refused ${address}`));
  }
}

/** Lets every promise that is settled run its callbacks; timers stand still. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
}

describe("connectAny", () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  test("the second attempt starts after the delay; the loser is cancelled", async () => {
    jest.useFakeTimers();
    const dials = new Dials();
    const { promise } = connectAny(["a", "b", "c"], dials.dial);
    expect(dials.log).toEqual(["dial a"]);
    jest.advanceTimersByTime(249);
    expect(dials.log).toEqual(["dial a"]);
    jest.advanceTimersByTime(1);
    expect(dials.log).toEqual(["dial a", "dial b"]);
    dials.connect("b");
    expect((await promise).address).toBe("b");
    jest.advanceTimersByTime(10_000);
    expect(dials.log).toEqual(["dial a", "dial b", "cancel a"]);
  });

  test("a failure starts the next attempt at once", async () => {
    jest.useFakeTimers();
    const dials = new Dials();
    const { promise } = connectAny(["a", "b"], dials.dial);
    dials.refuse("a");
    await settled();
    expect(dials.log).toEqual(["dial a", "dial b"]);
    dials.connect("b");
    expect((await promise).address).toBe("b");
  });

  test("a failure gives the next attempt its whole delay", async () => {
    jest.useFakeTimers();
    const dials = new Dials();
    const { promise } = connectAny(["a", "b", "c"], dials.dial, 100);
    jest.advanceTimersByTime(60);
    dials.refuse("a");
    await settled();
    jest.advanceTimersByTime(60);
    expect(dials.log).toEqual(["dial a", "dial b"]);
    jest.advanceTimersByTime(40);
    expect(dials.log).toEqual(["dial a", "dial b", "dial c"]);
    dials.connect("c");
    expect((await promise).address).toBe("c");
  });

  test("a slow first attempt may still win", async () => {
    jest.useFakeTimers();
    const dials = new Dials();
    const { promise } = connectAny(["a", "b"], dials.dial, 10);
    jest.advanceTimersByTime(10);
    dials.connect("a");
    expect((await promise).address).toBe("a");
    expect(dials.log).toEqual(["dial a", "dial b", "cancel b"]);
  });

  test("a loser that connects anyway is closed", async () => {
    jest.useFakeTimers();
    const dials = new Dials();
    const { promise } = connectAny(["a", "b"], dials.dial, 10);
    jest.advanceTimersByTime(10);
    dials.connect("a");
    dials.connect("b");
    expect((await promise).address).toBe("a");
    await settled();
    expect(dials.log.slice(2)).toEqual(["cancel b", "close b"]);
  });

  test("all fail: the last failure is told", async () => {
    jest.useFakeTimers();
    const dials = new Dials();
    const { promise } = connectAny(["a", "b"], dials.dial, 10);
    jest.advanceTimersByTime(10);
    dials.refuse("b");
    await settled();
    dials.refuse("a");
    await expect(promise).rejects.toThrow("refused a");
  });

  test("no address at all", async () => {
    const { promise } = connectAny([], new Dials().dial);
    await expect(promise).rejects.toBeInstanceOf(FaultError);
  });

  test("cancel stops what runs, starts nothing more, and closes what comes late", async () => {
    jest.useFakeTimers();
    const dials = new Dials();
    const { promise, cancel } = connectAny(["a", "b"], dials.dial, 10);
    cancel();
    const failure = await promise.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(FaultError);
    jest.advanceTimersByTime(1000);
    dials.connect("a");
    await settled();
    expect(dials.log).toEqual(["dial a", "cancel a", "close a"]);
  });
});
