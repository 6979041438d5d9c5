import { expect, test } from "bun:test";
import { readSync, rmSync } from "node:fs";
import { inFolder, TestTier } from "./disk.testing.ts";
import { segmentPath } from "./disk-folder.ts";
import { SegmentFiles } from "./segment-files.ts";

/** A tier with this many segments, one entry in each. */
function segments(path: string, count: number): void {
  const tier = TestTier.open(path, 1 << 20, 200);
  for (let i = 0; i < count; i += 1) tier.put(`k${i}`, "x".repeat(100));
  tier.crash();
}

const isOpen = (fd: number): boolean => {
  try {
    return readSync(fd, Buffer.alloc(1), 0, 1, 0) === 1;
  } catch {
    return false;
  }
};

test("a file is opened once, and closed with the others", () =>
  inFolder((path) => {
    segments(path, 2);
    const files = new SegmentFiles(path);
    const [one, two] = [files.get(1, 1)!, files.get(2, 1)!];
    expect(files.get(1, 1)).toBe(one);
    expect([isOpen(one.fd), isOpen(two.fd)]).toEqual([true, true]);
    files.close();
    expect([isOpen(one.fd), isOpen(two.fd)]).toEqual([false, false]);
  }));

test("one whose segment is gone is closed, but not while it is read", () =>
  inFolder((path) => {
    segments(path, 4);
    const files = new SegmentFiles(path);
    const [one, two] = [files.get(1, 1)!, files.get(2, 1)!];
    two.readers += 1;
    files.get(3, 3);
    expect([one.isDone, two.isDone, isOpen(two.fd)]).toEqual([true, true, true]);
    files.left(two);
    expect(isOpen(two.fd)).toBe(false);
    files.close();
  }));

test("one that was evicted is no file", () =>
  inFolder((path) => {
    segments(path, 2);
    rmSync(segmentPath(path, 1));
    const files = new SegmentFiles(path);
    expect(files.get(1, 1)).toBeNull();
    files.close();
  }));

test("of very many, some are open", () =>
  inFolder((path) => {
    segments(path, 300);
    const files = new SegmentFiles(path);
    const all = Array.from({ length: 300 }, (_, i) => files.get(i + 1, 1)!);
    expect(all.filter(({ fd, isDone }) => !isDone && isOpen(fd)).length).toBe(256);
    expect([all[0]!.isDone, all[299]!.isDone]).toEqual([true, false]);
    files.close();
  }));
