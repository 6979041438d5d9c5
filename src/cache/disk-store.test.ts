import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { entryOf, filesOf, inFolder } from "./disk.testing.ts";
import { crashRound } from "./disk-crash.testing.ts";
import { DiskStore } from "./disk-store.ts";
import { DISK_BYTES_MIN, DiskTier } from "./disk-tier.ts";

const started = (path: string): Promise<DiskTier> =>
  DiskTier.start({ path, bytesMax: DISK_BYTES_MIN, onTrouble: () => {} });

/** Waits for what happens in the thread that writes; the test's own limit is the bound. */
async function ready(tier: DiskTier): Promise<void> {
  while (!tier.stats().ready) await Bun.sleep(1);
}

const bodyOf = async (store: DiskStore, key: string): Promise<string | undefined> =>
  (await store.get(key))?.body.toString();

describe("over threads", () => {
  test(
    "what one stores, another finds, and a later process",
    () =>
      inFolder(async (path) => {
        const tier = await started(path);
        const [a, b] = [new DiskStore(tier.share, tier.connect()), new DiskStore(tier.share, tier.connect())];
        await ready(tier);
        for (let i = 0; i < 500; i += 1) expect(a.put(`k${i}`, entryOf(`body ${i}`))).toBe(true);
        await a.flushed();
        for (let i = 0; i < 500; i += 1) expect(await bodyOf(b, `k${i}`)).toBe(`body ${i}`);
        b.delete("k7", 0);
        await b.flushed();
        expect([a.has("k7"), a.get("k7"), a.has("k8")]).toEqual([false, null, true]);
        expect(await b.sweep({ what: "prefix", value: "k49", staleAt: null })).toBe(11);
        expect([a.get("k49"), a.has("k490"), a.has("k48")]).toEqual([null, false, true]);
        expect(tier.stats()).toMatchObject({ entries: 488, queuedBytes: 0, refused: 0, failed: 0, damaged: 0 });
        await tier.close();
        expect([a.get("k8"), b.has("k8")]).toEqual([null, false]);
        await a.flushed(); // nobody answers, and nobody waits
        expect(await b.sweep({ what: "all", value: "", staleAt: null })).toBe(0);
        const again = await started(path);
        await ready(again);
        const c = new DiskStore(again.share, again.connect());
        expect([await bodyOf(c, "k8"), await bodyOf(c, "k7")]).toEqual(["body 8", undefined]);
        for (const store of [a, b, c]) store.close();
        await again.close();
        await again.close(); // it has ended: nothing to wait for
        expect(existsSync(join(path, "index.snapshot"))).toBe(true);
      }),
    20_000,
  );

  test(
    "large records are read without holding up the thread, and files close behind them",
    () =>
      inFolder(async (path) => {
        const tier = await started(path);
        const store = new DiskStore(tier.share, tier.connect());
        await ready(tier);
        const body = Buffer.alloc(1_000_000, "large ");
        store.put("a", entryOf(body));
        await store.flushed();
        const reads = [store.get("a"), store.get("a")];
        expect(reads.every((read) => read instanceof Promise)).toBe(true);
        store.close(); // with reads under way
        for (const read of reads) expect((await read)?.body.equals(body)).toBe(true);
        await tier.close();
      }),
    20_000,
  );

  test(
    "a folder that cannot be used is refused in plain words",
    () =>
      inFolder(async (path) => {
        const tier = await started(path);
        await expect(started(path)).rejects.toThrow(`${path} is in use by another process`);
        await expect(started("/dev/null/cache")).rejects.toThrow("/dev/null");
        await tier.close();
      }),
    20_000,
  );
});

test(
  "killed in the midst of writing, twenty times: nothing wrong is served, nothing that was written is lost",
  () =>
    inFolder(async (path) => {
      let found = 0;
      for (let round = 0; round < 20; round += 1) found += await crashRound(path, 5 + ((round * 7) % 40));
      expect(found).toBeGreaterThan(100);
      expect(filesOf(path, ".tmp")).toEqual([]);
    }),
  60_000,
);
