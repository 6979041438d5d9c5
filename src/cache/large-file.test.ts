import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LARGE } from "../engines/storage/record.ts";
import { bytesOf, entryOf, filesOf, inFolder, TestTier } from "./disk.testing.ts";
import { decodePointer, type LargeBody, type LargeWriting } from "./large-file.ts";

const MEGABYTE = 1024 * 1024;
/** No two blocks alike. */
const BODY = Buffer.from(Array.from({ length: 100_000 }, (_, i) => `line ${i}\n`).join(""));
const ROOM = 32 * MEGABYTE;

const open = (path: string, room = ROOM): TestTier => TestTier.open(path, room, 2 * MEGABYTE);
const objects = (path: string): string[] => filesOf(path, ".object");

async function written(tier: TestTier, body = BODY): Promise<LargeWriting> {
  const writing = tier.store.beginLarge()!;
  for (let at = 0; at < body.length; at += 70_000) {
    if (!(await writing.write(body.subarray(at, at + 70_000)))) throw new Error("not written");
  }
  return writing;
}

async function stored(tier: TestTier, key: string, body = BODY): Promise<void> {
  const writing = await written(tier, body);
  expect(tier.store.putLarge(key, entryOf(""), writing)).not.toBeNull();
  writing.close();
  tier.writer.flush();
}

async function wholeOf(source: LargeBody | LargeWriting, from = 0): Promise<Buffer | null> {
  const pieces: Buffer[] = [];
  for (let at = from; ; ) {
    const piece = await source.read(at);
    if (piece === null) return null;
    if (piece.length === 0) return Buffer.concat(pieces);
    pieces.push(piece);
    at += piece.length;
  }
}

async function bodyAt(tier: TestTier, key: string, from = 0): Promise<Buffer | null> {
  const record = await tier.store.get(key);
  const body = record?.kind === LARGE ? tier.store.openLarge(decodePointer(record.body)!) : null;
  const bytes = body && (await wholeOf(body, from));
  body?.close();
  return bytes;
}

describe("a large body", () => {
  test("is found, whole and from any place on, also after a start", () =>
    inFolder(async (path) => {
      const tier = open(path);
      await stored(tier, "a");
      for (const from of [0, 1, 262_143, 262_144, 262_145, BODY.length - 1, BODY.length])
        expect((await bodyAt(tier, "a", from))?.equals(BODY.subarray(from))).toBe(true);
      expect(statSync(objects(path)[0]!).mode & 0o777).toBe(0o600);
      tier.crash();
      const again = open(path);
      expect((await bodyAt(again, "a"))?.equals(BODY)).toBe(true);
      expect((await again.store.get("a"))?.head.toString()).toBe("HTTP/1.1 200 OK\r\n");
      again.close();
    }));

  test("is read while it grows, and to the end when it is done or given up", () =>
    inFolder(async (path) => {
      const tier = open(path);
      const writing = tier.store.beginLarge()!;
      expect((await writing.read(0))?.length).toBe(0);
      await writing.write(BODY.subarray(0, 1000));
      expect((await writing.read(0))?.equals(BODY.subarray(0, 1000))).toBe(true);
      expect((await writing.read(990))?.length).toBe(10);
      await writing.write(BODY.subarray(1000));
      expect(tier.board.growingBlocks).toBe(Math.ceil(BODY.length / 262_144));
      tier.store.putLarge("a", entryOf(""), writing);
      expect((await wholeOf(writing))?.equals(BODY)).toBe(true);
      writing.close();
      expect(tier.board.growingBlocks).toBe(0);
      const other = await written(tier);
      other.abort();
      expect((await wholeOf(other))?.equals(BODY)).toBe(true);
      other.close();
      expect(readdirSync(path).filter((name) => name.endsWith(".tmp"))).toEqual([]);
      tier.close();
    }));

  test("that is too long is refused", () =>
    inFolder(async (path) => {
      const tier = open(path, 4 * MEGABYTE); // of which one may take a quarter here
      const writing = tier.store.beginLarge()!;
      expect(await writing.write(Buffer.alloc(MEGABYTE - 10))).toBe(true);
      expect(await writing.write(Buffer.alloc(11))).toBe(false);
      writing.abort();
      writing.close();
      tier.close();
    }));

  test("is not begun before the index is complete", () =>
    inFolder((path) => {
      const tier = new TestTier(path, ROOM, 2 * MEGABYTE);
      expect(tier.store.beginLarge()).toBeNull();
      tier.crash();
    }));
});

describe("its file goes", () => {
  const later = (tier: TestTier): void => {
    tier.now += 1000;
    tier.writer.tick();
  };

  test("when the key gets another answer, or is deleted", () =>
    inFolder(async (path) => {
      const tier = open(path);
      for (const key of ["a", "b", "c"]) await stored(tier, key);
      tier.put("a", "small");
      tier.delete("b");
      later(tier);
      expect(objects(path).length).toBe(1);
      expect(tier.get("a")).toBe("small");
      expect((await bodyAt(tier, "c"))?.equals(BODY)).toBe(true);
      expect(tier.board.stats().bytes).toBeLessThan(BODY.length + 2 * MEGABYTE);
      tier.close();
    }));

  test("at a start, when it was not finished, or no record leads to it", () =>
    inFolder(async (path) => {
      const tier = open(path);
      await stored(tier, "a");
      await written(tier); // never ended
      const orphan = await written(tier);
      orphan.finish(1, 2); // and killed before the record was written
      expect(objects(path).length).toBe(2);
      tier.crash();
      const again = open(path);
      expect([objects(path).length, filesOf(path, ".tmp")]).toEqual([1, []]);
      expect((await bodyAt(again, "a"))?.equals(BODY)).toBe(true);
      again.close();
    }));

  test("when there is no room: the oldest first, but not one in use, and small answers stay", () =>
    inFolder(async (path) => {
      const tier = open(path);
      tier.put("small", "stays");
      for (let i = 0; i < 40; i += 1) {
        await stored(tier, `k${i}`);
        expect((await bodyAt(tier, "k0"))?.equals(BODY)).toBe(true);
        expect(bytesOf(path) + objects(path).reduce((sum, file) => sum + statSync(file).size, 0)).toBeLessThan(ROOM);
      }
      expect([await bodyAt(tier, "k1"), tier.get("small")]).toEqual([null, "stays"]);
      expect((await bodyAt(tier, "k39"))?.equals(BODY)).toBe(true);
      expect(objects(path).length).toBeGreaterThan(10);
      tier.close();
    }));

  test("for one that grows", () =>
    inFolder(async (path) => {
      const tier = open(path);
      for (let i = 0; i < 28; i += 1) await stored(tier, `k${i}`);
      const before = objects(path).length;
      const writing = await written(tier, Buffer.alloc(4 * MEGABYTE));
      tier.writer.tick();
      expect(objects(path).length).toBeLessThan(before);
      writing.abort();
      writing.close();
      tier.close();
    }));

  test("and who reads it meanwhile reads on", () =>
    inFolder(async (path) => {
      const tier = open(path);
      await stored(tier, "a");
      const body = tier.store.openLarge(decodePointer((await tier.store.get("a"))!.body)!)!;
      tier.delete("a");
      later(tier);
      expect(objects(path)).toEqual([]);
      expect((await wholeOf(body))?.equals(BODY)).toBe(true);
      body.close();
      tier.close();
    }));
});

test("damage is never served: a bit in the body, the checksums or the footer, or a shorter file", () =>
  inFolder(async (path) => {
    const tier = open(path);
    await stored(tier, "a");
    const [file] = objects(path);
    const good = readFileSync(file!);
    const places = [0, 1000, 262_144, BODY.length - 1];
    for (let at = BODY.length; at < good.length; at += 1) places.push(at);
    for (const at of places) {
      const bad = Buffer.from(good);
      bad[at]! ^= 4;
      writeFileSync(file!, bad);
      if ((await bodyAt(tier, "a")) !== null) throw new Error(`a bit at ${at} was not seen`);
    }
    for (const length of [0, 5, BODY.length, good.length - 1]) {
      writeFileSync(file!, good.subarray(0, length));
      expect(await bodyAt(tier, "a")).toBeNull();
    }
    writeFileSync(file!, Buffer.from(good).fill(0, 0, 1));
    expect(await bodyAt(tier, "a")).toBeNull();
    expect((await bodyAt(tier, "a", 300_000))?.equals(BODY.subarray(300_000))).toBe(true); // another block
    tier.crash();
    writeFileSync(file!, good.subarray(0, 100));
    const again = open(path);
    expect([await bodyAt(again, "a"), existsSync(file!)]).toEqual([null, false]);
    again.close();
    expect(existsSync(join(path, "index.snapshot"))).toBe(true);
  }));
