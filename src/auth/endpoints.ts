// The paths below `/.auth/`, which Sluice answers by itself on every listener, before routes are looked up: none of
// them is ever forwarded. Kinds of authentication register theirs when a plan is compiled.
import { fault } from "../core/faults.ts";
import { receivedCookies } from "../http/cookies.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { Exchange, Outcome } from "../pipeline/exchange.ts";
import { isFault } from "../pipeline/exchange.ts";
import { CookieMemo } from "./cookie-memo.ts";
import { withoutCookies } from "./strip.ts";

export const PREFIX = "/.auth/";

export interface Endpoint {
  readonly methods: readonly string[];
  /**
   * `rest` is what stands for the star of its path, "" without one. Null: it is not for this one, and the next one of
   * the same path is asked.
   */
  handle(x: Exchange, rest: string): Outcome | null | Promise<Outcome | null>;
}

/** Cookies of the proxy's own, which no server is to see, whatever its route says. */
export interface OwnCookies {
  /** Whether there may be one of them in a Cookie field. */
  mayBeIn(field: string): boolean;
  owns(name: string): boolean;
}

export class Endpoints {
  readonly #byPath = new Map<string, Endpoint[]>();
  readonly #cookies: OwnCookies[] = [];
  /** What is left of a Cookie field without ours; null where none of them is in it. */
  readonly #left = new CookieMemo((headers) => this.#without(headers));

  /** Whether there are none. */
  get empty(): boolean {
    return this.#byPath.size === 0;
  }

  /** `path` stands behind the prefix: `logout`, or `callback/*` for one more segment. */
  add(path: string, endpoint: Endpoint): void {
    const known = this.#byPath.get(path);
    if (known === undefined) this.#byPath.set(path, [endpoint]);
    else known.push(endpoint);
  }

  hide(cookies: OwnCookies): void {
    this.#cookies.push(cookies);
  }

  /** Takes the proxy's own cookies away; `receivedCookies` finds them all the same. */
  strip(headers: HeaderBlock): void {
    if (this.#cookies.length === 0 || !headers.received(ID.cookie)) return;
    const left = this.#left.of(headers);
    if (left === null) return;
    headers.removeReceived("cookie");
    if (left !== "") (headers.added ??= []).push({ name: "cookie", value: left });
  }

  #without(headers: HeaderBlock): string | null {
    const field = receivedCookies(headers)!;
    if (!this.#cookies.some((one) => one.mayBeIn(field))) return null;
    return withoutCookies(field, (name) => this.#cookies.some((one) => one.owns(name)));
  }

  /** Answers a request whose path begins with the prefix. */
  handle(x: Exchange): Outcome | Promise<Outcome> {
    const path = (x.request.path ?? "").slice(PREFIX.length);
    const exact = this.#byPath.get(path);
    if (exact !== undefined) return this.#ask(x, exact, "", 0);
    const slash = path.lastIndexOf("/");
    const rest = path.slice(slash + 1);
    const family = slash < 0 || rest === "" ? undefined : this.#byPath.get(`${path.slice(0, slash)}/*`);
    return family === undefined ? none(x) : this.#ask(x, family, rest, 0);
  }

  #ask(x: Exchange, endpoints: readonly Endpoint[], rest: string, from: number): Outcome | Promise<Outcome> {
    let isMethod = false;
    for (let i = from; i < endpoints.length; i += 1) {
      const endpoint = endpoints[i]!;
      if (!endpoint.methods.includes(x.request.method)) continue;
      isMethod = true;
      const outcome = endpoint.handle(x, rest);
      if (outcome === null) continue;
      if (!(outcome instanceof Promise)) return unstored(outcome);
      return outcome.then((settled) => {
        if (settled !== null) return unstored(settled);
        return x.over ? fault("client.gone") : this.#ask(x, endpoints, rest, i + 1);
      });
    }
    if (isMethod || from > 0) return none(x);
    const methods = new Set(endpoints.flatMap((endpoint) => endpoint.methods));
    (x.errorFields ??= []).push(["allow", [...methods].join(", ")]);
    return fault("access.method", x.request.method);
  }
}

const none = (x: Exchange): Outcome => fault("route.none", `nothing at ${x.request.path}`);

/** Nothing of this is for caches. */
function unstored(outcome: Outcome): Outcome {
  if (!isFault(outcome) && !outcome.headers.has("cache-control")) outcome.headers.add("cache-control", "no-store");
  return outcome;
}
