// One destination: takes events from the queue in batches, has them sent, and sees to it that what fails is tried
// again.
// Others are not held up by it: each has its own.
import type { Queue, Queued } from "./queue.ts";

/** What became of a batch. `later`: the vendor is away or busy; `never`: it will not take this. */
export type Sent =
  | { readonly kind: "done" }
  | { readonly kind: "later"; readonly afterMs: number; readonly why: string }
  | { readonly kind: "never"; readonly why: string };

export const DONE: Sent = { kind: "done" };

export interface Sender {
  readonly name: string;
  /** Events that are sent at a time. */
  readonly batch: number;
  /** Batches under way at a time. */
  readonly parallel: number;
  /** How long a batch waits to become full. */
  readonly lingerMs: number;
  /** Never rejects. What this destination is not to get it leaves out. `signal` ends what is under way. */
  send(events: readonly Queued[], signal: AbortSignal): Promise<Sent>;
}

export interface DeliveryClock {
  now(): number;
  /** Calls back after so long, unless the returned function is called before. */
  after(ms: number, then: () => void): () => void;
  /** From 0 to 1. */
  random(): number;
}

export interface DeliveryCounts {
  sent: number;
  retried: number;
  buried: number;
  /** Milliseconds that the last batch took. */
  latency: number;
}

interface Batch {
  readonly events: readonly Queued[];
  done: boolean;
  /** How often it has failed. */
  failures: number;
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;

/** Is told what has come of events. */
export type OnTold = (what: "sent" | "retried" | "dead", name: string, events: readonly Queued[], why: string) => void;

export class Delivery {
  readonly counts: DeliveryCounts = { sent: 0, retried: 0, buried: 0, latency: 0 };
  /** Why the last batch failed; "" while all is well. */
  trouble = "";
  readonly #queue: Queue;
  readonly #sender: Sender;
  readonly #clock: DeliveryClock;
  readonly #onTold: OnTold;
  readonly #abort = new AbortController();
  readonly #underWay: Batch[] = [];
  /** The last event that was read. */
  #read: number;
  /** The last batch has failed: no other is begun before one has succeeded. */
  #isFailing = false;
  /** What ends the waits of batches that are tried again, and what tries them at once unless the vendor has said when. */
  readonly #waits = new Map<() => void, (() => void) | null>();
  /** What ends the wait for a batch to become full. */
  #lingering: (() => void) | null = null;

  constructor(queue: Queue, sender: Sender, clock: DeliveryClock, onTold: OnTold = () => {}) {
    this.#queue = queue;
    this.#onTold = onTold;
    this.#sender = sender;
    this.#clock = clock;
    queue.open(sender.name);
    this.#read = queue.placeOf(sender.name);
  }

  /** Events have come. */
  wake(): void {
    const { batch, lingerMs, parallel } = this.#sender;
    while (!this.#isFailing && this.#underWay.length < parallel && !this.#abort.signal.aborted) {
      const events = this.#queue.after(this.#read, batch);
      const [first] = events;
      if (first === undefined) return;
      const left = first.at + lingerMs - this.#clock.now();
      if (events.length < batch && left > 0) return this.#linger(left);
      this.#start(events);
    }
  }

  #linger(ms: number): void {
    this.#lingering ??= this.#clock.after(ms, () => {
      this.#lingering = null;
      this.wake();
    });
  }

  #start(events: readonly Queued[]): void {
    this.#read = events.at(-1)!.seq;
    const batch: Batch = { events, done: false, failures: 0 };
    this.#underWay.push(batch);
    void this.#try(batch, events);
  }

  async #try(batch: Batch, events: readonly Queued[]): Promise<void> {
    const begun = this.#clock.now();
    const sent = await this.#sender.send(events, this.#abort.signal);
    if (this.#abort.signal.aborted) return;
    this.counts.latency = this.#clock.now() - begun;
    if (sent.kind === "later") return this.#later(batch, events, sent.afterMs, sent.why);
    const isBack = this.#isFailing;
    this.#isFailing = false;
    this.trouble = "";
    if (sent.kind === "done") {
      this.counts.sent += events.length;
      this.#onTold("sent", this.#sender.name, events, "");
    } else if (events.length > 1) return this.#halve(batch, events);
    else this.#bury(events[0]!, sent.why);
    if (isBack) this.#retryAll();
    this.#finish(batch);
  }

  /** One bad event must not take the others along: which one it is halving finds out. */
  async #halve(batch: Batch, events: readonly Queued[]): Promise<void> {
    const middle = events.length >> 1;
    const parts: Batch[] = [events.slice(0, middle), events.slice(middle)].map((part) => ({
      events: part,
      done: false,
      failures: 0,
    }));
    this.#underWay.splice(this.#underWay.indexOf(batch), 1, ...parts);
    for (const part of parts) await this.#try(part, part.events);
  }

  #bury(event: Queued, why: string): void {
    this.counts.buried += 1;
    this.#queue.bury(this.#sender.name, event, why);
    this.#onTold("dead", this.#sender.name, [event], why);
  }

  #later(batch: Batch, events: readonly Queued[], afterMs: number, why: string): void {
    this.counts.retried += events.length;
    this.#isFailing = true;
    batch.failures += 1;
    this.trouble = why;
    this.#onTold("retried", this.#sender.name, events, why);
    const grown = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(batch.failures - 1, 10));
    // Half of it at random: machines that were cut off together do not come back together.
    const wait = Math.max(afterMs, grown / 2 + (grown / 2) * this.#clock.random());
    const retry = (): void => {
      this.#waits.delete(stop);
      void this.#try(batch, events);
    };
    const stop = this.#clock.after(wait, retry);
    this.#waits.set(stop, afterMs > 0 ? null : retry);
  }

  /** The vendor is back: what waits goes at once. */
  #retryAll(): void {
    for (const [stop, retry] of [...this.#waits]) {
      if (retry === null) continue;
      stop();
      retry();
    }
  }

  /** The place moves on as far as everything before it is done. */
  #finish(batch: Batch): void {
    batch.done = true;
    let last = -1;
    while (this.#underWay[0]?.done === true) last = this.#underWay.shift()!.events.at(-1)!.seq;
    if (last >= 0) this.#queue.done(this.#sender.name, last);
    this.wake();
  }

  /** Ends what is under way; what was not finished is sent again by the next one. */
  close(): void {
    this.#abort.abort();
    for (const stop of this.#waits.keys()) stop();
    this.#lingering?.();
  }
}
