// Names of paths that say nothing of what is behind them: made of a secret, for a while, and known for a while longer.
import { createHmac } from "node:crypto";

export interface OpaqueRules {
  readonly secret: string;
  /** Tells routes with the same secret apart. */
  readonly scope: string;
  readonly rotateMs: number;
  /** How long names of the period before are known. */
  readonly overlapMs: number;
}

/** Clocks of machines differ: a name of the period that begins in less than this is known too. */
const AHEAD_MS = 300_000;
const LENGTH = 10;
/** Periods whose names are kept: this one, its neighbours, and one more. */
const PERIODS_KEPT = 4;

export class OpaqueNames {
  readonly #rules: OpaqueRules;
  readonly #whats: readonly string[];
  readonly #periods = new Map<number, ReadonlyMap<string, string>>();

  /** `whats`: what there are names for. */
  constructor(rules: OpaqueRules, whats: readonly string[]) {
    this.#rules = rules;
    this.#whats = whats;
  }

  period(nowMs: number): number {
    return Math.floor(nowMs / this.#rules.rotateMs);
  }

  /** The name of something in a period. */
  name(what: string, period: number): string {
    const { secret, scope } = this.#rules;
    const digest = createHmac("sha256", secret).update(`${scope}\n${what}\n${period}`).digest();
    let name = "";
    // A letter first, so that no name looks like a number.
    for (let at = 0; at < LENGTH; at += 1) name += LETTERS[digest[at]! % (at === 0 ? 20 : LETTERS.length)];
    return name;
  }

  /** What a name stands for at this moment, and of which period it is; null for none. */
  find(name: string, nowMs: number): { readonly what: string; readonly period: number } | null {
    if (name.length !== LENGTH) return null;
    const period = this.period(nowMs);
    const { rotateMs, overlapMs } = this.#rules;
    const since = nowMs - period * rotateMs;
    const known = [period];
    if (since < overlapMs) known.push(period - 1);
    if (rotateMs - since < AHEAD_MS) known.push(period + 1);
    for (const each of known) {
      const what = this.#names(each).get(name);
      if (what !== undefined) return { what, period: each };
    }
    return null;
  }

  #names(period: number): ReadonlyMap<string, string> {
    const known = this.#periods.get(period);
    if (known !== undefined) return known;
    const names = new Map(this.#whats.map((what) => [this.name(what, period), what]));
    if (this.#periods.size >= PERIODS_KEPT) this.#periods.clear();
    this.#periods.set(period, names);
    return names;
  }
}

/** Without vowels, so that no words come of it. */
const LETTERS = "bcdfghjklmnpqrstvwxz23456789";

/** A path, or a query too, that shows nothing of itself; the key is the name that it stands behind. */
export function veiled(text: string, key: string): string {
  return mixed(Buffer.from(text), key).toString("base64url");
}

/** The other way round; null for what nothing was veiled to. */
export function unveiled(veil: string, key: string): string | null {
  if (!/^[\w-]{2,8000}$/.test(veil)) return null;
  const text = mixed(Buffer.from(veil, "base64url"), key).toString();
  return /^\/[!-~]*$/.test(text) ? text : null;
}

function mixed(bytes: Buffer, key: string): Buffer {
  for (let at = 0; at < bytes.length; at += 1) bytes[at]! ^= key.charCodeAt(at % key.length);
  return bytes;
}
