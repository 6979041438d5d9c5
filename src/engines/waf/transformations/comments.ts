// Comments of C, SQL, HTML and shells.
import { laidOut } from "./scratch.ts";

const SLASH = 0x2f;
const STAR = 0x2a;
const DASH = 0x2d;
const HASH = 0x23;
const LESS = 0x3c;
const GREATER = 0x3e;
const BANG = 0x21;
const SPACE = 0x20;

/** One blank for each C comment, and for one that is not ended; an end that began nowhere stays. */
export function replaceComments(input: string): string {
  const first = input.indexOf("/*");
  if (first < 0) return input;
  const length = input.length;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first; at < length; ) {
    if (bytes[at] === SLASH && at + 1 < length && bytes[at + 1] === STAR) {
      const end = endOfComment(bytes, at + 2, length);
      bytes[to++] = SPACE;
      at = end;
    } else bytes[to++] = bytes[at++]!;
  }
  return bytes.latin1Slice(0, to);
}

/** Behind the next end of a C comment, or the length. */
function endOfComment(bytes: Buffer, from: number, length: number): number {
  for (let at = from; at + 1 < length; at += 1) if (bytes[at] === STAR && bytes[at + 1] === SLASH) return at + 2;
  return length;
}

function endOfMarkup(bytes: Buffer, from: number, length: number): number {
  for (let at = from; at + 2 < length; at += 1)
    if (bytes[at] === DASH && bytes[at + 1] === DASH && bytes[at + 2] === GREATER) return at + 3;
  return length;
}

/** Bytes of the mark of a comment that stands there: of the beginning or the end of C and HTML, `--` and `#`; else 0. */
function markAt(bytes: Buffer, at: number, length: number): number {
  const code = bytes[at]!;
  if (code === HASH) return 1;
  if (at + 1 === length) return 0;
  const second = bytes[at + 1]!;
  if (code === SLASH && second === STAR) return 2;
  if (code === STAR && second === SLASH) return 2;
  if (code === DASH && second === DASH) return at + 2 < length && bytes[at + 2] === GREATER ? 3 : 2;
  if (code !== LESS || second !== BANG || at + 3 >= length) return 0;
  return bytes[at + 2] === DASH && bytes[at + 3] === DASH ? 4 : 0;
}

function firstMark(input: string): number {
  for (let at = 0; at < input.length; at += 1) {
    const code = input.charCodeAt(at);
    if (code === HASH || code === SLASH || code === STAR || code === DASH || code === LESS) return at;
  }
  return input.length;
}

/** Without the marks of comments; what stood in them stays. */
export function removeCommentsChar(input: string): string {
  const length = input.length;
  const first = firstMark(input);
  if (first === length) return input;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first; at < length; ) {
    const mark = markAt(bytes, at, length);
    if (mark === 0) bytes[to++] = bytes[at]!;
    at += mark === 0 ? 1 : mark;
  }
  return to === length ? input : bytes.latin1Slice(0, to);
}

/** Without comments of C and HTML, and without all from `--` or `#` on. One that is not ended leaves a blank. */
export function removeComments(input: string): string {
  const length = input.length;
  const first = firstMark(input);
  if (first === length) return input;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first; at < length; ) {
    const mark = markAt(bytes, at, length);
    if (mark === 1 || (mark !== 0 && bytes[at] === DASH)) break;
    if (mark === 0 || bytes[at] === STAR) {
      bytes[to++] = bytes[at++]!;
      continue;
    }
    const html = bytes[at] === LESS;
    const start = at + mark;
    at = html ? endOfMarkup(bytes, start, length) : endOfComment(bytes, start, length);
    if (at === length && !endsWithMark(bytes, start, length, html)) bytes[to++] = SPACE;
  }
  return to === length ? input : bytes.latin1Slice(0, to);
}

/** Whether the comment whose content began at `start` and that goes up to the end of the value was ended. */
function endsWithMark(bytes: Buffer, start: number, length: number, html: boolean): boolean {
  if (!html) return length - start >= 2 && bytes[length - 2] === STAR && bytes[length - 1] === SLASH;
  if (length - start < 3 || bytes[length - 1] !== GREATER) return false;
  return bytes[length - 2] === DASH && bytes[length - 3] === DASH;
}
