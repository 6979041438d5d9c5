// What has been found out about a name and a password, for a while: finding it out takes a tenth of a second of a core,
// or a question to a directory. Nothing of it says what the password is.

import { fault } from "../../core/faults.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Answered, Refused, Verdict } from "../authenticator.ts";
import type { AuthContext } from "../context.ts";
import { basicToken, type Credentials, readCredentials } from "./credentials.ts";

/** Right credentials that are remembered: about 300 bytes each. */
const REMEMBERED = 4096;
/** Checks of a thread that may wait; a page that asks for everything at once has one check for all. */
const WAITING_MAX = 64;
const DIGEST_BYTES = 32;
/** Of a name, in the log. */
const USER_MAX = 100;

/** How credentials are checked; it never throws. Null: they are wrong. `unavailable`: nobody can say at the moment. */
export type Check = (credentials: Credentials) => Promise<Identity | null | "unavailable">;

export interface VerifiedOptions {
  readonly kind: "basic" | "ldap";
  /** Checks at a time; others wait. */
  readonly atOnce: number;
  /** How long right credentials are remembered. */
  readonly cacheMs: number;
  /** Lets servers see them. */
  readonly keep: boolean;
  /** Whether somebody who was found right may still be; always without it. */
  isCurrent?(identity: Identity): boolean;
}

const MALFORMED: Refused = { refused: true, why: "malformed credentials", error: "", guess: false };
const BUSY: Answered = { answer: fault("limit.busy", "too many passwords to check", 1) };

interface Known {
  readonly identity: Identity;
  readonly until: number;
}

export class Verified {
  readonly #options: VerifiedOptions;
  readonly #check: Check;
  readonly #context: AuthContext;
  /** The key of this thread, and room for the token behind it. */
  readonly #secret: string;
  readonly #digest = Buffer.alloc(DIGEST_BYTES);
  readonly #known = new Map<string, Known>();
  /** Checks under way, by what is checked. */
  readonly #pending = new Map<string, Promise<Verdict>>();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #generation = 0;

  constructor(options: VerifiedOptions, check: Check, context: AuthContext) {
    this.#options = options;
    this.#check = check;
    this.#context = context;
    this.#secret = context.secretFor(`${options.kind} ${context.scope}`).toString("latin1");
  }

  /** Forgets everything: passwords have changed. */
  forget(): void {
    this.#known.clear();
    this.#pending.clear();
    this.#generation += 1;
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    const { headers } = x.request;
    const token = basicToken(headers);
    if (token === null) return null;
    if (!this.#options.keep) headers.remove("authorization");
    Bun.SHA256.hash(this.#secret + token, this.#digest);
    const key = this.#digest.latin1Slice(0, DIGEST_BYTES);
    const known = this.#known.get(key);
    if (known !== undefined) {
      const { isCurrent } = this.#options;
      const holds = isCurrent === undefined || isCurrent(known.identity);
      if (holds && known.until > this.#context.shared.now()) return known.identity;
      this.#known.delete(key);
    }
    const credentials = readCredentials(token);
    if (credentials === null) return MALFORMED;
    const wait = this.#context.throttle.waitSeconds(x.ip, this.#accountOf(credentials));
    if (wait > 0) return this.#throttled(x, credentials, wait);
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending;
    if (this.#queue.length >= WAITING_MAX) return BUSY;
    const verdict = this.#verify(x, key, credentials).finally(() => {
      if (this.#pending.get(key) === verdict) this.#pending.delete(key);
    });
    this.#pending.set(key, verdict);
    return verdict;
  }

  /** Routes with the same people count together. */
  #accountOf({ user }: Credentials): string {
    return `${this.#context.scope} ${user}`;
  }

  #throttled(x: Pick<Exchange, "ip" | "requestId">, { user }: Credentials, seconds: number): Answered {
    const { kind } = this.#options;
    this.#context.audit.tell(x, { kind, result: "throttled", user, why: "too many wrong passwords" });
    return { answer: fault("limit.failures", "wrong passwords", seconds) };
  }

  /** The exchange may be over when this goes on, and others may wait for the same: what is needed of it is read first. */
  async #verify({ ip, requestId }: Exchange, key: string, credentials: Credentials): Promise<Verdict> {
    const { kind } = this.#options;
    const { audit, throttle } = this.#context;
    const { user } = credentials;
    const generation = this.#generation;
    const account = this.#accountOf(credentials);
    await this.#begin();
    let found: Awaited<ReturnType<Check>>;
    try {
      // Whoever waits in line with many guesses is not to have them all checked.
      const wait = throttle.waitSeconds(ip, account);
      if (wait > 0) return this.#throttled({ ip, requestId }, credentials, wait);
      found = await this.#check(credentials);
    } finally {
      this.#end();
    }
    if (found === "unavailable") {
      audit.tell({ ip, requestId }, { kind, result: "failed", user, why: "nobody can say at the moment" });
      return { answer: fault("auth.unavailable", kind) };
    }
    if (found === null) {
      throttle.failed(ip, account);
      // Counted here already, once for all requests that wait for it.
      return { refused: true, why: `wrong name or password of "${user.slice(0, USER_MAX)}"`, error: "", guess: false };
    }
    audit.tell({ ip, requestId }, { kind, result: "login", user, why: "" });
    if (generation === this.#generation) this.#remember(key, found);
    return found;
  }

  #remember(key: string, identity: Identity): void {
    const { cacheMs } = this.#options;
    if (cacheMs === 0) return;
    if (this.#known.size >= REMEMBERED) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, { identity, until: this.#context.shared.now() + cacheMs });
  }

  /** Waits until there is room for one more check. */
  async #begin(): Promise<void> {
    if (this.#running < this.#options.atOnce) this.#running += 1;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
  }

  /** Leaves its place to the next in line. */
  #end(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
