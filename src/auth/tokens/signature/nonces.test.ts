import { expect, test } from "bun:test";
import { Nonces } from "./nonces.ts";

const NOW = 1_800_000_000_000;
const memoryFor = (count: number): SharedArrayBuffer => new SharedArrayBuffer(Nonces.bytes(count));

test("a nonce is new once for all who share the memory", () => {
  const memory = memoryFor(100);
  const [a, b] = [new Nonces(memory), new Nonces(memory)];
  expect(a.use(1, 2, NOW + 1000, NOW)).toBe("new");
  expect(b.use(1, 2, NOW + 1000, NOW)).toBe("used");
  expect(b.use(1, 3, NOW + 1000, NOW)).toBe("new");
  expect(a.use(0xffff_ffff, 2, NOW + 1000, NOW)).toBe("new");
});

test("it may come again when its time is over", () => {
  const nonces = new Nonces(memoryFor(100));
  expect(nonces.use(1, 2, NOW + 5000, NOW)).toBe("new");
  expect(nonces.use(1, 2, NOW + 9000, NOW + 5000)).toBe("used");
  expect(nonces.use(1, 2, NOW + 9000, NOW + 6001)).toBe("new");
});

test("where there is no room nothing gives way", () => {
  const nonces = new Nonces(memoryFor(8)); // one bucket of 16
  for (let i = 1; i <= 16; i += 1) expect(nonces.use(0, i, NOW + 5000, NOW)).toBe("new");
  expect(nonces.use(0, 17, NOW + 5000, NOW)).toBe("full");
  for (let i = 1; i <= 16; i += 1) expect(nonces.use(0, i, NOW + 5000, NOW)).toBe("used");
  expect(nonces.use(0, 17, NOW + 9000, NOW + 6001)).toBe("new");
});

test("there is room for as many as are asked for", () => {
  const nonces = new Nonces(memoryFor(10_000));
  let full = 0;
  for (let i = 1; i <= 10_000; i += 1)
    if (nonces.use(Math.imul(i, 0x9e37_79b1), Math.imul(i, 0x85eb_ca6b), NOW + 5000, NOW) === "full") full += 1;
  expect(full).toBeLessThan(10);
});
