import { expect, test } from "bun:test";
import { Offenders } from "./offenders.ts";

test("who was cut off is known for half a minute", () => {
  const offenders = new Offenders();
  expect(offenders.knows("192.0.2.1", 0)).toBe(false);
  offenders.note("192.0.2.1", 0);
  const CASES: readonly (readonly [address: string, now: number, known: boolean])[] = [
    ["192.0.2.1", 0, true],
    ["::ffff:192.0.2.1", 0, true],
    ["192.0.2.2", 0, false],
    ["192.0.2.1", 29_999, true],
    ["192.0.2.1", 30_000, false],
    ["192.0.2.1", 0, false], // and is forgotten
  ];
  for (const [address, now, known] of CASES)
    expect([address, now, offenders.knows(address, now)]).toEqual([address, now, known]);
});

test("the next offence counts anew, and of IPv6 the network is meant", () => {
  const offenders = new Offenders();
  offenders.note("2001:db8::1", 0);
  offenders.note("2001:db8::2", 20_000);
  expect(offenders.knows("2001:db8::3", 49_999)).toBe(true);
  expect(offenders.knows("2001:db8:0:1::3", 0)).toBe(false);
});

test("ten thousand are remembered", () => {
  const offenders = new Offenders();
  const address = (n: number) => `10.0.${n >> 8}.${n & 255}`;
  for (let n = 0; n <= 10_000; n += 1) offenders.note(address(n), n);
  expect(offenders.knows(address(0), 10_000)).toBe(false);
  expect(offenders.knows(address(1), 10_000)).toBe(true);
  expect(offenders.knows(address(10_000), 10_000)).toBe(true);
});
