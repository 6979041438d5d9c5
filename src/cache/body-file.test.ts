import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fault } from "../core/faults.ts";
import { Body, type BodyReader } from "./body.ts";
import { BodyFile } from "./body-file.ts";
import { DiskBoard } from "./disk-board.ts";
import { LargeWriting } from "./large-file.ts";

const PIECE = 262_144;

class Reader implements BodyReader {
  offset = 0;
  readonly isElsewhere: boolean;
  constructor(isElsewhere = false) {
    this.isElsewhere = isElsewhere;
  }
  onMore(): void {}
}

class Rig implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "sluice-body-file-"));
  readonly writing: LargeWriting;
  readonly body: Body;
  readonly file: BodyFile;
  rooms = 0;
  ended: boolean | null = null;

  constructor(total: number, bytesMax = 1e9) {
    this.writing = new LargeWriting(this.folder, new DiskBoard(DiskBoard.memory()), bytesMax);
    this.body = new Body(total, { onRoom: () => (this.rooms += 1), onLeft() {} });
    this.file = new BodyFile(this.body, this.writing, (isWhole) => (this.ended = isWhole));
  }
  append(bytes: number, value: number): void {
    this.body.append(Buffer.alloc(bytes, value), 0, bytes);
    this.file.onMore();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  }
  get files(): string[] {
    return readdirSync(this.folder);
  }
  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

describe("content that goes to a file", () => {
  test("is let go as the file has it, and can be read from there", async () => {
    using it = new Rig(4 * PIECE);
    const reader = new Reader();
    it.body.follow(reader);
    for (let i = 1; i <= 4; i += 1) it.append(PIECE, i);
    await it.until(() => it.body.firstOffset === 3 * PIECE);
    it.body.finish(null);
    it.body.announce();
    it.file.onMore();
    await it.until(() => it.ended !== null);
    expect([it.ended, it.writing.written]).toEqual([true, 4 * PIECE]);
    expect((await it.body.backing!.read(PIECE + 7))![0]).toBe(2);
    it.file.close();
    expect((await it.body.backing!.read(0))![0]).toBe(1); // somebody follows it still
    it.body.leave(reader);
    expect(it.files).toEqual([]); // nobody has stored it
  });

  test("holds the server up while the file is far behind, and not for a slow reader", async () => {
    using it = new Rig(100 * PIECE);
    const slow = new Reader();
    it.body.follow(slow);
    for (let i = 0; i < 6; i += 1) it.append(PIECE, i);
    expect(it.body.full).toBe(true);
    await it.until(() => !it.body.full);
    expect(it.rooms).toBeGreaterThan(0);
    expect([slow.offset, it.body.firstOffset > 0]).toEqual([0, true]);
    it.file.close();
    it.body.break(fault("client.gone"));
    it.body.leave(slow);
  });

  test("is kept in memory for who cannot read the file", async () => {
    using it = new Rig(100 * PIECE);
    const far = new Reader(true);
    it.body.follow(far);
    for (let i = 0; i < 4; i += 1) it.append(PIECE, i);
    await it.until(() => it.writing.written === 3 * PIECE);
    expect(it.body.firstOffset).toBe(0);
    far.offset = 2 * PIECE;
    it.body.taken();
    expect(it.body.firstOffset).toBe(2 * PIECE);
    it.body.leave(far);
    expect(it.body.firstOffset).toBe(3 * PIECE);
    it.file.close();
    it.body.break(fault("client.gone"));
  });

  test("goes on in memory where the file can have no more, for those who follow", async () => {
    using it = new Rig(-1, 2 * PIECE);
    const slow = new Reader();
    it.body.follow(slow);
    for (let i = 0; i < 20; i += 1) it.append(PIECE, i);
    await it.until(() => it.ended !== null);
    expect(it.ended).toBe(false);
    it.file.close();
    it.body.openWindow();
    expect(it.files).toEqual([]);
    const { firstOffset } = it.body;
    expect([firstOffset <= 2 * PIECE, it.body.full]).toEqual([true, true]); // the slowest sets the pace from here on
    expect((await it.body.backing!.read(0))!.length).toBe(PIECE);
    slow.offset = it.body.length;
    it.body.taken();
    expect([it.body.full, it.body.firstOffset > firstOffset]).toEqual([false, true]);
    it.body.finish(null);
    it.body.announce();
    it.body.leave(slow);
  });
});
