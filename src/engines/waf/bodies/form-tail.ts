// The part of a multipart form that lies beyond what is read ahead, as it flows by: contents of files are passed over,
// and what rules look at is collected into a form of its own. Lines are told apart as parseMultipart does.
import { isSpace } from "../transformations/characters.ts";
import { boundaryOf } from "./boundary.ts";
import { parseMultipart } from "./multipart.ts";
import { MULTIPART_FLAG } from "./multipart-flags.ts";

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
/** Of a line, what can make it a boundary, also a disguised one: parseMultipart looks at as many blanks. */
const LINE_MAX = 4300;
/** What is added to the collected text: the last boundary, and line ends behind heads of files. */
const SPARE = 256;

const BEFORE = 0;
const HEAD = 1;
const FIELD = 2;
const FILE = 3;
const AFTER = 4;
type Place = typeof BEFORE | typeof HEAD | typeof FIELD | typeof FILE | typeof AFTER;

/** How much of a line feed and two dashes has come; a line is read from there on. */
const IN_LINE = 3;

export class FormTail {
  readonly #mark: string;
  readonly #quoted: boolean;
  readonly #limit: number;
  #place: Place = BEFORE;
  #matched = 1;
  #line = "";
  #lineStart = 0;
  #offset = 0;
  #last = 0;
  /** Whether the line feed before this line has a CR. */
  #hasCr = true;
  /** The boundary line before this part, and what there is of it: for a file, its head. */
  #opening = "";
  #raw = "";
  #partStart = 0;
  #headEnd = 0;
  /** The part was given out, as far as it has come. */
  #isTaken = false;
  #odd = "";
  #closing = "";
  #follows = "";
  #form = "";
  #collected = 0;
  #hasEnded = false;
  #isOver = false;

  /** `limit`: bytes of the body that have been looked at; also what is collected at most. */
  constructor(contentType: string, limit: number) {
    const { text, flags } = boundaryOf(contentType);
    this.#mark = `--${text}`;
    this.#quoted = (flags & MULTIPART_FLAG.boundaryQuoted) !== 0;
    this.#limit = limit;
  }

  /** Something of what has come is to be looked at. */
  get pending(): boolean {
    if (this.#isOver) return false;
    if (this.#form !== "" || (this.#follows !== "" && !this.#isTaken) || this.#odd !== "") return true;
    if (this.#offset <= this.#limit) return false;
    if (this.#hasEnded) return this.#place !== AFTER;
    return this.#isWithin || (this.#place === FILE && this.#headEnd > this.#limit && !this.#isTaken);
  }

  /** A head or a field has come in part. */
  get #isWithin(): boolean {
    return this.#place === FIELD || (this.#place === HEAD && this.#raw !== "");
  }

  /** What is pending can be looked at without what follows. */
  get complete(): boolean {
    return !this.#isWithin;
  }

  /** More is there than is compared. */
  get tooLong(): boolean {
    const within = this.#offset > this.#limit ? this.#raw.length : 0;
    return this.#collected + within + SPARE > this.#limit;
  }

  /** A piece of the body, cut anywhere; all of it from its beginning on. */
  push(piece: Buffer): void {
    let at = 0;
    let kept = 0;
    while (at < piece.length && this.#place !== AFTER) {
      if (this.#matched < IN_LINE) {
        at = this.#skip(piece, at);
        continue;
      }
      const feed = piece.indexOf(LF, at);
      const end = feed < 0 ? piece.length : feed;
      const room = LINE_MAX - this.#line.length;
      if (room > 0) this.#line += piece.latin1Slice(at, Math.min(end, at + room));
      at = end;
      if (feed < 0) break;
      at = feed + 1;
      this.#keep(piece, kept, at);
      kept = at;
      this.#lineEnds(this.#offset + at);
    }
    if (this.#place === AFTER && at < piece.length && this.#offset + piece.length > this.#limit) {
      if (this.#follows === "") this.#isTaken = false;
      this.#follows = "x";
    }
    this.#keep(piece, kept, piece.length);
    this.#last = piece[piece.length - 1] ?? this.#last;
    this.#offset += piece.length;
  }

  /** The body is over. */
  end(): void {
    this.#hasEnded = true;
    // The last boundary needs no line end.
    const isLine = this.#matched === IN_LINE && this.#line === `${this.#mark}--`;
    if (isLine && this.#place !== AFTER) this.#partEnds(true, "", this.#offset);
  }

  /** What is pending, as a form with the same boundary; then nothing is. */
  take(): string {
    let form = this.#form;
    const isNewFile = this.#place === FILE && (!this.#isTaken || this.#odd !== "");
    if (isNewFile || (this.#hasEnded && this.#place !== AFTER)) {
      form += `${this.#opening}${this.#raw}${this.#odd}`;
      this.#collected += this.#raw.length;
      if (this.#place === FILE) form += "\r\n";
    }
    if (this.#place === AFTER) form += `${this.#closing}${this.#follows}`;
    else if (!this.#hasEnded) form += `${this.#mark}--\r\n`;
    this.#form = "";
    this.#odd = "";
    this.#isOver = this.#hasEnded;
    this.#isTaken = this.#place === FILE || this.#place === AFTER;
    return form;
  }

  #keep(piece: Buffer, from: number, to: number): void {
    if (to > from && (this.#place === HEAD || this.#place === FIELD)) this.#raw += piece.latin1Slice(from, to);
  }

  /** Goes on to where the next line begins with two dashes. */
  #skip(piece: Buffer, from: number): number {
    let at = from;
    while (this.#matched > 0 && this.#matched < IN_LINE && at < piece.length) {
      const byte = piece[at]!;
      at += 1;
      if (byte === DASH) this.#matched += 1;
      else {
        this.#matched = byte === LF ? 1 : 0;
        this.#hasCr = false;
      }
      if (this.#matched === IN_LINE) this.#begins(this.#offset + at - 2);
    }
    if (this.#matched > 0 || at === piece.length) return at;
    const found = piece.indexOf("\n--", at, "latin1");
    const end = piece.length;
    const feed = found >= 0 ? found : piece[end - 1] === LF ? end - 1 : piece[end - 2] === LF ? end - 2 : -1;
    if (feed < at || (found < 0 && feed === end - 2 && piece[end - 1] !== DASH)) return end;
    this.#hasCr = (feed > 0 ? piece[feed - 1] : this.#last) === CR;
    this.#matched = Math.min(end - feed, IN_LINE);
    if (found >= 0) this.#begins(this.#offset + feed + 1);
    return feed + this.#matched;
  }

  #begins(offset: number): void {
    this.#line = "--";
    this.#lineStart = offset;
  }

  #lineEnds(offset: number): void {
    const line = this.#line;
    const hasCr = line.endsWith("\r");
    const text = hasCr ? line.slice(0, -1) : line;
    const isFinal = text === `${this.#mark}--`;
    if (isFinal || text === this.#mark) return this.#partEnds(isFinal, hasCr ? "\r\n" : "\n", offset);
    if (this.#place === HEAD) {
      this.#line = "";
      this.#lineStart = offset;
      if (text === "") this.#headEnds(offset);
      return;
    }
    const mayBeOdd = this.#place === FILE && offset > this.#limit && this.#odd === "";
    if (mayBeOdd && this.#isOdd(text)) this.#odd = `${text}\r\n`;
    this.#matched = 1;
    this.#hasCr = hasCr;
  }

  /** A line that parseMultipart refuses. */
  #isOdd(line: string): boolean {
    if (line.startsWith(this.#mark)) return true;
    const boundary = this.#mark.slice(2);
    if (this.#quoted && line.startsWith(`"${boundary}`, 2)) return true;
    let at = 2;
    while (isSpace(line.charCodeAt(at))) at += 1;
    return at > 2 && line.startsWith(boundary, at);
  }

  #headEnds(offset: number): void {
    const whole = `${this.#mark}\r\n${this.#raw}\r\n${this.#mark}--\r\n`;
    const { fault, parts } = parseMultipart(whole, `multipart/form-data; boundary="${this.#mark.slice(2)}"`, ONE);
    const isFile = fault === "" && parts.length === 1 && parts[0]!.fileName !== null;
    this.#place = isFile ? FILE : FIELD;
    this.#headEnd = offset;
    this.#matched = 1;
    this.#hasCr = true;
  }

  #partEnds(isFinal: boolean, lineEnd: string, offset: number): void {
    if (this.#place === FILE) this.#fileEnds();
    else if (this.#place !== BEFORE && offset > this.#limit) {
      this.#add(`${this.#opening}${this.#raw.slice(0, this.#lineStart - this.#partStart)}`);
    }
    this.#opening = `${this.#mark}${lineEnd}`;
    this.#closing = `${this.#mark}--${lineEnd}`;
    this.#place = isFinal ? AFTER : HEAD;
    this.#partStart = offset;
    this.#raw = "";
    this.#line = "";
    this.#lineStart = offset;
    this.#matched = IN_LINE;
    this.#isTaken = false;
  }

  #fileEnds(): void {
    const isNew = this.#headEnd > this.#limit && !this.#isTaken;
    const isStrange = this.#lineStart > this.#limit && (!this.#hasCr || this.#lineStart === this.#headEnd);
    if (!isNew && !isStrange && this.#odd === "") return;
    const lineEnd = this.#lineStart === this.#headEnd ? "" : this.#hasCr ? "\r\n" : "\n";
    this.#add(`${this.#opening}${this.#raw}${this.#odd}${lineEnd}`);
    this.#odd = "";
  }

  #add(text: string): void {
    this.#form += text;
    this.#collected += text.length;
  }
}

const ONE = { parts: 1, files: 1 };
