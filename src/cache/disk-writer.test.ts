import { describe, expect, test } from "bun:test";
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tryLaw } from "../core/fuzz.testing.ts";
import type { DiskRecord } from "../engines/storage/record.ts";
import { bytesOf, entryOf, filesOf, inFolder, STORED_AT, TestTier } from "./disk.testing.ts";
import { QUEUE_BYTES_MAX } from "./disk-store.ts";
import { DiskSweep, type SweepRule } from "./disk-sweep.ts";
import { diskWriterLaw } from "./disk-writer.fuzz.ts";

const KEYS = Array.from({ length: 20 }, (_, i) => `https\0a.example\0/${i}`);
const bodyOf = (key: string): string => `body of ${key}`;
const fill = (tier: TestTier): void => {
  for (const key of KEYS) tier.put(key, bodyOf(key));
};
const found = (tier: TestTier): (string | null)[] => KEYS.map((key) => tier.get(key));
const ALL = KEYS.map(bodyOf);
const snapshotOf = (path: string): string => join(path, "index.snapshot");

describe("what was stored", () => {
  test("is found, replaced and deleted", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      expect(tier.get("a")).toBeNull();
      tier.put("a", "one");
      expect(tier.get("a")).toBe("one");
      tier.put("a", "two");
      tier.put("b", "");
      expect([tier.get("a"), tier.get("b")]).toEqual(["two", ""]);
      tier.delete("a");
      expect([tier.get("a"), tier.get("b")]).toEqual([null, ""]);
      expect(tier.store.get("b")).toMatchObject({ tags: Buffer.from("tag"), meta: Buffer.from([1, 2, 3]) });
      expect(tier.board.stats()).toMatchObject({ ready: true, entries: 1, queuedBytes: 0, failed: 0, damaged: 0 });
      tier.close();
      expect(tier.board.isReady).toBe(false);
    }));

  test("and deleted before it was written, is gone", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      tier.store.put("a", { ...EMPTY_ENTRY });
      tier.delete("a");
      expect(tier.get("a")).toBeNull();
      tier.close();
    }));

  test("has files that only their owner may read", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      fill(tier);
      for (const file of filesOf(path, ".segment")) expect(statSync(file).mode & 0o777).toBe(0o600);
      tier.close();
    }));
});

const NO_BYTES = Buffer.alloc(0);
const EMPTY_ENTRY = { tags: NO_BYTES, meta: NO_BYTES, head: NO_BYTES, body: NO_BYTES, storedAt: 0 };

/** What happens between a start and the one before. */
const STARTS: readonly (readonly [string, (tier: TestTier, path: string) => void])[] = [
  ["an orderly end", (tier) => tier.close()],
  ["a crash", (tier) => tier.crash()],
  [
    "the loss of the snapshot",
    (tier, path) => {
      tier.close();
      rmSync(snapshotOf(path));
    },
  ],
  [
    "a torn snapshot",
    (tier, path) => {
      tier.close();
      truncateSync(snapshotOf(path), statSync(snapshotOf(path)).size - 3);
    },
  ],
  [
    "a crash behind an old snapshot",
    (tier, path) => {
      tier.close();
      const later = TestTier.open(path);
      for (const key of KEYS) later.put(key, "old");
      fill(later);
      later.crash();
    },
  ],
];

describe("after a start", () => {
  test.each(STARTS)("behind %s, all is found", (_, end) =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      for (const key of KEYS) tier.put(key, "old");
      fill(tier);
      end(tier, path);
      const again = TestTier.open(path);
      expect(found(again)).toEqual(ALL);
      again.put(KEYS[0]!, "newer");
      again.crash();
      const third = TestTier.open(path);
      expect(found(third)).toEqual(["newer", ...ALL.slice(1)]);
      third.close();
    }),
  );

  test.each(STARTS)("behind %s, what was deleted stays so", (_, end) =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      for (const key of ["x", "y"]) tier.put(key, "gone");
      tier.delete("x");
      tier.close();
      const later = TestTier.open(path);
      later.delete("y");
      end(later, path);
      const again = TestTier.open(path);
      expect([again.get("x"), again.get("y")]).toEqual([null, null]);
      again.close();
    }),
  );

  test("nothing is found until all has been read; what comes meanwhile is newer", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      for (const key of ["a", "b", "c"]) tier.put(key, "old");
      tier.crash();
      const again = new TestTier(path, 1 << 20, 1 << 16);
      expect([again.board.isReady, again.get("a")]).toEqual([false, null]);
      again.put("a", "new");
      again.delete("b");
      expect(again.get("a")).toBeNull();
      expect(again.writer.replay()).toBe(true);
      expect(["a", "b", "c"].map((key) => again.get(key))).toEqual(["new", null, "old"]);
      again.close();
    }));

  test("files that are no segments are removed", () =>
    inFolder((path) => {
      TestTier.open(path).close();
      for (const [i, text] of ["", "x".repeat(100)].entries())
        writeFileSync(join(path, `000000000${i + 1}.segment`), text);
      const tier = TestTier.open(path);
      expect(filesOf(path, ".segment")).toEqual([]);
      fill(tier);
      const [first] = filesOf(path, ".segment");
      tier.close();
      writeFileSync(join(path, "0000000007.segment"), readFileSync(first!)); // under another number
      const again = TestTier.open(path);
      expect(filesOf(path, ".segment")).toEqual([first!]);
      again.close();
    }));
});

describe("damage is never served", () => {
  const openDamaged = (path: string, damage: (bytes: Buffer) => Buffer, isKnown: boolean): (string | null)[] => {
    const [file] = filesOf(path, ".segment");
    const whole = readFileSync(file!);
    const snapshot = readFileSync(snapshotOf(path));
    if (!isKnown) rmSync(snapshotOf(path));
    writeFileSync(file!, damage(Buffer.from(whole)));
    const tier = TestTier.open(path);
    const bodies = ["a", "b", "c"].map((key) => tier.get(key));
    tier.crash();
    writeFileSync(file!, whole);
    writeFileSync(snapshotOf(path), snapshot);
    return bodies;
  };
  const written = (path: string): void => {
    const tier = TestTier.open(path);
    for (const key of ["a", "b", "c"]) tier.put(key, `body of ${key}`);
    tier.close();
  };
  const check = (bodies: readonly (string | null)[], where: string): number => {
    const good = ["a", "b", "c"].map((key) => `body of ${key}`);
    for (const [i, body] of bodies.entries())
      if (body !== null && body !== good[i]) throw new Error(`${where}: ${body} was served`);
    return bodies.filter((body) => body === null).length;
  };

  test.each([true, false])("one bit at each offset, with the snapshot: %p", (isKnown) =>
    inFolder((path) => {
      written(path);
      const size = statSync(filesOf(path, ".segment")[0]!).size;
      for (let at = 0; at < size; at += 1) {
        const bodies = openDamaged(
          path,
          (bytes) => Buffer.from(bytes).fill(bytes[at]! ^ (1 << (at & 7)), at, at + 1),
          isKnown,
        );
        expect(check(bodies, `offset ${at}`)).toBeGreaterThan(0);
      }
    }),
  );

  test.each([true, false])("a file cut at each length, with the snapshot: %p", (isKnown) =>
    inFolder((path) => {
      written(path);
      const size = statSync(filesOf(path, ".segment")[0]!).size;
      for (let end = 0; end < size; end += 1)
        expect(
          check(
            openDamaged(path, (bytes) => bytes.subarray(0, end), isKnown),
            `length ${end}`,
          ),
        ).toBeGreaterThan(0);
    }),
  );

  test("nor the record of another key in the same place", () =>
    inFolder((path) => {
      written(path);
      const swap = (bytes: Buffer): Buffer => {
        const length = (bytes.length - 16) / 3;
        const swapped = Buffer.from(bytes);
        bytes.copy(swapped, 16, 16 + length, 16 + 2 * length);
        return swapped;
      };
      expect(openDamaged(path, swap, true)).toEqual([null, "body of b", "body of c"]);
    }));
});

describe("room", () => {
  test("the files never take more than they may, and the newest entries are there", () =>
    inFolder((path) => {
      const [max, segment] = [100_000, 10_000];
      const tier = TestTier.open(path, max, segment);
      let highest = 0;
      for (let i = 0; i < 600; i += 1) {
        tier.put(`k${i}`, "x".repeat(i % 900));
        highest = Math.max(highest, bytesOf(path));
      }
      expect(highest).toBeLessThanOrEqual(max);
      expect(highest).toBeGreaterThan(max * 0.8);
      expect([tier.get("k599")?.length, tier.get("k0")]).toEqual([599, null]);
      expect(tier.board.stats().evictedSegments).toBeGreaterThan(10);
      const { entries } = tier.board.stats();
      expect(Array.from({ length: 600 }, (_, i) => tier.get(`k${i}`)).filter((body) => body !== null).length).toBe(
        entries,
      );
      tier.crash();
      const again = TestTier.open(path, max, segment);
      for (let i = 0; i < 600; i += 1) expect([null, "x".repeat(i % 900)]).toContain(again.get(`k${i}`));
      again.close();
    }));

  test("what is used outlives its segment; what is not, does not", () =>
    inFolder((path) => {
      const tier = TestTier.open(path, 100_000, 10_000);
      tier.put("used", "kept");
      tier.put("unused", "lost");
      for (let i = 0; i < 600; i += 1) {
        expect(tier.get("used")).toBe("kept");
        tier.put(`k${i}`, "x".repeat(500));
      }
      expect([tier.get("used"), tier.get("unused")]).toEqual(["kept", null]);
      tier.crash();
      const again = TestTier.open(path, 100_000, 10_000);
      expect(again.get("used")).toBe("kept");
      again.close();
    }));

  test("where all is used, the newest still finds room", () =>
    inFolder((path) => {
      const tier = TestTier.open(path, 100_000, 10_000);
      for (let i = 0; i < 600; i += 1) {
        tier.put(`k${i}`, "x".repeat(500));
        for (let j = Math.max(0, i - 150); j <= i; j += 1) tier.get(`k${j}`);
        expect(tier.get(`k${i}`)).not.toBeNull();
      }
      expect(bytesOf(path)).toBeLessThanOrEqual(100_000);
      tier.close();
    }));

  test("an entry that is too large takes the older one along", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      tier.put("a", "small");
      tier.put("a", Buffer.alloc(1_600_000));
      expect(tier.get("a")).toBeNull();
      tier.close();
    }));
});

test("what would wait too long is not stored, and no older entry left behind", () =>
  inFolder((path) => {
    const tier = TestTier.open(path, 1 << 30, 1 << 26);
    tier.put("a", "old");
    const large = entryOf(Buffer.alloc(1_000_000));
    let waiting = 0;
    while (tier.store.put(`k${waiting}`, large)) waiting += 1;
    expect(waiting).toBe(Math.floor(QUEUE_BYTES_MAX / 1_000_200));
    expect([tier.get("a"), tier.store.put("a", large), tier.get("a")]).toEqual(["old", false, null]);
    expect(tier.board.stats().refused).toBe(2);
    tier.writer.flush();
    expect(tier.board.stats()).toMatchObject({ queuedBytes: 0, entries: waiting });
    tier.close();
  }));

describe("a sweep", () => {
  type What = Omit<SweepRule, "staleAt">;
  const swept = (tier: TestTier, rule: What, staleAt: number | null = null): number => {
    const sweep = new DiskSweep({ ...rule, staleAt });
    while (!tier.writer.sweep(sweep));
    return sweep.removed;
  };
  const filled = (path: string): TestTier => {
    const tier = TestTier.open(path, 1 << 20, 1000); // over many segments
    for (let i = 0; i < 50; i += 1) {
      tier.store.put(`/${i % 2 === 0 ? "even" : "odd"}/${i}`, { ...entryOf("x"), tags: Buffer.from(`t${i % 5} all`) });
      tier.writer.flush();
    }
    return tier;
  };
  const left = (tier: TestTier): number => tier.board.stats().entries;

  test.each<[string, What, number, string, string]>([
    ["a prefix", { what: "prefix", value: "/odd/" }, 25, "/odd/7", "/even/8"],
    ["a key", { what: "prefix", value: "/odd/49" }, 1, "/odd/49", "/odd/7"],
    ["a tag", { what: "tag", value: "t2" }, 10, "/odd/7", "/even/8"],
    ["a part of a tag", { what: "tag", value: "t" }, 0, "/none", "/even/8"],
    ["a tag that all have", { what: "tag", value: "all" }, 50, "/odd/7", "/new"],
    ["all", { what: "all", value: "" }, 50, "/odd/7", "/new"],
  ])("by %s removes its entries, for later starts too", (_, rule, count, gone, there) =>
    inFolder((path) => {
      const tier = filled(path);
      expect(swept(tier, rule)).toBe(count);
      tier.put("/new", "x");
      expect([tier.get(gone), tier.get(there), left(tier)]).toEqual([null, "x", 51 - count]);
      tier.crash();
      const again = TestTier.open(path, 1 << 20, 1000);
      expect([again.get(gone), again.get(there), left(again)]).toEqual([null, "x", 51 - count]);
      again.close();
    }),
  );

  test("leaves what was replaced since", () =>
    inFolder((path) => {
      const tier = filled(path);
      tier.store.put("/odd/7", { ...entryOf("newer"), tags: Buffer.from("t9") });
      expect(swept(tier, { what: "tag", value: "all" })).toBe(49);
      expect([tier.get("/odd/7"), left(tier)]).toEqual(["newer", 1]);
      tier.close();
    }));

  const freshUntil = (tier: TestTier, key: string): number => (tier.store.get(key) as DiskRecord).meta.readDoubleLE(0);

  test("that is soft makes them stale, and leaves what is stale earlier; for later starts too", () =>
    inFolder((path) => {
      const tier = TestTier.open(path, 1 << 20, 1000);
      for (let i = 0; i < 20; i += 1) {
        const meta = Buffer.alloc(20, 7);
        meta.writeDoubleLE(STORED_AT + i * 1000, 0);
        tier.store.put(`/${i}`, { ...entryOf(`body ${i}`), meta, tags: Buffer.from(i % 2 === 0 ? "even" : "odd") });
        tier.writer.flush();
      }
      tier.put("/none", "x"); // says nothing of when it is fresh
      expect(swept(tier, { what: "tag", value: "even" }, STORED_AT + 5000)).toBe(10);
      expect(swept(tier, { what: "prefix", value: "/none" }, STORED_AT)).toBe(1);
      const check = (each: TestTier): void => {
        for (let i = 0; i < 20; i += 1) {
          expect(freshUntil(each, `/${i}`) - STORED_AT).toBe(i % 2 === 0 ? Math.min(i * 1000, 5000) : i * 1000);
          expect(each.get(`/${i}`)).toBe(`body ${i}`);
        }
        expect(each.get("/none")).toBe("x");
        expect(each.board.stats().damaged).toBe(0);
      };
      check(tier);
      tier.crash();
      const again = TestTier.open(path, 1 << 20, 1000);
      check(again);
      again.close();
    }));
});

describe("what has changed", () => {
  test("is known to the next start, whether the process ended or was killed", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      const before = [tier.store.changesOf("/a"), tier.store.changesOf("/b")];
      tier.store.change("/a");
      tier.store.change("/a");
      expect([tier.store.changesOf("/a"), tier.store.changesOf("/b")]).toEqual([before[0]! + 2, before[1]!]);
      tier.crash();
      const again = TestTier.open(path);
      expect([again.store.changesOf("/a"), again.store.changesOf("/b")]).toEqual([2, 0]);
      again.close();
    }));

  test("takes all with it where it cannot be kept", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      tier.put("a", "one");
      tier.writer.distrust();
      expect(tier.get("a")).toBeNull();
      tier.put("b", "two");
      expect([tier.get("b"), tier.troubles.length, filesOf(path, ".segment")]).toEqual([null, 1, []]);
      tier.crash();
      const again = TestTier.open(path);
      again.put("c", "three");
      expect([again.get("a"), again.get("c")]).toEqual([null, "three"]);
      again.close();
    }));
});

describe("a disk that fails", () => {
  test("loses what is stored, says so, and is tried again after a while", () =>
    inFolder((path) => {
      const tier = TestTier.open(path);
      rmSync(path, { recursive: true }); // no segment can be made
      tier.put("a", "one");
      tier.put("b", "two");
      expect(tier.troubles.length).toBe(1); // the second one did not try
      expect(tier.board.stats()).toMatchObject({ failed: 2, queuedBytes: 0 });
      expect([tier.get("a"), tier.get("b")]).toEqual([null, null]);
      tier.now = 1000;
      tier.put("c", "three");
      expect(tier.troubles.length).toBe(2);
      tier.crash();
    }));

  test("where a tombstone cannot be written, the segment goes", () =>
    inFolder((path) => {
      const tier = TestTier.open(path, 1 << 20, 1000);
      tier.put("a", "x".repeat(800));
      const [file] = filesOf(path, ".segment");
      writeFileSync(join(path, "0000000002.segment"), ""); // in the way of the next
      tier.store.put("b", { ...EMPTY_ENTRY, body: Buffer.alloc(300) });
      tier.delete("a");
      expect(filesOf(path, ".segment")).not.toContain(file!);
      expect(tier.get("a")).toBeNull();
      tier.crash();
    }));
});

test("says the same as a map, whatever happens", () => {
  expect(tryLaw("disk writer", diskWriterLaw, 1, 30)).toBe(30);
});
