// Takes out of a vendor's hit what the vendor must not know, and leaves all else byte for byte: parameters of a query
// or a form, lines of them, JSON, and these in each other as vendors pack them (base64, JSON in a parameter).
import { CLICK_IDS, cleanAddress } from "./privacy/page-address.ts";
import { pseudonym } from "./privacy/pseudonym.ts";
import type { Scrubber } from "./privacy/scrub.ts";

/** What a vendor's hits are made of. */
export interface HitFormat {
  /** Names that the protocol itself needs: they are no names of people, and plain values of theirs stay. */
  readonly protocol: ReadonlySet<string>;
  /** Ids of browsers and people: what becomes of them without consent. `fresh` ones are needed and drawn anew. */
  readonly ids: ReadonlyMap<string, "drop" | "fresh">;
}

export interface HitRules {
  readonly scrubber: Scrubber;
  readonly format: HitFormat;
  /** Parameters whose values are taken out whatever they are, in small letters. */
  readonly names: ReadonlySet<string>;
  readonly replacement: string;
  /** `utm_…` stay in addresses of pages. */
  readonly campaigns: boolean;
  /** The key of pseudonyms of ids; null where ids stay as they are. */
  salt(): Uint8Array | null;
  /** A new id for a hit that must not be known by one. */
  fresh(): string;
}

/** What somebody has agreed to. */
export interface HitConsent {
  readonly isMeasured: boolean;
  readonly keepsClicks: boolean;
}

/** Deeper than any vendor packs its values. */
const DEPTH_MAX = 24;
/** Packed in each other: a form in base64 with JSON with an address in it. */
const PACKED_MAX = 4;

export class HitCleaner {
  readonly #rules: HitRules;
  readonly #campaigns: ReadonlySet<string>;

  constructor(rules: HitRules) {
    this.#rules = rules;
    this.#campaigns = new Set(rules.campaigns ? [] : CAMPAIGNS);
  }

  /** A query, or a form. */
  query(text: string, consent: HitConsent, packed = PACKED_MAX): string {
    if (text === "") return text;
    const kept: string[] = [];
    for (const part of text.split("&")) {
      const equals = part.indexOf("=");
      const raw = equals < 0 ? "" : part.slice(equals + 1);
      const name = decoded(equals < 0 ? part : part.slice(0, equals));
      const before = decoded(raw);
      const value = this.#value(name, before, consent, packed);
      if (value === null) continue;
      const label = this.#rules.scrubber.text(name);
      const key = label === name ? part.slice(0, equals < 0 ? part.length : equals) : encodeURIComponent(label);
      if (equals < 0) kept.push(key);
      else kept.push(`${key}=${value === before ? raw : encodeURIComponent(value)}`);
    }
    return kept.join("&");
  }

  /** A body of text: JSON, or lines of it, of queries, or of anything. */
  text(text: string, consent: HitConsent, packed = PACKED_MAX): string {
    const whole = this.#json(text, consent, packed);
    if (whole !== null) return whole;
    return text
      .split("\n")
      .map((line) => this.#line(line, consent, packed))
      .join("\n");
  }

  #line(line: string, consent: HitConsent, packed: number): string {
    const json = this.#json(line, consent, packed);
    if (json !== null) return json;
    if (IS_FORM.test(line)) return this.query(line, consent, packed);
    return this.#unpacked(line, consent, packed) ?? this.#rules.scrubber.text(line);
  }

  /** Null for what is no JSON. */
  #json(text: string, consent: HitConsent, packed: number): string | null {
    if (!IS_JSON.test(text)) return null;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return null;
    }
    const change: Change = { made: false };
    const clean = this.#node("", value, consent, packed, DEPTH_MAX, change);
    return change.made ? JSON.stringify(clean) : text;
  }

  /** undefined for what is left out. */
  #node(name: string, value: unknown, consent: HitConsent, packed: number, depth: number, change: Change): unknown {
    if (depth === 0) {
      change.made = true;
      return this.#rules.replacement;
    }
    if (Array.isArray(value))
      return value.flatMap((each) => {
        const clean = this.#node(name, each, consent, packed, depth - 1, change);
        return clean === undefined ? [] : [clean];
      });
    if (typeof value === "object" && value !== null) {
      const clean: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
      for (const [key, member] of Object.entries(value)) {
        const label = this.#rules.scrubber.text(key);
        if (label !== key) change.made = true;
        const made = this.#node(key, member, consent, packed, depth - 1, change);
        if (made !== undefined) clean[label] = made;
      }
      return clean;
    }
    if (typeof value !== "string" && typeof value !== "number") return value;
    if (typeof value === "number" && (Math.abs(value) < NUMBER_MIN || isTime(value))) return value;
    const text = String(value);
    const clean = this.#value(name, text, consent, packed);
    if (clean === text) return value;
    change.made = true;
    return clean ?? undefined;
  }

  /** The value of a parameter; null for one that is left out. */
  #value(name: string, value: string, consent: HitConsent, packed: number): string | null {
    const { scrubber, format, names, replacement, salt, fresh } = this.#rules;
    if (value === "") return value;
    const id = format.ids.get(name);
    if (id !== undefined) {
      if (!consent.isMeasured) return id === "drop" ? null : fresh();
      const key = salt();
      if (key !== null) return pseudonym(value, key);
    }
    const small = name.toLowerCase();
    if (!consent.keepsClicks && IS_CLICK.has(small)) return null;
    if (format.protocol.has(name)) return IS_PLAIN.test(value) ? value : scrubber.text(value);
    if (names.has(small) || names.has(small.replace(IS_OWN, ""))) return replacement;
    if (IS_ADDRESS.test(value)) return scrubber.text(this.#address(value, consent));
    if (packed > 0) {
      if (value.startsWith("?") && IS_FORM.test(value)) return `?${this.query(value.slice(1), consent, packed - 1)}`;
      const unpacked = this.#json(value, consent, packed - 1) ?? this.#unpacked(value, consent, packed - 1);
      if (unpacked !== null) return unpacked;
    }
    return scrubber.text(value);
  }

  #address(address: string, { keepsClicks }: HitConsent): string {
    const { names, replacement } = this.#rules;
    const remove = keepsClicks ? this.#campaigns : new Set([...this.#campaigns, ...CLICK_IDS]);
    return cleanAddress(address, { redact: names, remove, replacement });
  }

  /** JSON in base64, as some vendors pack it; null for anything else. */
  #unpacked(value: string, consent: HitConsent, packed: number): string | null {
    if (!IS_PACKED.test(value)) return null;
    const text = Buffer.from(value, "base64").toString();
    const clean = this.#json(text, consent, packed);
    if (clean === null) return null;
    return clean === text ? value : Buffer.from(clean).toString("base64");
  }
}

interface Change {
  made: boolean;
}

const CAMPAIGNS = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id"];
const IS_CLICK: ReadonlySet<string> = new Set(CLICK_IDS);
/** Own parameters of events and users at GA4: the name is what follows. */
const IS_OWN = /^(?:ep|epn|up|upn)\./;
const IS_ADDRESS = /^(?:https?:)?\/\/|^\/[^\s]*\?/i;
const IS_FORM = /^\??[\w.$%[\]-]{1,100}=/;
const IS_JSON = /^\s*[[{]/;
/** Base64 of what begins with `{` or `[`. */
const IS_PACKED = /^(?:ey|ew|W)[A-Za-z0-9+/_-]{6,}={0,2}$/;
/** No address of mail has the characters of an id. */
const IS_PLAIN = /^[\w.~:$-]{1,128}$/;
/** Shorter numbers are no numbers of anybody. */
const NUMBER_MIN = 10_000_000;

/** A moment between 2001 and 2065, in seconds, milliseconds or microseconds, which tells nobody apart. */
const isTime = (value: number): boolean => SCALES.some((scale) => value >= 1e9 * scale && value < 3e9 * scale);
const SCALES = [1, 1e3, 1e6];

function decoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  const spaced = text.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced; // the scrubber looks through escapes that make no sense together
  }
}
