import { expect, test } from "bun:test";
import { KeyHash } from "./key-hash.ts";

const halves = (hash: KeyHash, key: string | Uint8Array): [number, number] => {
  hash.of(key);
  return [hash.low, hash.high];
};

test("text and its bytes have one hash, in every thread that has the seed", () => {
  const [a, b] = [new KeyHash(7n), new KeyHash(7n)];
  expect(halves(a, "https\0a/ü")).toEqual(halves(b, Buffer.from("https\0a/ü")));
});

test("another seed makes another hash, in both halves", () => {
  const [low, high] = halves(new KeyHash(7n), "key");
  const [otherLow, otherHigh] = halves(new KeyHash(8n), "key");
  expect([low === otherLow, high === otherHigh]).toEqual([false, false]);
});

test("keys differ in both halves", () => {
  const hash = new KeyHash(7n);
  const [lows, highs] = [new Set<number>(), new Set<number>()];
  for (let i = 0; i < 1000; i += 1) {
    const [low, high] = halves(hash, `key ${i}`);
    lows.add(low);
    highs.add(high);
  }
  expect([lows.size, highs.size]).toEqual([1000, 1000]);
});
