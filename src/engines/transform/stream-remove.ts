// Removes values from a JSON text as it passes, whatever its length: for texts that are too long to be held. As strict
// as the reader of whole texts, but for names that are there twice, of which all are removed. What is malformed is
// known only when the text before it has gone.
import type { JsonPath, Step } from "./json-path.ts";

/** Deeper nesting is made to exhaust somebody's stack. */
const DEPTH_MAX = 64;
/** Names are held until it is known whether they stay. */
const NAME_MAX = 65_536;

// What is expected next.
const VALUE = 0;
const VALUE_OR_END = 1;
const NAME = 2;
const NAME_OR_END = 3;
const COLON = 4;
const COMMA_OR_END = 5;
const STRING = 6;
const ESCAPED = 7;
const HEX_DIGIT = 8;
const WORD = 9;
const NUMBER = 10;
const NOTHING = 11;

/** Where in a number it is; it may end where there has been a digit. */
const N_MINUS = 0;
const N_ZERO = 1;
const N_WHOLE = 2;
const N_POINT = 3;
const N_FRACTION = 4;
const N_E = 5;
const N_SIGN = 6;
const N_EXPONENT = 7;
const N_OVER = 8;
const N_WRONG = 9;
const MAY_END = [false, true, true, false, true, false, false, true];

const byteOf = (char: string): number => char.charCodeAt(0);
const QUOTE = byteOf('"');
const BACKSLASH = byteOf("\\");
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] = [byteOf("{"), byteOf("}"), byteOf("["), byteOf("]")];
const WORDS: ReadonlyMap<number, Buffer> = new Map(
  ["true", "false", "null"].map((word) => [byteOf(word), Buffer.from(word)]),
);
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isHex = (byte: number): boolean => isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);

/** Where what stays is put. The bytes stay as they are. */
export type Emit = (bytes: Buffer, from: number, to: number) => void;

/** A path, and how many of its steps have been gone. */
interface Trail {
  readonly path: JsonPath;
  readonly gone: number;
}

const NO_TRAILS: readonly Trail[] = [];

/** An object or list that is open. Without trails nothing in it is removed, and it passes as it is. */
interface Frame {
  readonly isObject: boolean;
  /** Where all items of a list have the same trails: those. */
  readonly ofItems: readonly Trail[] | null;
  readonly trails: readonly Trail[];
  /** Members that have stayed, and the number of the next item. */
  stayed: number;
  item: number;
}

/** Behind `**` stands both itself and what follows it. */
const withDeep = (trails: readonly Trail[]): readonly Trail[] =>
  trails.some(({ path, gone }) => path[gone]?.kind === "deep")
    ? trails.flatMap((trail) =>
        trail.path[trail.gone]?.kind === "deep" ? [trail, { path: trail.path, gone: trail.gone + 1 }] : [trail],
      )
    : trails;

const EMPTY: Buffer = Buffer.alloc(0);
const COMMA: Buffer = Buffer.from(",");
const NAME_FIRST = 64;

export class StreamRemove {
  readonly #start: readonly Trail[];
  readonly #frames: Frame[] = [];
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true });
  #state = VALUE;
  #isName = false;
  /** The name that is read, its quotes included, where it has to be known; of no use while `#nameLength` is 0. */
  #name: Buffer = Buffer.allocUnsafeSlow(NAME_FIRST);
  #nameLength = 0;
  #hexLeft = 0;
  #word: Buffer = EMPTY;
  #wordAt = 0;
  #number = N_MINUS;
  /** How many frames were open where what is removed began; -1 while nothing is. */
  #removedAt = -1;
  /** What is read stays as it is; and where in this piece that began. */
  #isCopying = false;
  #from = 0;

  constructor(paths: readonly JsonPath[]) {
    this.#start = withDeep(paths.map((path) => ({ path, gone: 0 })));
  }

  /** The next piece. False when the text is no JSON: nothing more is to be put out. */
  push(bytes: Buffer, from: number, to: number, emit: Emit): boolean {
    if (!this.#isUtf8(bytes.subarray(from, to), true)) return false;
    this.#from = from;
    for (let at = from; at < to; at += 1) {
      if (this.#state === STRING && this.#nameLength === 0) {
        while (at < to && !STOPS_STRING[bytes[at]!]) at += 1;
        if (at === to) break;
      }
      if (!this.#take(bytes, at, emit)) return false;
    }
    this.#flush(bytes, to, emit);
    return true;
  }

  /** Whether that was all of a JSON text. */
  end(): boolean {
    const isNumber = this.#state === NUMBER && this.#frames.length === 0 && MAY_END[this.#number] === true;
    return (isNumber || this.#state === NOTHING) && this.#isUtf8(EMPTY, false);
  }

  #isUtf8(bytes: Uint8Array, stream: boolean): boolean {
    try {
      this.#utf8.decode(bytes, { stream });
      return true;
    } catch {
      return false;
    }
  }

  #flush(bytes: Buffer, to: number, emit: Emit): void {
    if (this.#isCopying && to > this.#from) emit(bytes, this.#from, to);
  }
  #copyFrom(at: number): void {
    this.#isCopying = true;
    this.#from = at;
  }
  #stopCopying(bytes: Buffer, to: number, emit: Emit): void {
    this.#flush(bytes, to, emit);
    this.#isCopying = false;
  }

  /** One byte; false when it makes no sense. */
  #take(bytes: Buffer, at: number, emit: Emit): boolean {
    const byte = bytes[at]!;
    if (this.#state >= STRING && this.#state <= HEX_DIGIT) return this.#inString(bytes, at, byte, emit);
    if (this.#state === WORD) return this.#inWord(bytes, at, byte, emit);
    if (this.#state === NUMBER) {
      this.#number = nextInNumber(this.#number, byte);
      if (this.#number < N_OVER) return true;
      if (this.#number === N_WRONG) return false;
      this.#valueOver(bytes, at, emit); // this byte is not its own any more
    }
    if (isSpace(byte)) return true;
    switch (this.#state) {
      case VALUE:
        return this.#value(bytes, at, byte, emit);
      case VALUE_OR_END:
        return byte === CLOSE_LIST ? this.#close(bytes, at, byte, emit) : this.#value(bytes, at, byte, emit);
      case NAME:
        return this.#beginName(byte);
      case NAME_OR_END:
        return byte === CLOSE_OBJECT ? this.#close(bytes, at, byte, emit) : this.#beginName(byte);
      case COLON:
        this.#state = VALUE;
        return byte === COLON_BYTE;
      case COMMA_OR_END:
        return byte === COMMA[0] ? this.#comma() : this.#close(bytes, at, byte, emit);
      default:
        return false; // behind the value there is nothing
    }
  }

  get #top(): Frame | null {
    return this.#frames.length === 0 ? null : this.#frames[this.#frames.length - 1]!;
  }
  /** The frame that is open decides what of it stays. */
  #decides(frame: Frame | null): frame is Frame {
    return frame !== null && frame.trails.length > 0 && this.#removedAt < 0;
  }

  #comma(): boolean {
    const frame = this.#top!;
    frame.item += 1;
    this.#state = frame.isObject ? NAME : VALUE;
    return true;
  }

  #beginName(byte: number): boolean {
    if (byte !== QUOTE) return false;
    this.#isName = true;
    this.#state = STRING;
    if (this.#decides(this.#top)) this.#addToName(byte);
    return true;
  }

  #addToName(byte: number): void {
    if (this.#nameLength === this.#name.length) {
      const larger = Buffer.allocUnsafeSlow(this.#name.length * 2);
      this.#name.copy(larger);
      this.#name = larger;
    }
    this.#name[this.#nameLength] = byte;
    this.#nameLength += 1;
  }

  #value(bytes: Buffer, at: number, byte: number, emit: Emit): boolean {
    const frame = this.#top;
    let trails = frame === null ? this.#start : NO_TRAILS;
    if (frame === null) this.#copyFrom(at);
    else if (this.#decides(frame)) {
      trails = this.#within(frame);
      if (trails.some(({ path, gone }) => gone === path.length)) this.#removedAt = this.#frames.length;
      else {
        if (frame.stayed > 0) emit(COMMA, 0, 1);
        if (frame.isObject) this.#emitName(emit);
        frame.stayed += 1;
        this.#copyFrom(at);
      }
      this.#nameLength = 0;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_LIST) return this.#open(bytes, at, byte, trails, emit);
    return this.#scalar(byte);
  }

  #emitName(emit: Emit): void {
    const name = Buffer.from(this.#name.subarray(0, this.#nameLength + 1));
    name[this.#nameLength] = COLON_BYTE;
    emit(name, 0, name.length);
  }

  /** The trails that lead to the next member or item of a frame, or into it. */
  #within(frame: Frame): readonly Trail[] {
    if (frame.ofItems !== null) return frame.ofItems;
    const name = frame.isObject ? textOf(this.#name.subarray(0, this.#nameLength)) : "";
    return inside(frame, name);
  }

  #open(bytes: Buffer, at: number, byte: number, trails: readonly Trail[], emit: Emit): boolean {
    if (this.#frames.length === DEPTH_MAX) return false;
    const isObject = byte === OPEN_OBJECT;
    const frame = frameOf(isObject, this.#removedAt < 0 ? trails : NO_TRAILS);
    this.#frames.push(frame);
    this.#state = isObject ? NAME_OR_END : VALUE_OR_END;
    if (this.#decides(frame) || this.#removedAt >= 0) this.#stopCopying(bytes, at + 1, emit);
    return true;
  }

  #close(bytes: Buffer, at: number, byte: number, emit: Emit): boolean {
    const frame = this.#top;
    if (frame === null || byte !== (frame.isObject ? CLOSE_OBJECT : CLOSE_LIST)) return false;
    if (this.#decides(frame)) this.#copyFrom(at);
    this.#frames.pop();
    this.#valueOver(bytes, at + 1, emit);
    return true;
  }

  /** A value has ended before `at`. */
  #valueOver(bytes: Buffer, at: number, emit: Emit): void {
    const frame = this.#top;
    this.#state = frame === null ? NOTHING : COMMA_OR_END;
    if (this.#removedAt === this.#frames.length) this.#removedAt = -1;
    else if (frame === null || this.#decides(frame)) this.#stopCopying(bytes, at, emit);
  }

  #scalar(byte: number): boolean {
    const word = WORDS.get(byte);
    if (byte === QUOTE) {
      this.#isName = false;
      this.#state = STRING;
    } else if (word !== undefined) {
      this.#word = word;
      this.#wordAt = 1;
      this.#state = WORD;
    } else {
      this.#number = byte === MINUS ? N_MINUS : byte === ZERO ? N_ZERO : N_WHOLE;
      this.#state = NUMBER;
      return byte === MINUS || isDigit(byte);
    }
    return true;
  }

  #inString(bytes: Buffer, at: number, byte: number, emit: Emit): boolean {
    if (this.#nameLength > 0) {
      this.#addToName(byte);
      if (this.#nameLength > NAME_MAX) return false;
    }
    if (this.#state === ESCAPED) {
      this.#hexLeft = byte === LOWER_U ? 4 : 0;
      this.#state = byte === LOWER_U ? HEX_DIGIT : STRING;
      return byte === LOWER_U || ESCAPES.has(byte);
    }
    if (this.#state === HEX_DIGIT) {
      this.#hexLeft -= 1;
      if (this.#hexLeft === 0) this.#state = STRING;
      return isHex(byte);
    }
    if (byte === BACKSLASH) this.#state = ESCAPED;
    else if (byte === QUOTE) {
      if (this.#isName) this.#state = COLON;
      else this.#valueOver(bytes, at + 1, emit);
    }
    return byte >= 0x20;
  }

  #inWord(bytes: Buffer, at: number, byte: number, emit: Emit): boolean {
    if (byte !== this.#word[this.#wordAt]) return false;
    this.#wordAt += 1;
    if (this.#wordAt === this.#word.length) this.#valueOver(bytes, at + 1, emit);
    return true;
  }
}

const COLON_BYTE = byteOf(":");
const MINUS = byteOf("-");
const ZERO = byteOf("0");
const LOWER_U = byteOf("u");
const ESCAPES: ReadonlySet<number> = new Set([...'"\\/bfnrt'].map(byteOf));
/** Bytes at which the plain part of a string ends. */
const STOPS_STRING: readonly boolean[] = Array.from(
  { length: 256 },
  (_, byte) => byte < 0x20 || byte === QUOTE || byte === BACKSLASH,
);

/** The text of a name with its quotes, which is known to be well-formed. */
const textOf = (name: Buffer): string =>
  name.includes(BACKSLASH) ? (JSON.parse(name.toString()) as string) : name.toString("utf8", 1, name.length - 1);

/** Trails that lead nowhere in what is opened are left out: without any, all of it passes as it is. */
function frameOf(isObject: boolean, all: readonly Trail[]): Frame {
  const fits = ({ path, gone }: Trail): boolean => {
    const { kind } = path[gone]!;
    return kind === "deep" || isObject === (kind === "name" || kind === "members");
  };
  const trails = all.every(fits) ? all : all.filter(fits);
  const frame: Frame = { isObject, ofItems: null, trails, stayed: 0, item: 0 };
  const isEven = !isObject && trails.length > 0 && !trails.some(({ path, gone }) => path[gone]!.kind === "item");
  return isEven ? { ...frame, ofItems: inside(frame, "") } : frame;
}

/** The trails that lead on from a frame, to its next item or the member of that name. */
function inside(frame: Frame, name: string): readonly Trail[] {
  const inner: Trail[] = [];
  for (const trail of frame.trails) {
    const step = trail.path[trail.gone]!;
    if (step.kind === "deep") inner.push(trail);
    else if (leadsTo(step, frame, name)) inner.push({ path: trail.path, gone: trail.gone + 1 });
  }
  return inner.length === 0 ? NO_TRAILS : withDeep(inner);
}

function leadsTo(step: Step, { isObject, item }: Frame, name: string): boolean {
  if (step.kind === "name") return isObject && step.name === name;
  if (step.kind === "members") return isObject;
  return !isObject && (step.kind === "items" || (step.kind === "item" && step.at === item));
}

function nextInNumber(state: number, byte: number): number {
  if (isDigit(byte)) {
    if (state === N_MINUS) return byte === ZERO ? N_ZERO : N_WHOLE;
    if (state === N_ZERO) return N_WRONG;
    if (state === N_POINT) return N_FRACTION;
    return state === N_E || state === N_SIGN ? N_EXPONENT : state;
  }
  if (byte === 0x2e && (state === N_ZERO || state === N_WHOLE)) return N_POINT;
  if ((byte | 0x20) === 0x65 && (state === N_ZERO || state === N_WHOLE || state === N_FRACTION)) return N_E;
  if ((byte === 0x2b || byte === MINUS) && state === N_E) return N_SIGN;
  return MAY_END[state] === true ? N_OVER : N_WRONG;
}
