// Expressions of operators over texts of clients: in time that grows with the text alone, whatever both are.
import { compileRegex, type Regex, RegexError } from "./regex.ts";

/** Longer ones are made to be expensive. */
const PATTERN_MAX = 4096;

/** Throws RangeError for one that cannot be used. */
export function compilePattern(pattern: string): Regex {
  if (pattern.length > PATTERN_MAX) throw new RangeError(`it is longer than ${PATTERN_MAX} characters`);
  try {
    return compileRegex(bytesOf(pattern), { ignoreCase: true });
  } catch (error) {
    if (error instanceof RegexError) throw new RangeError(`"${pattern}": ${error.message}`);
    throw error;
  }
}

/** One character for each byte of its UTF-8, as these expressions are tried. */
export const bytesOf = (text: string): string => (isAscii(text) ? text : Buffer.from(text).latin1Slice());

const isAscii = (text: string): boolean => Buffer.byteLength(text) === text.length;

/** How often one rule may match in one text: behind that many, all the rest of it is taken for a match. */
const MATCHES_MAX = 10_000;

/** Where an expression matches in a text, one behind the other. */
export function matchesOf(regex: Regex, text: string): (readonly [from: number, to: number])[] {
  const bytes = bytesOf(text);
  const found: [number, number][] = [];
  const captures = new Int32Array(2);
  let at = 0;
  while (at < bytes.length && found.length < MATCHES_MAX && regex.exec(bytes.slice(at), captures)) {
    const [from = 0, to = 0] = captures;
    if (to > from) found.push([at + from, at + to]);
    at += Math.max(to, from + 1);
  }
  if (found.length === MATCHES_MAX && at < bytes.length) found.push([at, bytes.length]);
  return bytes === text ? found : inCharacters(text, found);
}

/** The same places, counted as JavaScript counts them; both lists go up. */
function inCharacters(text: string, places: readonly [number, number][]): [number, number][] {
  let bytes = 0;
  let at = 0;
  const upTo = (end: number): number => {
    while (bytes < end && at < text.length) {
      const point = text.codePointAt(at)!;
      bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
      at += point < 0x10000 ? 1 : 2;
    }
    return at;
  };
  return places.map(([from, to]) => [upTo(from), upTo(to)]);
}
