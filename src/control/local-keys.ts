// Keys of one machine: who has which, and the answers that are kept, in memory up to a limit and in a file where there
// is one. A worker that ends frees what it had.
import { wallClock } from "../core/clock.ts";
import type { Claimed, KeptAnswer, KeyClaim } from "../pipeline/key-book.ts";
import type { KeyFile } from "./key-file.ts";

/** The object, the map's entry and the strings of one answer, beside its content and fields. */
const ENTRY_BYTES = 400;
/** Connections are bounded, and each has one request or a hundred under way. */
const TAKEN_MAX = 200_000;
/**
 * An answer reaches its client a moment before we hear that it is kept: who asks again at once waits for that, and is
 * not told that the first request is under way still.
 */
const GRACE_MS = 100;

interface Taken {
  readonly worker: number;
  readonly token: number;
  /** Those who wait for the end. */
  waiting: (() => void)[];
}
interface Kept {
  readonly answer: KeptAnswer;
  readonly untilMs: number;
  readonly bytes: number;
}

export class LocalKeys {
  /** Answers that were forgotten before their time because others needed the room. */
  evicted = 0;
  readonly #taken = new Map<string, Taken>();
  /** In the order in which they were kept. */
  readonly #kept = new Map<string, Kept>();
  readonly #now: () => number;
  readonly #failed: (error: unknown) => void;
  #bytes = 0;
  #bytesMax: number;
  #file: KeyFile | null = null;
  #nextToken = 1;

  /** `failed` is told of what the file does not take. */
  constructor(bytesMax: number, failed: (error: unknown) => void, now: () => number = wallClock) {
    this.#bytesMax = bytesMax;
    this.#failed = failed;
    this.#now = now;
  }

  get bytes(): number {
    return this.#bytes;
  }

  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#makeRoom();
  }

  /** Keeps what it has in this file from now on, and has what is there; null for no file. */
  use(file: KeyFile | null): void {
    this.#file?.close();
    this.#file = file;
    if (file === null) return;
    this.#try(() => {
      for (const { id, untilMs, answer } of file.rows(this.#now()))
        if (!this.#kept.has(id)) this.#remember(id, answer, untilMs);
      for (const [id, { answer, untilMs }] of this.#kept) file.put({ id, untilMs, answer });
    });
    this.#makeRoom();
  }

  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failed(error);
    }
  }

  async claim(worker: number, { id, waitMs }: KeyClaim): Promise<Claimed> {
    const until = this.#now() + Math.max(waitMs, GRACE_MS);
    for (;;) {
      const kept = this.#find(id);
      if (kept !== null) return { kind: "kept", answer: kept };
      const taken = this.#taken.get(id);
      if (taken === undefined) break;
      const left = until - this.#now();
      if (left <= 0) return { kind: "busy" };
      await ended(taken, left);
    }
    if (this.#taken.size >= TAKEN_MAX) return { kind: "unknown" };
    const token = this.#nextToken++;
    this.#taken.set(id, { worker, token, waiting: [] });
    return { kind: "taken", token };
  }

  finish(id: string, token: number, answer: KeptAnswer | null, ttlMs: number): void {
    const taken = this.#taken.get(id);
    if (taken?.token !== token) return;
    if (answer !== null) {
      const untilMs = this.#now() + ttlMs;
      this.#remember(id, answer, untilMs);
      this.#try(() => this.#file?.put({ id, untilMs, answer }));
      this.#makeRoom();
    }
    this.#free(id, taken);
  }

  #free(id: string, taken: Taken): void {
    this.#taken.delete(id);
    for (const go of taken.waiting.splice(0)) go();
  }

  /** The worker is gone, and with it what it was about to do. */
  forget(worker: number): void {
    for (const [id, taken] of this.#taken) if (taken.worker === worker) this.#free(id, taken);
  }

  #find(id: string): KeptAnswer | null {
    const kept = this.#kept.get(id);
    if (kept === undefined) return null;
    if (kept.untilMs > this.#now()) return kept.answer;
    this.#drop(id, kept);
    return null;
  }

  #remember(id: string, answer: KeptAnswer, untilMs: number): void {
    const before = this.#kept.get(id);
    if (before !== undefined) this.#drop(id, before);
    const bytes = ENTRY_BYTES + (answer.body?.length ?? 0) + lengthOf(answer.fields);
    this.#kept.set(id, { answer, untilMs, bytes });
    this.#bytes += bytes;
  }

  #drop(id: string, { bytes }: Kept): void {
    this.#kept.delete(id);
    this.#bytes -= bytes;
    this.#try(() => this.#file?.delete(id));
  }

  /** The oldest make room. */
  #makeRoom(): void {
    for (const [id, kept] of this.#kept) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#drop(id, kept);
      this.evicted += 1;
    }
  }

  /** Forgets those whose time is over. */
  sweep(): void {
    const now = this.#now();
    for (const [id, kept] of this.#kept) {
      if (kept.untilMs > now) continue;
      this.#kept.delete(id);
      this.#bytes -= kept.bytes;
    }
    this.#try(() => this.#file?.sweep(now));
  }

  close(): void {
    for (const [id, taken] of this.#taken) this.#free(id, taken);
    this.#file?.close();
    this.#file = null;
  }
}

function ended(taken: Taken, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(go, ms);
  function go(): void {
    clearTimeout(timer);
    const at = taken.waiting.indexOf(go);
    if (at >= 0) taken.waiting.splice(at, 1);
    resolve();
  }
  taken.waiting.push(go);
  return promise;
}

function lengthOf(fields: KeptAnswer["fields"]): number {
  let length = 0;
  for (const [name, value] of fields) length += name.length + value.length;
  return length;
}
