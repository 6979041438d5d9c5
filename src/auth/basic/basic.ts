// Names and passwords of the configuration and of `htpasswd` files. Checking one is slow by design, so it is done off
// the event loop, few at a time, and what was right is remembered for a while.
import { CompileError, within } from "../../config/compile-error.ts";
import type { BasicConfig } from "../../config/schema-auth.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { type Identity, NO_CLAIMS } from "../../pipeline/identity.ts";
import type { Live } from "../../pipeline/shared.ts";
import type { Authenticator, Verdict } from "../authenticator.ts";
import type { Consumers } from "../consumers/consumers.ts";
import type { AuthContext } from "../context.ts";
import { basicChallenge, type Credentials } from "./credentials.ts";
import { parseUsersFile, type Users, usersOf } from "./users.ts";
import { Verified } from "./verified.ts";

/** Checks of a thread at a time: argon2id takes 64 MB for each with the usual settings. */
const CHECKS_AT_ONCE = 2;
/** Anybody may send megabytes of "password", and all of it would be hashed. */
const PASSWORD_MAX = 1024;
/** As slow as those that `sluice hash-password` makes; its password was thrown away. */
const OF_NOBODY =
  "$argon2id$v=19$m=65536,t=2,p=1$HyST/4tyt5/aSYuuQzOJOSz7GHrXYpDMK/EcQ4RBpR8$FKxJjvTHoSrIraoDkBVRAK3PjHhGt48JD7n1X6lOHgQ";

/** Throws CompileError for users that are none. */
export function compileBasic(config: BasicConfig, context: AuthContext): Authenticator {
  const { users, usersFile, groups, consumers } = config;
  const own = within("users", () => usersOf(users));
  if (own.size === 0 && usersFile === undefined && !consumers)
    throw new RangeError("there are no `users`, no `usersFile` and no `consumers`, so nobody could get in");
  for (const name of Object.values(groups).flat())
    if (usersFile === undefined && !own.has(name))
      throw new CompileError(`there is no user named "${name}"`, ["groups"]);
  const file =
    usersFile === undefined ? null : context.shared.live(`users ${usersFile}`, (memory) => readUsers(memory));
  return new Basic(
    config,
    within("realm", () => basicChallenge(config.realm)),
    own,
    file,
    context,
  );
}

/** What the supervisor has read and checked (control/shared-files.ts); nothing in a plan that is only looked at. */
const readUsers = (memory: SharedArrayBuffer): Users => parseUsersFile(Buffer.from(new Uint8Array(memory)).toString());

class Basic implements Authenticator {
  readonly kind = "basic";
  readonly challenge: string;
  readonly #own: Users;
  readonly #file: Live<Users> | null;
  readonly #groups: ReadonlyMap<string, readonly string[]>;
  readonly #verified: Verified;
  /** Those whose passwords are taken as well; null for none. */
  readonly #consumers: Consumers | null;
  /** The file as it was when it was last looked at. */
  #seen: Users | null;

  constructor(config: BasicConfig, challenge: string, own: Users, file: Live<Users> | null, context: AuthContext) {
    this.challenge = challenge;
    this.#own = own;
    this.#file = file;
    this.#seen = file?.current ?? null;
    this.#groups = groupsByUser(config.groups);
    const { cache: cacheMs, keep } = config;
    const consumers = config.consumers ? context.consumers : null;
    this.#consumers = consumers;
    this.#verified = new Verified(
      {
        ...{ kind: "basic", atOnce: CHECKS_AT_ONCE, cacheMs, keep },
        isCurrent: (identity) => consumers === null || consumers.isCurrent(identity),
      },
      (credentials) => this.#check(credentials),
      context,
    );
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    if (this.#file !== null && this.#file.current !== this.#seen) {
      this.#seen = this.#file.current;
      this.#verified.forget();
    }
    return this.#verified.authenticate(x);
  }

  async #check({ user, password }: Credentials): Promise<Identity | null> {
    const own = this.#own.get(user) ?? this.#file?.current.get(user) ?? null;
    const consumer = own === null ? (this.#consumers?.withPassword(user) ?? null) : null;
    const hash = own ?? consumer?.credential.password ?? null;
    const known = hash !== null && password.length <= PASSWORD_MAX && password !== "";
    // Where there is no such user somebody else's password takes the same time to be wrong.
    const against = hash ?? this.#anyHash();
    let isRight = false;
    try {
      isRight = await Bun.password.verify(known ? password : "-", against);
    } catch {
      // A hash that the form is right of, but not the content.
    }
    if (!known || !isRight) return null;
    if (consumer === null) return this.#identityOf(user);
    return this.#consumers?.problem(consumer) === null ? consumer.identity : null;
  }

  #anyHash(): string {
    for (const hash of this.#own.values()) return hash;
    for (const hash of this.#file?.current.values() ?? []) return hash;
    return OF_NOBODY;
  }

  #identityOf(user: string): Identity {
    const groups = this.#groups.get(user) ?? [];
    return {
      kind: "basic",
      user,
      issuer: "",
      groups,
      scopes: [],
      plan: "",
      consumer: "",
      limits: null,
      claims: NO_CLAIMS,
    };
  }
}

function groupsByUser(groups: Readonly<Record<string, readonly string[]>>): ReadonlyMap<string, readonly string[]> {
  const byUser = new Map<string, string[]>();
  for (const [group, users] of Object.entries(groups))
    for (const user of users) {
      const known = byUser.get(user);
      if (known === undefined) byUser.set(user, [group]);
      else known.push(group);
    }
  return byUser;
}
