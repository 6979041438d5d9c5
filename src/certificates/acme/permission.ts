// Who may make us order a certificate: names that a list allows, or that the endpoint of the operator says yes to.
import { NameTable, normalName } from "../selection.ts";
import type { OnDemandSettings } from "./settings.ts";

export type Permission = { readonly allowed: true } | { readonly allowed: false; readonly why: string };

export interface PermissionOptions {
  readonly settings: OnDemandSettings;
  readonly asksPerSecond: number;
  /** Milliseconds of any clock that does not go back. */
  readonly now: () => number;
}

/** A yes is asked for again at the next renewal anyway; a no may be changed by whoever adds a customer. */
const YES_KEPT_MS = 3_600_000;
const NO_KEPT_MS = 60_000;
/** After no answer at all. */
const FAILURE_KEPT_MS = 5000;
const ANSWER_MS = 5000;
/** Names that somebody made up are what fills this; the oldest answers go first. */
const ANSWERS_MAX = 10_000;

interface Known {
  readonly answer: Permission;
  readonly untilMs: number;
}

export class PermissionGate {
  readonly #settings: OnDemandSettings;
  readonly #allowed: NameTable<true>;
  readonly #now: () => number;
  readonly #asksPerSecond: number;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Permission>>();
  #tokens: number;
  #filledMs: number;

  constructor({ settings, asksPerSecond, now }: PermissionOptions) {
    this.#settings = settings;
    this.#allowed = new NameTable((settings.allow ?? []).map((pattern) => [pattern, true] as const));
    this.#now = now;
    this.#asksPerSecond = asksPerSecond;
    this.#tokens = asksPerSecond;
    this.#filledMs = now();
  }

  /** `name` in normal form. Many who ask for one name at once make one question. */
  async check(name: string): Promise<Permission> {
    // A client writes what it likes into SNI, addresses too, and a wildcard is more than it needs.
    if (normalName(name) !== name || !name.includes(".")) return no("it is not the name of a host");
    if (this.#allowed.find(name) === true) return { allowed: true };
    const { ask } = this.#settings;
    if (ask === undefined) return no("it is not in the list of allowed names");
    const known = this.#known.get(name);
    if (known !== undefined && known.untilMs > this.#now()) return known.answer;
    const underway = this.#asking.get(name);
    if (underway !== undefined) return await underway;
    if (!this.#takeToken()) return no("too many names are asked for at the moment");
    const asking = this.#ask(ask, name);
    this.#asking.set(name, asking);
    try {
      return await asking;
    } finally {
      this.#asking.delete(name);
    }
  }

  async #ask(ask: URL, name: string): Promise<Permission> {
    const url = new URL(ask);
    url.searchParams.set("domain", name);
    let answer: Permission;
    let keptMs = NO_KEPT_MS;
    try {
      const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) });
      await response.body?.cancel();
      if (response.ok) {
        answer = { allowed: true };
        keptMs = YES_KEPT_MS;
      } else answer = no(`the permission endpoint answered ${response.status}`);
    } catch (error) {
      answer = no(`the permission endpoint did not answer: ${error instanceof Error ? error.message : String(error)}`);
      keptMs = FAILURE_KEPT_MS;
    }
    this.#known.delete(name);
    this.#known.set(name, { answer, untilMs: this.#now() + keptMs });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= ANSWERS_MAX) break;
      this.#known.delete(oldest);
    }
    return answer;
  }

  /** A bucket that holds one second's worth. */
  #takeToken(): boolean {
    const nowMs = this.#now();
    const more = ((nowMs - this.#filledMs) / 1000) * this.#asksPerSecond;
    this.#tokens = Math.min(this.#asksPerSecond, this.#tokens + more);
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

const no = (why: string): Permission => ({ allowed: false, why });
