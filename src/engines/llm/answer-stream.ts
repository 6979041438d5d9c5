// A provider's stream as the client gets it, where it is not passed on byte by byte: without the usage that the client
// has not asked for, with marks in place of what must not be said, or in another format. Each event leaves once it is
// there.
import { EventRedactor } from "./event-redactor.ts";
import { type Api, type Fields, isFields, jsonOf, listAt } from "./formats.ts";
import { EventMeter, type Metered } from "./meter.ts";
import type { Redactor } from "./redact.ts";
import { SseReader, writeEvent } from "./sse.ts";
import { type StreamTranslator, ToChunks, ToEvents } from "./stream-translators.ts";

export interface StreamPlan {
  /** What the provider answers, and what the client is to get. */
  readonly from: Api;
  readonly to: Api;
  /** The chunk with the usage is for us: the client has not asked for it. */
  readonly hidesUsage: boolean;
  readonly redactor: Redactor | null;
  readonly found: (label: string) => void;
  /** About how many tokens the prompt has. */
  readonly prompt: number;
  /** Seconds since 1970. */
  readonly seconds: number;
}

/** An event that is longer cannot be looked at; where it would have to be changed, the stream ends. */
const EVENT_MAX = 1_048_576;
const END = "[DONE]";
const END_EVENT = Buffer.from(`data: ${END}\n\n`);

export class AnswerStream {
  /** An event was too long or too deep to be changed, so that nothing of it may go on. */
  isBroken = false;
  readonly #plan: StreamPlan;
  readonly #out: (bytes: Buffer) => void;
  readonly #reader: SseReader;
  readonly #meter: EventMeter;
  readonly #translator: StreamTranslator | null;
  readonly #redactor: EventRedactor | null;

  constructor(plan: StreamPlan, out: (bytes: Buffer) => void) {
    const { from, to, redactor, found } = plan;
    this.#plan = plan;
    this.#out = out;
    this.#meter = new EventMeter(from);
    this.#reader = new SseReader(EVENT_MAX, {
      event: (_name, data, raw) => this.#event(data, raw),
      passed: (raw) => this.#passed(raw),
    });
    const send = (event: Fields): void => this.#send(event);
    this.#redactor = redactor === null ? null : new EventRedactor(to, redactor, found, send);
    this.#translator = from === to ? null : this.#translatorOf(plan);
  }

  #translatorOf({ to, hidesUsage, prompt, seconds }: StreamPlan): StreamTranslator {
    const take = (event: Fields | null): void => this.#translated(event);
    return to === "chat" ? new ToChunks(take, !hidesUsage, seconds) : new ToEvents(take, prompt);
  }

  push(bytes: Buffer, from: number, to: number): void {
    if (!this.isBroken) this.#reader.push(bytes, from, to);
  }

  end(): void {
    if (this.isBroken) return;
    this.#reader.end();
    this.#redactor?.end();
  }

  result(prompt: number): Metered {
    return this.#meter.result(prompt);
  }

  #event(data: string, raw: Buffer): void {
    if (this.isBroken) return;
    try {
      this.#take(data, raw);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // It is nested deeper than the stack is: a model can be made to write that into a tool's input.
      this.isBroken = true;
    }
  }

  #take(data: string, raw: Buffer): void {
    const isEnd = data === END;
    const value = isEnd ? null : jsonOf(data);
    const event = isFields(value) ? value : null;
    if (event !== null) this.#meter.take(event);
    if (this.#translator !== null) {
      if (event !== null || isEnd) this.#translator.event(event);
    } else if (event !== null && this.#isHidden(event)) return;
    else if (this.#redactor === null) this.#out(raw);
    else if (event !== null) this.#redactor.event(event);
    else {
      if (isEnd) this.#redactor.end();
      this.#out(raw); // a comment, or the mark of the end
    }
  }

  /** The chunk that says what it took has no choices. */
  #isHidden(event: Fields): boolean {
    return this.#plan.hidesUsage && isFields(event.usage) && listAt(event, "choices").length === 0;
  }

  #translated(event: Fields | null): void {
    if (event !== null && this.#redactor !== null) return this.#redactor.event(event);
    if (event !== null) return this.#send(event);
    this.#redactor?.end();
    this.#out(END_EVENT);
  }

  /** Where the format has names for events, they are those of their types. */
  #send(event: Fields): void {
    const { to } = this.#plan;
    const isNamed = (to === "messages" || to === "responses") && typeof event.type === "string";
    this.#out(writeEvent(isNamed ? (event.type as string) : "", JSON.stringify(event)));
  }

  #passed(raw: Buffer): void {
    this.#meter.passed(raw.length);
    if (this.#translator === null && this.#redactor === null) this.#out(raw);
    else this.isBroken = true;
  }
}
