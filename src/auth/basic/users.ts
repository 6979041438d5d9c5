// Names and hashes of passwords: those of the configuration, and files as `htpasswd` writes them.
import { within } from "../../config/compile-error.ts";

/** A file with more is no list of people any more; each takes some hundred bytes in every thread. */
const USERS_MAX = 100_000;

/** Hashes by name. */
export type Users = ReadonlyMap<string, string>;

const SLOW = [/^\$argon2(?:id|i|d)\$v=19\$m=\d+,t=\d+,p=\d+\$[\w+/]+\$[\w+/]+$/, /^\$2[aby]\$\d\d\$[\w./]{53}$/];

/** Why this is no hash that a password can be compared with; null for one that is. */
export function hashProblem(hash: string): string | null {
  if (SLOW.some((form) => form.test(hash))) return null;
  const hint = "make a new one with `sluice hash-password`, or with `htpasswd -B`";
  if (hash.startsWith("$apr1$") || hash.startsWith("$1$")) return `this hash is MD5, which is too weak: ${hint}`;
  if (hash.startsWith("{SHA}")) return `this hash is SHA-1 without a salt, which is too weak: ${hint}`;
  if (/^\$[56]\$/.test(hash)) return `hashes of crypt(3) with SHA-2 are not read: ${hint}`;
  return `this is no hash of a password (argon2 or bcrypt): ${hint}`;
}

/** Checks those of the configuration. Throws CompileError for a name or a hash that is none. */
export function usersOf(users: Readonly<Record<string, string>>): Users {
  for (const [name, hash] of Object.entries(users))
    within(name, () => {
      const problem = nameProblem(name) ?? hashProblem(hash);
      if (problem !== null) throw new RangeError(problem);
    });
  return new Map(Object.entries(users));
}

/** Reads a file of `name:hash` lines; empty ones and those that begin with `#` are remarks. Throws RangeError. */
export function parseUsersFile(text: string): Users {
  const users = new Map<string, string>();
  for (const [at, line] of text.split("\n").entries()) {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) continue;
    const colon = entry.indexOf(":");
    const name = entry.slice(0, Math.max(0, colon));
    const hash = entry.slice(colon + 1);
    const problem = colon < 0 ? "write name:hash" : (nameProblem(name) ?? hashProblem(hash));
    if (problem !== null) throw new RangeError(`line ${at + 1}: ${problem}`);
    if (users.has(name)) throw new RangeError(`line ${at + 1}: this name stands here twice`);
    if (users.size === USERS_MAX) throw new RangeError(`more than ${USERS_MAX} names`);
    users.set(name, hash);
  }
  return users;
}

function nameProblem(name: string): string | null {
  if (name === "") return "a name must not be empty";
  return /[:\x00-\x1f\x7f]/.test(name) ? "a name has no colon and no control characters (RFC 7617 section 2)" : null;
}
