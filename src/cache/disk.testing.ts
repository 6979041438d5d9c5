// The disk tier without threads, for tests: what a store sends reaches the writer at once, and is written when told.
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessagePort } from "node:worker_threads";
import { DiskIndex } from "../engines/storage/disk-index.ts";
import type { DiskRecord } from "../engines/storage/record.ts";
import { DiskBoard } from "./disk-board.ts";
import { DiskChanges } from "./disk-changes.ts";
import { DiskFolder } from "./disk-folder.ts";
import type { DiskTask } from "./disk-message.ts";
import { type DiskEntry, DiskStore } from "./disk-store.ts";
import { DiskWriter } from "./disk-writer.ts";

const ENTRIES = 2000;
export const STORED_AT = 1_800_000_000_000;

export const entryOf = (body: string | Buffer): DiskEntry => ({
  tags: Buffer.from("tag"),
  meta: Buffer.from([1, 2, 3]),
  head: Buffer.from("HTTP/1.1 200 OK\r\n"),
  body: Buffer.from(body),
  storedAt: STORED_AT,
});

export class TestTier {
  readonly writer: DiskWriter;
  readonly store: DiskStore;
  readonly board: DiskBoard;
  readonly troubles: string[] = [];
  now = 0;
  readonly #folder: DiskFolder;

  constructor(path: string, bytesMax: number, segmentBytes: number) {
    this.#folder = DiskFolder.open(path);
    const share = {
      path,
      seed: this.#folder.seed,
      largeBytesMax: bytesMax / 4,
      index: DiskIndex.memory(ENTRIES),
      board: DiskBoard.memory(),
      changes: DiskChanges.memory(),
    };
    this.board = new DiskBoard(share.board);
    this.writer = new DiskWriter(this.#folder, new DiskIndex(share.index), this.board, {
      bytesMax,
      segmentBytes,
      onTrouble: (text) => this.troubles.push(text),
      now: () => this.now,
    });
    this.store = new DiskStore(share, this.#port());
    Buffer.from(share.changes).set(this.#folder.readChanges());
    this.writer.start();
  }

  /** Opened, with all that was there read. */
  static open(path: string, bytesMax = 1 << 20, segmentBytes = 1 << 16): TestTier {
    const tier = new TestTier(path, bytesMax, segmentBytes);
    while (!tier.writer.replay());
    return tier;
  }

  put(key: string, body: string | Buffer): void {
    this.store.put(key, entryOf(body));
    this.writer.flush();
  }
  delete(key: string): void {
    this.store.delete(key, 0);
    this.writer.flush();
  }
  /** The body that is found, as text. */
  get(key: string): string | null {
    const found = this.store.get(key) as DiskRecord | null;
    return found === null ? null : found.body.toString();
  }

  close(): void {
    this.store.close();
    this.writer.close();
  }
  /** As if the process had been killed: no snapshot, nothing of what waits. */
  crash(): void {
    this.store.close();
    this.#folder.close();
  }

  #port(): MessagePort {
    const nothing = (): void => {};
    const postMessage = (task: DiskTask): void => {
      if (task.kind === "put") this.writer.put(task.low, task.high, task.record as Buffer);
      else if (task.kind === "delete") this.writer.delete(task.low, task.high, task.record as Buffer);
    };
    return { postMessage, on: nothing, ref: nothing, unref: nothing, close: nothing } as unknown as MessagePort;
  }
}

/** A folder for one test, removed when that is over. */
export async function inFolder(run: (path: string) => void | Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "sluice-disk-"));
  try {
    await run(join(path, "cache"));
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

export const filesOf = (path: string, ending: string): string[] =>
  readdirSync(path)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(path, name))
    .sort();

export const bytesOf = (path: string): number =>
  filesOf(path, ".segment").reduce((sum, file) => sum + statSync(file).size, 0);
