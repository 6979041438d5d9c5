// The disk tier as its owner sees it: starts and ends the thread that writes, and lets other threads in.
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { DiskIndex } from "../engines/storage/disk-index.ts";
import { DiskBoard, type DiskStats } from "./disk-board.ts";
import { CHANGES_BYTES, DiskChanges } from "./disk-changes.ts";
import type { DiskNews, DiskOrder, DiskSetup, DiskShare } from "./disk-message.ts";
import { DiskStore } from "./disk-store.ts";
import type { SweepRule } from "./disk-sweep.ts";

const MEGABYTE = 1024 * 1024;
/** Small enough that giving one up is no loss, large enough that files are few: 160 for 10 GB. */
const SEGMENT_BYTES_MAX = 64 * MEGABYTE;
/** A tier of few segments would lose much with each. */
const SEGMENTS_MIN = 8;
/** Eight segments that take the largest record each, and what lies beside them. */
export const DISK_BYTES_MIN = 16 * MEGABYTE;
/** The index has room for entries of this mean size: 24 bytes for each. Smaller ones replace others before the disk is full. */
const ENTRY_BYTES_TYPICAL = 8192;
/** The part of the room that one large body may take: a larger one would push out more than it can earn. */
const LARGE_SHARE = 1 / 8;
/** The part of the room that the snapshot of the index may take, at 20 bytes for each entry. */
const INDEX_SHARE = 0.01;
/** 400 MB of index. */
const ENTRIES_MAX = 16_000_000;

export interface DiskTierOptions {
  /** A folder of its own; made when it is missing. */
  readonly path: string;
  /** What its files may take together; at least DISK_BYTES_MIN. */
  readonly bytesMax: number;
  /** Something went wrong that operators should know of; the proxy goes on without. */
  readonly onTrouble: (text: string) => void;
}

export class DiskTier {
  readonly share: DiskShare;
  readonly #worker: Worker;
  readonly #board: DiskBoard;
  readonly #ended: Promise<void>;
  #own: DiskStore | null = null;

  private constructor(worker: Worker, share: DiskShare) {
    this.#worker = worker;
    this.#ended = new Promise((resolve) => worker.once("exit", () => resolve()));
    this.share = share;
    this.#board = new DiskBoard(share.board);
  }

  /** Opens the folder. Rejects with an Error in plain words when it cannot be used. */
  static async start({ path, bytesMax, onTrouble }: DiskTierOptions): Promise<DiskTier> {
    const room = roomOf(bytesMax);
    const setup: DiskSetup = {
      path,
      bytesMax: room,
      segmentBytes: Math.min(SEGMENT_BYTES_MAX, Math.floor(room / SEGMENTS_MIN)),
      index: DiskIndex.memory(Math.min(ENTRIES_MAX, Math.ceil(room / ENTRY_BYTES_TYPICAL))),
      board: DiskBoard.memory(),
      changes: DiskChanges.memory(),
    };
    const worker = new Worker(new URL("./disk-thread.ts", import.meta.url), { workerData: setup });
    const seed = await opened(worker, onTrouble);
    const largeBytesMax = Math.floor(room * LARGE_SHARE);
    const { index, board, changes } = setup;
    return new DiskTier(worker, { path, seed, largeBytesMax, index, board, changes });
  }

  /** A way in for one thread, to be handed over to it and given to a DiskStore there. */
  connect(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#order({ kind: "connect", port: port1 }, [port1]);
    return port2;
  }

  stats(): DiskStats {
    return this.#board.stats();
  }

  /** Sets what its files may take together. The index keeps the size that it was made with. */
  resize(bytesMax: number): void {
    this.#order({ kind: "resize", bytesMax: roomOf(bytesMax) }, []);
  }

  /**
   * Has what the rules say forgotten, or made stale, and what is behind the addresses forgotten, after `first` has done
   * so elsewhere: nothing of it is put there again meanwhile. Resolves to the number that `first` gives and that of
   * records, once the disk itself has it.
   */
  async purge(
    rules: readonly SweepRule[],
    addresses: readonly string[],
    first: () => Promise<number>,
  ): Promise<number> {
    this.#board.beginPurge();
    this.#own ??= new DiskStore(this.share, this.connect());
    try {
      for (const address of addresses) this.#own.change(address);
      let count = await first();
      for (const rule of rules) count += await this.#own.sweep(rule);
      await this.#own.synced();
      return count;
    } finally {
      this.#board.endPurge();
    }
  }

  /** Writes what waits and the index. Those who were let in find nothing any more. */
  async close(): Promise<void> {
    this.#order({ kind: "close" }, []);
    await this.#ended;
    this.#own?.close();
    this.#own = null;
  }

  #order(order: DiskOrder, ports: MessagePort[]): void {
    this.#worker.postMessage(order, ports);
  }
}

/** What is left for records and large bodies beside the counters of changes and the snapshot of the index. */
function roomOf(bytesMax: number): number {
  return Math.floor((Math.max(bytesMax, DISK_BYTES_MIN) - CHANGES_BYTES) * (1 - INDEX_SHARE));
}

function opened(worker: Worker, onTrouble: (text: string) => void): Promise<bigint> {
  return new Promise((resolve, reject) => {
    worker.on("message", (news: DiskNews) => {
      if (news.kind === "open") resolve(news.seed);
      else if (news.kind === "refused") reject(new Error(news.text));
      else if (news.kind === "trouble") onTrouble(news.text);
    });
    worker.on("error", (error: Error) => {
      onTrouble(`the thread of the disk tier ended: ${error.message}`);
      reject(error);
    });
  });
}
