// Parts of an answer (RFC 9111 §3.3, §3.4): which 206 may be stored, what can be given out of it, and which belong
// together.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import type { ResponseHead } from "../../http/message.ts";
import { type ByteRange, type ContentRange, parseContentRange } from "../../http/ranges.ts";
import { type Serving, type StoredValidators, serving } from "./conditional.ts";
import { strongValidator } from "./validation.ts";

/**
 * The bytes that a 206 has, if it can be stored: one part, of a length that is told, and as many bytes as it says. Null
 * for multipart answers and for those that contradict themselves.
 */
export function storablePart(answer: ResponseHead): ContentRange | null {
  if (answer.status !== 206) return null;
  const fields = answer.headers.getAll("content-range");
  const part = fields.length === 1 ? parseContentRange(fields[0]!) : null;
  if (part === null || part.length < 0) return null;
  const type = answer.headers.getById(ID["content-type"]);
  if (type?.toLowerCase().startsWith("multipart/byteranges")) return null;
  return answer.body === "length" && answer.length !== part.last - part.first + 1 ? null : part;
}

/** Whether all of these bytes lie within one of the parts that are stored, sorted and apart from each other. */
function isStored(parts: readonly ByteRange[], wanted: ByteRange): boolean {
  return parts.some(({ first, last }) => first <= wanted.first && wanted.last <= last);
}

/** Whether an answer to these ranges can be made of the parts. A 416 can: it needs the length alone. */
function canServe(parts: readonly ByteRange[], answer: Serving, length: number): boolean {
  if (answer.kind === "unsatisfiable") return true;
  if (answer.kind !== "partial") return isWhole(parts, length);
  return answer.ranges.every((range) => isStored(parts, range));
}

/**
 * What to answer to a GET from the parts of an answer of `length` bytes; null when bytes are wanted that are not there.
 */
export function servingPart(
  request: HeaderBlock,
  validators: StoredValidators,
  parts: readonly ByteRange[],
  length: number,
  now: number,
): Serving | null {
  // With `length` what a 206 is about can be told like a 200: its conditions and ranges are those of the whole.
  const answer = serving("GET", request, 200, validators, length, now);
  if (answer.kind === "not-modified") return answer;
  return canServe(parts, answer, length) ? answer : null;
}

/**
 * Whether a 206 goes with what is stored: both have the same strong validator and the same length (RFC 9110 §15.3.7.3).
 */
export function isSameWhole(
  stored: StoredValidators,
  storedLength: number,
  answer: StoredValidators,
  part: ContentRange,
): boolean {
  if (part.length !== storedLength) return false;
  const tag = strongValidator(stored);
  return tag !== null && tag === strongValidator(answer);
}

/** Whether the parts are the whole of `length` bytes. */
function isWhole(parts: readonly ByteRange[], length: number): boolean {
  return isStored(parts, { first: 0, last: length - 1 });
}
