// Server-sent events as they pass (WHATWG HTML §9.2.6), cut into events wherever the network cut the bytes. Nothing of
// them is lost: each event is given out with its own bytes, so that it can go on as it came.

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;

export interface SseHandler {
  /** An event: its name ("" for none), its data, and its bytes with the empty line that ends it. They may be kept. */
  event(name: string, data: string, raw: Buffer): void;
  /** A piece of one that is too long to be looked at. */
  passed(raw: Buffer): void;
}

export class SseReader {
  readonly #max: number;
  readonly #handler: SseHandler;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The line at hand has nothing in it so far. */
  #isEmptyLine = true;
  /** The event at hand has a line with something in it. */
  #isBegun = false;
  #wasCr = false;
  #isLong = false;

  /** Events of more than `max` bytes are passed on without being read. */
  constructor(max: number, handler: SseHandler) {
    this.#max = max;
    this.#handler = handler;
  }

  /** A piece of the stream, cut anywhere; the bytes must stay as they are. */
  push(bytes: Buffer, from: number, to: number): void {
    let start = from;
    for (let at = from; at < to; at += 1) {
      const byte = bytes[at]!;
      if (byte !== LF && byte !== CR) {
        this.#isEmptyLine = false;
        this.#isBegun = true;
        this.#wasCr = false;
        continue;
      }
      const isSecond = byte === LF && this.#wasCr; // of a pair: the line has ended already
      this.#wasCr = byte === CR;
      if (isSecond) continue;
      if (this.#isEmptyLine && this.#isBegun) {
        // The second half of a pair belongs to it, where it is there.
        const end = byte === CR && at + 1 < to && bytes[at + 1] === LF ? at + 2 : at + 1;
        this.#finish(bytes, start, end);
        if (end === at + 2) {
          at += 1;
          this.#wasCr = false;
        }
        start = end;
      }
      this.#isEmptyLine = true;
    }
    if (start < to) this.#keep(bytes, start, to);
  }

  /** The stream is over: what is there of a last event counts as one, as not all senders end it. */
  end(): void {
    if (this.#heldBytes > 0) this.#finish(NOTHING, 0, 0);
  }

  #finish(bytes: Buffer, from: number, to: number): void {
    this.#isBegun = false;
    const last = bytes.subarray(from, to);
    if (this.#isLong || this.#heldBytes + last.length > this.#max) {
      this.#pass();
      this.#isLong = false;
      if (last.length > 0) this.#handler.passed(last);
      return;
    }
    const raw = this.#heldBytes === 0 ? last : Buffer.concat([...this.#held, last]);
    this.#held = [];
    this.#heldBytes = 0;
    const { name, data } = fieldsOf(raw);
    this.#handler.event(name, data, raw);
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const piece = bytes.subarray(from, to);
    if (this.#isLong) return this.#handler.passed(piece);
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes <= this.#max) return;
    this.#isLong = true;
    this.#pass();
  }

  #pass(): void {
    for (const piece of this.#held) this.#handler.passed(piece);
    this.#held = [];
    this.#heldBytes = 0;
  }
}

const NOTHING = Buffer.alloc(0);
/** What most events are: one line of data, and an empty one. */
const DATA = Buffer.from("data:");
const EVENT = Buffer.from("event:");

/** The name of an event, and its data: lines joined by line feeds. */
function fieldsOf(raw: Buffer): { readonly name: string; readonly data: string } {
  let name = "";
  let data = "";
  let hasData = false;
  for (let at = 0; at < raw.length; ) {
    const end = lineEnd(raw, at);
    const isData = begins(raw, at, end, DATA);
    if (isData || begins(raw, at, end, EVENT)) {
      const colon = at + (isData ? DATA.length : EVENT.length);
      const value = raw.toString("utf8", raw[colon] === SPACE && colon < end ? colon + 1 : colon, end);
      if (!isData) name = value;
      else data = hasData ? `${data}\n${value}` : value;
      hasData ||= isData;
    }
    at = end + 1;
  }
  return { name, data };
}

function lineEnd(raw: Buffer, from: number): number {
  let at = from;
  while (at < raw.length && raw[at] !== LF && raw[at] !== CR) at += 1;
  return at;
}

function begins(raw: Buffer, at: number, end: number, word: Buffer): boolean {
  if (at + word.length > end || raw[at + word.length - 1] !== COLON) return false;
  for (let i = 0; i < word.length - 1; i += 1) if (raw[at + i] !== word[i]) return false;
  return true;
}

/** An event as bytes; without a name the data alone. The data has no line end, as JSON has none. */
export const writeEvent = (name: string, data: string): Buffer =>
  Buffer.from(name === "" ? `data: ${data}\n\n` : `event: ${name}\ndata: ${data}\n\n`);
