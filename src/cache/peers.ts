// What the workers of a process do for each other: one of them fetches an answer, and the others ask that one for it.
// Who it is stands in a directory in shared memory, which is a hint: whoever is asked in vain says so, and the other
// fetches by itself. Content is handed over as shared memory, so that it exists once.
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

export type PeerMessage =
  /** Wants the answers of a key. */
  | { readonly kind: "want"; readonly question: number; readonly address: string; readonly extra: string }
  /** Has these; none: the other has to ask the server by itself. */
  | { readonly kind: "have"; readonly question: number; readonly answers: readonly SharedAnswer[] };

/** Who waits for what another worker has. */
export interface PeerWaiter {
  onAnswers(answers: readonly SharedAnswer[]): void;
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
  ask(to: number, address: string, extra: string, waiter: PeerWaiter): number {
    const question = this.#next++;
    this.#waiting.set(question, waiter);
    this.#send(to, { kind: "want", question, address, extra });
    return question;
  }

  answer(to: number, question: number, answers: readonly SharedAnswer[]): void {
    this.#send(to, { kind: "have", question, answers });
  }

  answered(question: number, answers: readonly SharedAnswer[]): void {
    const waiter = this.#waiting.get(question);
    this.#waiting.delete(question);
    waiter?.onAnswers(answers);
  }

  forget(question: number): void {
    this.#waiting.delete(question);
  }
}
