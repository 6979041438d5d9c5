// Dates of HTTP (RFC 9110 §5.6.7) in their three forms, read by position: no regular expression, no `Date`.
//
//   Sun, 06 Nov 1994 08:49:37 GMT    IMF-fixdate
//   Sunday, 06-Nov-94 08:49:37 GMT   RFC 850
//   Sun Nov  6 08:49:37 1994         asctime
import { isDigit } from "./grammar.ts";

const DAYS: readonly string[] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: readonly string[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const MONTH_DAYS: readonly number[] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const IMF_LENGTH = 29;
const ASCTIME_LENGTH = 24;
const SHORT_NAME = 3;
const DAY_MS = 86_400_000;
/** A two-digit year that lies further ahead than this is one of the past (RFC 9110 §5.6.7). */
const AHEAD_YEARS_MAX = 50;

/** What is no date. Comparisons with it are all false. */
export const NO_DATE = Number.NaN;

/**
 * Milliseconds since 1970, or NO_DATE. Letters may have any case (RFC 9111 §4.2); all else is as the grammar has it,
 * and the day must exist in its month. The name of the day is not compared with the date: nothing is decided by it.
 * `now` (milliseconds since 1970) tells the century of a year with two digits.
 */
export function parseHttpDate(text: string, now: number): number {
  if (text.length === IMF_LENGTH && text.charCodeAt(3) === 0x2c) return imfFixdate(text);
  if (text.length === ASCTIME_LENGTH) return asctime(text);
  return rfc850(text, now);
}

/** The IMF-fixdate of a time in milliseconds since 1970; fractions of a second are cut off. */
export function formatHttpDate(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toUTCString();
}

function imfFixdate(text: string): number {
  if (dayAt(text, 0) < 0 || !has(text, 3, ", ") || !has(text, 7, " ") || !has(text, 11, " ")) return NO_DATE;
  if (!has(text, 16, " ") || !has(text, 25, " gmt")) return NO_DATE;
  return time(year4(text, 12), monthAt(text, 8), two(text, 5), timeOfDay(text, 17));
}

function rfc850(text: string, now: number): number {
  const day = dayAt(text, 0);
  if (day < 0) return NO_DATE;
  const at = DAYS[day]!.length;
  if (text.length !== at + 24 || !has(text, 0, DAYS[day]!.toLowerCase()) || !has(text, at, ", ")) return NO_DATE;
  if (!has(text, at + 4, "-") || !has(text, at + 8, "-") || !has(text, at + 11, " ")) return NO_DATE;
  const short = two(text, at + 9);
  if (!has(text, at + 20, " gmt") || short < 0) return NO_DATE;
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + short;
  const month = monthAt(text, at + 5);
  const date = two(text, at + 2);
  const clock = timeOfDay(text, at + 12);
  const found = time(year, month, date, clock);
  const limit = new Date(now).setUTCFullYear(thisYear + AHEAD_YEARS_MAX);
  return found > limit ? time(year - 100, month, date, clock) : found;
}

function asctime(text: string): number {
  if (dayAt(text, 0) < 0 || !has(text, 3, " ") || !has(text, 7, " ") || !has(text, 10, " ")) return NO_DATE;
  if (!has(text, 19, " ")) return NO_DATE;
  const day = text.charCodeAt(8) === 0x20 ? digit(text, 9) : two(text, 8);
  return time(year4(text, 20), monthAt(text, 4), day, timeOfDay(text, 11));
}

/** Whether `lower` stands there, in any case of its letters. */
function has(text: string, at: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i += 1) {
    const code = text.charCodeAt(at + i);
    const want = lower.charCodeAt(i);
    if (code !== want && !(code >= 0x41 && code <= 0x5a && (code | 0x20) === want)) return false;
  }
  return true;
}

const SHORT_DAYS: readonly string[] = DAYS.map((day) => day.slice(0, SHORT_NAME).toLowerCase());
const SHORT_MONTHS: readonly string[] = MONTHS.map((month) => month.toLowerCase());

/** The index of the name of three letters that stands there; -1 when none does. */
function nameAt(names: readonly string[], text: string, at: number): number {
  for (let i = 0; i < names.length; i += 1) if (has(text, at, names[i]!)) return i;
  return -1;
}
const dayAt = (text: string, at: number): number => nameAt(SHORT_DAYS, text, at);
const monthAt = (text: string, at: number): number => nameAt(SHORT_MONTHS, text, at);

function digit(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return isDigit(code) ? code - 0x30 : -1;
}
function two(text: string, at: number): number {
  const tens = digit(text, at);
  const ones = digit(text, at + 1);
  return tens < 0 || ones < 0 ? -1 : tens * 10 + ones;
}
function year4(text: string, at: number): number {
  const century = two(text, at);
  const year = two(text, at + 2);
  return century < 0 || year < 0 ? -1 : century * 100 + year;
}

/** Seconds since midnight of the `hh:mm:ss` there; -1 when it is no time. A leap second counts as the one before it. */
function timeOfDay(text: string, at: number): number {
  const hours = two(text, at);
  const minutes = two(text, at + 3);
  const seconds = two(text, at + 6);
  if (hours < 0 || minutes < 0 || seconds < 0 || hours > 23 || minutes > 59 || seconds > 60) return -1;
  if (!has(text, at + 2, ":") || !has(text, at + 5, ":")) return -1;
  return hours * 3600 + minutes * 60 + (seconds === 60 ? 59 : seconds);
}

/** The time of a civil date; NO_DATE where a part is -1 or the day does not exist. */
function time(year: number, month: number, day: number, seconds: number): number {
  if (year < 0 || month < 0 || day < 1 || seconds < 0 || day > MONTH_DAYS[month]!) return NO_DATE;
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (month === 1 && day === 29 && !leap) return NO_DATE;
  // Date.UTC takes the years 0 to 99 for 1900 to 1999; 400 years have the same days always.
  return Date.UTC(year + 400, month, day) - 146_097 * DAY_MS + seconds * 1000;
}
