// One route's events behind the collector: they are refined, written down, and given to each destination. Lives in the
// thread that has the queues.
import { type Consent, combined, settled } from "../engines/tagging/consent/consent.ts";
import type { TagEvent } from "../engines/tagging/event.ts";
import { Delivery, type DeliveryClock, type DeliveryCounts, type OnTold, type Sender } from "./delivery.ts";
import { Queue, type QueueOptions } from "./queue.ts";
import type { RawEvent } from "./raw-event.ts";
import type { Refinery } from "./refine.ts";
import type { Trail, Way } from "./trail.ts";
import { Undecided } from "./undecided.ts";

export interface DispatchOptions {
  readonly queue: QueueOptions;
  readonly refinery: Refinery;
  readonly senders: readonly Sender[];
  readonly clock: DeliveryClock;
  /** How long events may be in memory alone. */
  readonly flushMs: number;
  /** How long events wait for what a visitor will choose, and what holds when he does not. */
  readonly waitMs: number;
  readonly byDefault: Consent;
  /** Is told when the disk does not take events, or takes them again. */
  readonly onTrouble: (text: string) => void;
  /** Is told of each event that is written down, for those who watch. */
  readonly onEvent: (event: TagEvent) => void;
  /** What became of the last events. */
  readonly trail: Trail;
}

export interface DestinationState extends DeliveryCounts {
  readonly name: string;
  readonly waiting: number;
  /** Milliseconds since the oldest event that waits was taken; 0 when none does. */
  readonly ageMs: number;
  readonly dead: number;
  readonly trouble: string;
}

export interface DispatchState {
  readonly received: number;
  readonly dropped: number;
  readonly bytes: number;
  readonly destinations: readonly DestinationState[];
}

/** What became of dead letters that were sent once more. */
export interface Replayed {
  readonly sent: number;
  readonly left: number;
}

/** Events in memory beyond which more are dropped: the disk has not taken any for seconds then. */
const PENDING_MAX = 100_000;
const SETTLE_MS = 1000;

export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #queue: Queue;
  readonly #deliveries: ReadonlyMap<string, Delivery>;
  readonly #closed = new AbortController();
  readonly #undecided = new Undecided();
  #pending: string[] = [];
  #stopFlush: (() => void) | null = null;
  #stopSettle: () => void;
  #received = 0;
  #dropped = 0;
  #isInTrouble = false;

  /** Throws an Error when the queue cannot be opened. */
  constructor(options: DispatchOptions) {
    this.#options = options;
    this.#queue = new Queue(options.queue);
    this.#queue.keepOnly(options.senders.map(({ name }) => name));
    const { clock, trail } = options;
    const onTold: OnTold = (what, name, events, why) => trail.told(what, name, events, why, clock.now());
    this.#deliveries = new Map(
      options.senders.map((sender) => [sender.name, new Delivery(this.#queue, sender, clock, onTold)]),
    );
    for (const delivery of this.#deliveries.values()) delivery.wake();
    this.#stopSettle = clock.after(SETTLE_MS, () => this.#settle());
  }

  take(events: readonly RawEvent[]): void {
    this.#received += events.length;
    const { waitMs, clock, trail } = this.#options;
    const now = clock.now();
    for (const raw of events) {
      const waits = raw.undecided && raw.visit !== "" && waitMs > 0;
      trail.received(raw.id, now, waits);
      if (!waits) this.#add(raw);
      else if (!this.#undecided.hold(raw, now + waitMs)) this.#drop(raw);
    }
  }

  #drop({ id }: RawEvent): void {
    this.#dropped += 1;
    this.#options.trail.dropped(id, this.#options.clock.now());
  }

  /** A visitor has chosen: what was kept for it goes on with that. */
  decide(visit: string, consent: Consent): void {
    for (const raw of this.#undecided.release(visit)) this.#add({ ...raw, consent: combined(raw.consent, consent) });
  }

  #add(raw: RawEvent): void {
    if (this.#pending.length >= PENDING_MAX) return this.#drop(raw);
    const { refinery, byDefault, onEvent, clock, flushMs, trail } = this.#options;
    const event = refinery.of({ ...raw, consent: settled(raw.consent, byDefault) });
    onEvent(event);
    const text = JSON.stringify(event);
    this.#pending.push(text);
    trail.refined(raw.id, event.id, text, clock.now());
    this.#stopFlush ??= clock.after(flushMs, () => this.flush());
  }

  /** Writes down what is in memory. */
  flush(): void {
    this.#stopFlush?.();
    this.#stopFlush = null;
    const { clock, onTrouble, flushMs, trail } = this.#options;
    if (this.#pending.length === 0) return;
    try {
      trail.written(this.#queue.append(this.#pending, clock.now()), clock.now());
    } catch (error) {
      if (!this.#isInTrouble) onTrouble(error instanceof Error ? error.message : String(error));
      this.#isInTrouble = true;
      this.#stopFlush = clock.after(Math.max(flushMs, SETTLE_MS), () => this.flush());
      return;
    }
    if (this.#isInTrouble) onTrouble("");
    this.#isInTrouble = false;
    this.#pending = [];
    for (const delivery of this.#deliveries.values()) delivery.wake();
  }

  #settle(): void {
    const { clock } = this.#options;
    for (const raw of this.#undecided.expired(clock.now())) this.#add(raw);
    this.#queue.settle();
    this.#stopSettle = clock.after(SETTLE_MS, () => this.#settle());
  }

  state(): DispatchState {
    const now = this.#options.clock.now();
    return {
      received: this.#received,
      dropped: this.#dropped + this.#queue.dropped,
      bytes: this.#queue.bytes,
      destinations: [...this.#deliveries].map(([name, delivery]) => ({
        name,
        ...delivery.counts,
        waiting: this.#queue.waiting(name),
        ageMs: Math.max(0, now - (this.#queue.oldest(name) ?? now)),
        dead: this.#queue.deadCount(name),
        trouble: delivery.trouble,
      })),
    };
  }

  /** What became of one of the last events; null where it is not known. */
  trace(id: string): Way | null {
    return this.#options.trail.of(id);
  }

  /** Sends dead letters of a destination once more, and forgets those that arrive. */
  async replay(destination: string): Promise<Replayed> {
    const sender = this.#options.senders.find(({ name }) => name === destination);
    if (sender === undefined) throw new RangeError(`there is no destination named "${destination}"`);
    const counts = { sent: 0, left: 0 };
    for (let behind = 0; ; ) {
      const letters = this.#queue.deadLetters(destination, behind, sender.batch);
      const last = letters.at(-1);
      if (last === undefined) break;
      behind = last.seq;
      const { kind } = await sender.send(letters, this.#closed.signal);
      if (this.#closed.signal.aborted) break;
      if (kind === "done") this.#queue.unbury(destination, letters);
      counts[kind === "done" ? "sent" : "left"] += letters.length;
      if (kind === "later") break; // nor will it take the next
    }
    return counts;
  }

  close(): void {
    this.#closed.abort();
    this.flush();
    this.#stopFlush?.();
    this.#stopSettle();
    for (const delivery of this.#deliveries.values()) delivery.close();
    this.#queue.close();
  }
}
