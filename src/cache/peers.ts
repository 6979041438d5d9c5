// What the workers of a process do for each other: one of them fetches an answer, and the others ask that one for it.
// Who it is stands in a directory in shared memory, which is a hint: whoever is asked in vain says so, and the other
// fetches by itself. Content is handed over as shared memory, so that it exists once: whole, or piece by piece while it
// is fetched.
import type { Fault } from "../core/faults.ts";
import type { UseTimes } from "../engines/cache/freshness.ts";
import type { VaryRule } from "../engines/cache/vary.ts";
import { Directory, NOBODY } from "../engines/storage/directory.ts";
import { KeyHash } from "../engines/storage/key-hash.ts";
import type { Stamp } from "./changes.ts";

/** Keys that the directory has room for: it takes 8 bytes for each. */
const KEYS = 262_144;

/** An answer on its way to another worker. */
export interface SharedAnswer {
  readonly status: number;
  readonly reason: string;
  /** The stored head, with the marks and ids of its fields. */
  readonly head: Uint8Array;
  readonly marks: Int32Array;
  readonly ids: Uint8Array;
  readonly rule: VaryRule;
  readonly key: string;
  readonly encoding: string;
  readonly language: string;
  readonly times: UseTimes;
  readonly stamp: Stamp;
  readonly tags: readonly string[];
  readonly pieces: readonly SharedArrayBuffer[];
  readonly length: number;
}

/**
 * What a worker that has no answers knows of them: nothing; that they may not be stored (`refused-few`: those to
 * requests with credentials or cookies); or that the server failed, and is not to be asked for a while.
 */
export type Lack = "nothing" | "refused" | "refused-few" | "failed";

/** How content goes on behind the pieces of a message. */
export type Progress = "open" | "window" | "done" | "broken";

export type PeerMessage =
  /** Wants the answers of a key, of which it has `known` fresh ones itself. */
  | {
      readonly kind: "want";
      readonly question: number;
      readonly address: string;
      readonly extra: string;
      readonly known: number;
    }
  /** Has these; none: the other has to see for itself. */
  | { readonly kind: "have"; readonly question: number; readonly answers: readonly SharedAnswer[]; readonly lack: Lack }
  /** Is fetching this, of `total` bytes (-1: nobody told); `more` brings the content. */
  | { readonly kind: "begin"; readonly question: number; readonly answer: SharedAnswer; readonly total: number }
  | {
      readonly kind: "more";
      readonly question: number;
      readonly pieces: readonly SharedArrayBuffer[];
      /** Bytes that are there in all. */
      readonly length: number;
      readonly progress: Progress;
      /** Why it is broken. */
      readonly fault: Fault | null;
    }
  /** Has taken the content up to here, and wants more. */
  | { readonly kind: "taken"; readonly question: number; readonly offset: number }
  /** Nobody there reads it any more. */
  | { readonly kind: "left"; readonly question: number }
  /** The worker that it comes from has ended. */
  | { readonly kind: "gone" };

/** Who waits for what another worker has. */
export interface PeerWaiter {
  /** Who is asked. */
  readonly worker: number;
  onAnswers(answers: readonly SharedAnswer[], lack: Lack): void;
  onBegin(answer: SharedAnswer, total: number): void;
  onMore(pieces: readonly SharedArrayBuffer[], length: number, progress: Progress, fault: Fault | null): void;
  /** The worker has ended. */
  onGone(): void;
}

export class Peers {
  readonly #directory: Directory;
  readonly #hash: KeyHash;
  readonly #worker: number;
  readonly #send: (to: number, message: PeerMessage) => void;
  readonly #waiting = new Map<number, PeerWaiter>();
  #next = 1;

  /** `memory` and `seed` are the same for all workers; `worker` is the number of this one. */
  constructor(
    memory: SharedArrayBuffer,
    seed: bigint,
    worker: number,
    send: (to: number, message: PeerMessage) => void,
  ) {
    this.#directory = new Directory(memory, worker);
    this.#hash = new KeyHash(seed);
    this.#worker = worker;
    this.#send = send;
  }

  static memory(): SharedArrayBuffer {
    return Directory.memory(KEYS);
  }

  /** A worker has ended: what it fetched and held is nobody's. */
  static forget(memory: SharedArrayBuffer, worker: number): void {
    new Directory(memory, worker).forget(worker);
  }

  /** Takes a key for this worker. Returns another worker where that one has it, or fetches it; else -1. */
  claim(key: string): number {
    this.#hash.of(key);
    const holder = this.#directory.claim(this.#hash.low, this.#hash.high);
    return holder === this.#worker || holder === NOBODY ? -1 : holder;
  }

  /** This worker has fetched what it claimed, or was given it. */
  held(key: string): void {
    this.#hash.of(key);
    this.#directory.held(this.#hash.low, this.#hash.high);
  }

  /** This worker fetches and has it no longer. */
  release(key: string): void {
    this.#hash.of(key);
    this.#directory.release(this.#hash.low, this.#hash.high);
  }

  /** Asks a worker. Returns the number of the question, for `forget`. */
  ask(address: string, extra: string, known: number, waiter: PeerWaiter): number {
    const question = this.#next++;
    this.#waiting.set(question, waiter);
    this.send(waiter.worker, { kind: "want", question, address, extra, known });
    return question;
  }

  send(to: number, message: PeerMessage): void {
    this.#send(to, message);
  }

  waiter(question: number): PeerWaiter | undefined {
    return this.#waiting.get(question);
  }

  forget(question: number): void {
    this.#waiting.delete(question);
  }

  /** A worker has ended: those who wait for it are told. */
  gone(worker: number): void {
    for (const waiter of [...this.#waiting.values()]) if (waiter.worker === worker) waiter.onGone();
  }
}
