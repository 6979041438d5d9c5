// Which origins may, as text that is compared byte by byte: browsers write an origin in one way alone (RFC 6454 §6.1).
import { within } from "../../config/compile-error.ts";

const ORIGIN = /^(https?|[a-z][a-z0-9+.-]*):\/\/(\*\.)?([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:\d{1,5})?$/;

/** `https://*.example.com`, taken apart around the star. */
interface Family {
  readonly start: string;
  readonly end: string;
}

export class Origins {
  /** Every origin may. */
  readonly any: boolean;
  readonly #exact: ReadonlySet<string>;
  readonly #families: readonly Family[];

  /** Throws CompileError for what is no origin. */
  constructor(texts: readonly string[]) {
    for (const [at, text] of texts.entries()) within(at, () => check(text));
    this.any = texts.includes("*");
    this.#exact = new Set(texts.filter((text) => !text.includes("*")));
    this.#families = texts
      .filter((text) => text.includes("://*."))
      .map((text) => {
        const star = text.indexOf("*");
        return { start: text.slice(0, star), end: text.slice(star + 1) };
      });
  }

  /** `null`, which many kinds of pages are, only where it is named. */
  has(origin: string): boolean {
    if (this.#exact.has(origin)) return true;
    if (origin === "null") return false;
    if (this.any) return true;
    return this.#families.some(
      ({ start, end }) =>
        origin.length > start.length + end.length &&
        origin.startsWith(start) &&
        origin.endsWith(end) &&
        isHostPart(origin, start.length, origin.length - end.length),
    );
  }
}

/** Whether only what names consist of stands there: no `/`, `@` or `:` that would make another host of it. */
function isHostPart(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    const isDigit = code >= 0x30 && code <= 0x39;
    const isLetter = code >= 0x61 && code <= 0x7a;
    if (!isDigit && !isLetter && code !== 0x2d && code !== 0x2e) return false;
  }
  return true;
}

function check(text: string): void {
  if (text === "*" || text === "null" || ORIGIN.test(text)) return;
  if (/^https?:\/\/[^/]+\/+$/.test(text)) throw new RangeError(`"${text}": an origin has no slash at its end`);
  if (text !== text.toLowerCase()) throw new RangeError(`"${text}": browsers write origins in lower case`);
  throw new RangeError(`"${text}" is not an origin: write it like https://example.com or https://*.example.com`);
}
