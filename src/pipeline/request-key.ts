// What requests are counted by, as a hash of 64 bits: an address, who it is, fields, cookies, the route, or
// several at once.
import { addressKey, readIp } from "../core/ip.ts";
import { firstCookie, receivedCookies } from "../http/cookies.ts";
import { isFieldName } from "../http/header-block.ts";
import type { Exchange } from "./exchange.ts";

/** One of the parts that a key can be made of. */
type Part = { readonly kind: "ip" | "route" | Who } | Named;
/** Who somebody is: known only once `auth` has looked. */
type Who = "user" | "apiKey" | "consumer";
interface Named {
  readonly kind: "header" | "cookie";
  readonly name: string;
}

/** A hash of 64 bits (engines/storage/key-hash.ts). */
interface Hash {
  of(key: string | Uint8Array): void;
  readonly low: number;
  readonly high: number;
}

export interface RequestKey {
  /** Hashes the key of a request. The halves are those of the last one: read them before the next is hashed. */
  of(x: Exchange): void;
  /** The values of a request's parts as text, each behind a letter that says what it is: an address has an `a`. */
  values(x: Exchange): string[];
  /** Hashes what `values` gave, here or in another process. */
  ofValues(values: readonly string[]): void;
  readonly low: number;
  readonly high: number;
}

const WHO: readonly Who[] = ["user", "apiKey", "consumer"];
const isWho = (kind: string): kind is Who => (WHO as readonly string[]).includes(kind);

/** Whether it is part of a key who somebody is. */
export const namesIdentity = (parts: readonly string[]): boolean => WHO.some((part) => parts.includes(part));

/**
 * Compiles a key. A request without a field or cookie that is part of it counts by its address in that place, so that
 * leaving it out is no way around; so does one of nobody known. `identified`: it is asked once it is known who somebody
 * is. Throws RangeError for a part that is none.
 */
export function requestKey(parts: readonly string[], hash: Hash, identified = false): RequestKey {
  if (!identified && namesIdentity(parts))
    throw new RangeError("`user`, `apiKey` and `consumer` cannot be counted by here: it is not known yet who asks");
  return new CompiledKey(parts.map(partOf), hash);
}

function partOf(text: string): Part {
  const colon = text.indexOf(":");
  const kind = colon < 0 ? text : text.slice(0, colon);
  const name = colon < 0 ? "" : text.slice(colon + 1);
  if (colon < 0 && (kind === "ip" || kind === "route" || isWho(kind))) return { kind };
  if (colon >= 0 && (kind === "header" || kind === "cookie")) {
    if (!isFieldName(name)) throw new RangeError(`"${text}": there is no name behind the colon that could be one`);
    return { kind, name };
  }
  throw new RangeError(
    `"${text}" is nothing to count by: write ip, route, user, consumer, apiKey, header:NAME, cookie:NAME, or a list of them`,
  );
}

const USER: Part = { kind: "user" };
const words = new Uint32Array(4);
const oneWord = new Uint8Array(words.buffer, 0, 4);
/** Of IPv6 the /64, which is what one client usually gets. */
const twoWords = new Uint8Array(words.buffer, 0, 8);

class CompiledKey implements RequestKey {
  low = 0;
  high = 0;
  readonly #parts: readonly Part[];
  readonly #hash: Hash;

  constructor(parts: readonly Part[], hash: Hash) {
    this.#parts = parts;
    this.#hash = hash;
  }

  of(x: Exchange): void {
    const parts = this.#parts;
    this.#part(parts[0]!, x);
    this.#first();
    for (let i = 1; i < parts.length; i += 1) {
      this.#part(parts[i]!, x);
      this.#add();
    }
  }

  values(x: Exchange): string[] {
    return this.#parts.map((part) => {
      if (part.kind === "route") return `r${x.route?.name ?? ""}`;
      return (part.kind === "ip" ? null : textOf(part, x)) ?? `a${addressKey(x.ip)}`;
    });
  }

  ofValues(values: readonly string[]): void {
    this.#value(values[0] ?? "");
    this.#first();
    for (const value of values.slice(1)) {
      this.#value(value);
      this.#add();
    }
  }

  #first(): void {
    this.low = this.#hash.low;
    this.high = this.#hash.high;
  }

  /** Each half takes up both of what comes next, so that no part can make another one's difference good. */
  #add(): void {
    this.low = (Math.imul(this.low ^ (this.low >>> 15), 0x85ebca6b) ^ this.#hash.low) >>> 0;
    this.high = (Math.imul(this.high ^ (this.high >>> 15), 0xc2b2ae35) ^ this.#hash.high) >>> 0;
  }

  #part(part: Part, x: Exchange): void {
    if (part.kind === "ip") return this.#address(x.ip);
    if (part.kind === "route") return this.#hash.of(x.route?.name ?? "");
    const text = textOf(part, x);
    if (text === null) this.#address(x.ip);
    else this.#hash.of(text);
  }

  #value(value: string): void {
    const text = value.slice(1);
    if (value.startsWith("a")) this.#address(text.replace("/64", ""));
    else this.#hash.of(value.startsWith("r") ? text : value);
  }

  #address(ip: string): void {
    const count = readIp(ip, words);
    if (count === 0) this.#hash.of(ip);
    else this.#hash.of(count === 1 ? oneWord : twoWords);
  }
}

/**
 * What a part is in a request; null where it is not there. It cannot be what the four or eight bytes of an address are:
 * it has a byte in front that says what it is.
 */
function textOf(part: Part, x: Exchange): string | null {
  const { kind } = part;
  if (kind === "consumer") {
    const consumer = x.identity?.consumer ?? "";
    // Whatever credentials of theirs it is; who is none counts as who they are.
    return consumer === "" ? textOf(USER, x) : `k${consumer}`;
  }
  if (kind === "user" || kind === "apiKey") {
    const { identity } = x;
    // Of a key its owner counts, whichever of their keys it is.
    if (identity === null || (kind === "apiKey" && identity.kind !== "apiKey")) return null;
    return `u${identity.issuer}\n${identity.user}`;
  }
  const { name } = part as Named; // one type for both kinds keeps them one shape
  const isHeader = kind === "header";
  const value = isHeader ? x.request.header(name) : firstCookie(receivedCookies(x.request.headers), name);
  if (value === null) return null;
  return isHeader ? `h${value}` : `c${value}`;
}
