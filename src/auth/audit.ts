// What is told of authentication: a line of the log and a counter for each login, refusal and logout. Lines are
// bounded, as everybody outside can cause refusals.
import type { Exchange } from "../pipeline/exchange.ts";
import type { IdentityKind } from "../pipeline/identity.ts";
import type { Shared } from "../pipeline/shared.ts";

/**
 * `login`: credentials were found right that were not known yet; `required`: there were none; `refused`: they are
 * wrong; `forbidden`: somebody known who may not; `throttled`: too many guesses; `failed`: it could not be found out.
 */
export type AuthResult = "login" | "logout" | "required" | "refused" | "forbidden" | "throttled" | "failed";

export interface AuthEvent {
  /** "" where it is about no kind in particular. */
  readonly kind: IdentityKind | "";
  readonly result: AuthResult;
  /** Who it is, or claims to be; "" where that is not known. */
  readonly user: string;
  /** In plain words, without secrets; "" for nothing. */
  readonly why: string;
}

/** Lines of one route and thread in a second: enough to see what happens, too few to fill a disk. */
const LINES_PER_SECOND = 10;
/** User names come from outside. */
const USER_MAX = 128;

export class Audit {
  readonly #route: string;
  readonly #shared: Shared;
  #second = -1;
  #lines = 0;
  #untold = 0;

  constructor(route: string, shared: Shared) {
    this.#route = route;
    this.#shared = shared;
  }

  /** `x` is the request that it is about; null for what comes from elsewhere (a logout that a provider tells of). */
  tell(x: Pick<Exchange, "ip" | "requestId"> | null, { kind, result, user, why }: AuthEvent): void {
    this.#shared.count("sluice_auth_total", [kind === "" ? "none" : kind, result]);
    // A program without credentials is told so in its answer; a line for each would say nothing.
    if (result === "required" || !this.#mayTell()) return;
    const fields: Record<string, string | number> = { result, kind, route: this.#route };
    if (user !== "") fields.user = user.length > USER_MAX ? `${user.slice(0, USER_MAX)}…` : user;
    if (x !== null) fields.ip = x.ip;
    if (why !== "") fields.why = why;
    if (x !== null) fields.requestId = x.requestId;
    if (this.#untold > 0) fields.untold = this.#untold;
    this.#untold = 0;
    this.#shared.tell("authentication", fields);
  }

  #mayTell(): boolean {
    const second = Math.floor(this.#shared.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
    }
    this.#lines += 1;
    if (this.#lines <= LINES_PER_SECOND) return true;
    this.#untold += 1;
    return false;
  }
}
