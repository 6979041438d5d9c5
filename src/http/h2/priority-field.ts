// The Priority field and the payload of PRIORITY_UPDATE (RFC 9218 §4): a dictionary of structured fields (RFC 9651),
// of which only `u` and `i` mean something.
import { isDigit, isSpace, SP } from "../grammar.ts";
import { URGENCIES, URGENCY_DEFAULT } from "./schedule.ts";

export interface Priority {
  readonly urgency: number;
  readonly incremental: boolean;
}

/** Longer ones are ignored: the two parameters take ten bytes, and nobody needs to look for them in kilobytes. */
const PRIORITY_BYTES_MAX = 256;

const DEFAULT: Priority = { urgency: URGENCY_DEFAULT, incremental: false };

/**
 * The priority in `text`, one character for each byte; null when it is no dictionary at all. What it does not name is
 * as in `before`; what is out of range has the default (RFC 9218 §4, §8).
 */
export function parsePriority(text: string, before: Priority = DEFAULT): Priority | null {
  if (text.length > PRIORITY_BYTES_MAX) return null;
  let { urgency, incremental } = before;
  for (const member of text.split(",")) {
    const trimmed = trim(member);
    if (trimmed === "") {
      if (trim(text) === "") break; // an empty dictionary is no error
      return null;
    }
    const semicolon = trimmed.indexOf(";");
    const bare = semicolon < 0 ? trimmed : trimmed.slice(0, semicolon);
    const equals = bare.indexOf("=");
    const key = equals < 0 ? bare : bare.slice(0, equals);
    if (!isKey(key)) return null;
    const value = equals < 0 ? "?1" : bare.slice(equals + 1);
    if (value === "") return null;
    // The last one counts, also where it has a wrong type (RFC 9651 §4.2.2).
    if (key === "u") {
      const level = value.length === 1 && isDigit(value.charCodeAt(0)) ? Number(value) : URGENCIES;
      urgency = level < URGENCIES ? level : URGENCY_DEFAULT;
    } else if (key === "i") incremental = value === "?1";
  }
  return { urgency, incremental };
}

function isKey(key: string): boolean {
  if (key.length === 0) return false;
  for (let i = 0; i < key.length; i += 1) {
    const code = key.charCodeAt(i);
    const letter = (code >= 0x61 && code <= 0x7a) || code === 0x2a;
    const later = isDigit(code) || code === 0x2d || code === 0x2e || code === 0x5f;
    if (!letter && !(i > 0 && later)) return false;
  }
  return true;
}

function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && text.charCodeAt(end - 1) === SP) end -= 1;
  return text.slice(start, end);
}
