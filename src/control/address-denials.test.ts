import { expect, test } from "bun:test";
import { IpMap } from "../core/ip-map.ts";
import { AddressDenials } from "./address-denials.ts";

function denialsAt(clock: { now: number }) {
  const seen: SharedArrayBuffer[] = [];
  const denials = new AddressDenials(
    (memory) => seen.push(memory),
    () => {},
    () => clock.now,
  );
  const finds = (ip: string): boolean => new IpMap(denials.memory).find(ip) > 0;
  return { denials, seen, finds };
}

test("an address is written in one way, denied once, and for the longest time that was said", () => {
  const clock = { now: 1000 };
  const { denials, seen, finds } = denialsAt(clock);
  expect(denials.deny("2001:DB8:0:0::1", 5000, "first")).toBe("2001:db8::1");
  expect(denials.deny("2001:db8::1/128", 1000, "second")).toBe("2001:db8::1");
  expect(denials.deny("10.1.2.3/8", Number.POSITIVE_INFINITY, "net")).toBe("10.0.0.0/8");
  for (const text of ["", "ten", "10.0.0.1/33"]) expect(denials.deny(text, 1, "")).toBeNull();
  denials.flush();
  expect(seen).toHaveLength(1);
  expect([finds("2001:db8::1"), finds("10.9.9.9"), finds("11.0.0.1")]).toEqual([true, true, false]);
  expect(denials.list().map(({ address, until }) => [address, until === null])).toEqual([
    ["2001:db8::1", false],
    ["10.0.0.0/8", true],
  ]);
  clock.now = 5999;
  denials.flush();
  expect([seen.length, finds("2001:db8::1")]).toEqual([1, true]);
  clock.now = 6000;
  expect(denials.list()).toHaveLength(1);
  denials.flush();
  expect([seen.length, finds("2001:db8::1"), finds("10.9.9.9")]).toEqual([2, false, true]);
  denials.stop();
});

test("what is taken back holds no more; only exactly that is", () => {
  const { denials, finds } = denialsAt({ now: 0 });
  denials.deny("192.0.2.0/24", 1000, "");
  expect([denials.forgive("192.0.2.1"), denials.forgive("192.0.2.0/24"), denials.forgive("ten")]).toEqual([
    false,
    true,
    false,
  ]);
  denials.flush();
  expect(finds("192.0.2.1")).toBe(false);
});

test("there is an end to how many are denied", () => {
  const { denials } = denialsAt({ now: 0 });
  for (let i = 0; i < 100_000; i += 1) denials.deny(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 1000, "");
  expect([denials.full, denials.deny("192.0.2.1", 1000, ""), denials.deny("10.0.0.0", 1000, "")]).toEqual([
    true,
    null,
    "10.0.0.0",
  ]);
  denials.stop();
});
