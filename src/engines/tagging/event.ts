// One thing that has happened on a page, whoever told of it: collectors make it of what browsers send, destinations
// make
// of it what vendors take.
import type { Consent } from "./consent/consent.ts";

export type ParamValue = string | number | boolean;
export type Params = Readonly<Record<string, ParamValue>>;

/** Somewhere on earth, as far as a database knows it; "" for what it does not. */
export interface Place {
  /** ISO 3166-1, two capital letters. */
  readonly country: string;
  /** ISO 3166-2 without the country: `CA` of `US-CA`. */
  readonly region: string;
  readonly city: string;
}

export const NOWHERE: Place = Object.freeze({ country: "", region: "", city: "" });

export interface TagEvent {
  /** Stays the same over all tries and destinations, so that receivers can tell one that comes twice (UUIDv7). */
  readonly id: string;
  /** `page_view`, `purchase`. */
  readonly name: string;
  /** When it happened: milliseconds since 1970. */
  readonly time: number;
  /** The browser under a name that somebody has given it; "" for none. */
  readonly clientId: string;
  readonly sessionId: string;
  /** Who has signed in, as the site calls him; "" for nobody. */
  readonly userId: string;
  /** The page: its address, title, and the address that led to it. */
  readonly url: string;
  readonly title: string;
  readonly referrer: string;
  /** `de-de`; "" when it was not told. */
  readonly language: string;
  /** `1920x1080`. */
  readonly screen: string;
  readonly params: Params;
  /** Of the user rather than of this event. */
  readonly user: Params;
  /** What was sold or looked at. */
  readonly items: readonly Params[];
  readonly ip: string;
  readonly userAgent: string;
  readonly place: Place;
  readonly consent: Consent;
  /** Which property of a vendor it was meant for (`G-ABC`), by the page; "" for none. */
  readonly tag: string;
}

/**
 * How large an event, and a batch of them, may be. More is cut off, as a page that sends too much is no reason to
 * lose it all.
 */
export const LIMITS = Object.freeze({
  /** Events in one request: what gtag.js sends at once at most, four times over. */
  events: 100,
  /** GA4 takes 25 of an event, and its paid form 100. */
  params: 100,
  /** Google takes 200 products in one event. */
  items: 200,
  name: 100,
  /** The longest value that GA4 takes of an address; of others it takes 100. */
  value: 1000,
  /** Addresses with queries of campaigns are long. */
  url: 4096,
});

/** Text without control characters, cut to a length in UTF-16 units, never in the middle of a character. */
export function cut(text: string, max: number): string {
  const clean = CONTROLS.test(text) ? text.replace(ALL_CONTROLS, "") : text;
  if (clean.length <= max) return clean;
  const last = clean.charCodeAt(max - 1);
  return clean.slice(0, last >= 0xd800 && last <= 0xdbff ? max - 1 : max);
}

const CONTROLS = /[\u0000-\u001f\u007f]/;
const ALL_CONTROLS = /[\u0000-\u001f\u007f]/g;

/** Parameters as they are gathered: names and values within bounds, the first of a name counts. */
export class ParamsBuilder {
  readonly #values: Record<string, ParamValue> = Object.create(null) as Record<string, ParamValue>;
  #count = 0;

  add(name: string, value: ParamValue): void {
    const key = cut(name, LIMITS.name);
    if (key === "" || this.#count === LIMITS.params || key in this.#values) return;
    this.#values[key] = typeof value === "string" ? cut(value, LIMITS.value) : value;
    this.#count += 1;
  }

  /** A number; text that is none stays text. */
  addNumber(name: string, text: string): void {
    const value = Number(text);
    this.add(name, text.trim() !== "" && Number.isFinite(value) ? value : text);
  }

  done(): Params {
    return this.#values;
  }
}
