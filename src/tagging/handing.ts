// What workers hand over goes in batches: a message between threads costs as much as a small request.
import type { Consent } from "../engines/tagging/consent/consent.ts";
import type { EventSink } from "./collector.ts";
import type { Handover } from "./messages.ts";
import type { RawEvent } from "./raw-event.ts";

/** How long events of pages may wait for others. */
const LINGER_MS = 5;
/** Beyond so many they go at once. */
const EVENTS_MAX = 200;

export class Handing implements EventSink {
  readonly #route: string;
  readonly #send: (what: Handover) => void;
  #events: RawEvent[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(route: string, send: (what: Handover) => void) {
    this.#route = route;
    this.#send = send;
  }

  take(events: readonly RawEvent[]): void {
    for (const event of events) this.#events.push(event);
    if (this.#events.length >= EVENTS_MAX) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), LINGER_MS);
  }

  /** A choice never overtakes the events that it is about. */
  decide(visit: string, consent: Consent): void {
    this.flush();
    this.#send({ kind: "choice", route: this.#route, visit, consent });
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    this.#send({ kind: "events", route: this.#route, events });
  }
}
