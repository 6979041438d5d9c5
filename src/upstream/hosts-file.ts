// The names that the machine itself knows: /etc/hosts, re-read when it changes.
import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";

const HOSTS_PATH = "/etc/hosts";
/** An edit is seen within this time; more often would be a system call for every connect. */
const CHECK_MS = 1000;

export class HostsFile {
  readonly #path: string;
  readonly #now: () => number;
  #names: ReadonlyMap<string, readonly string[]> = new Map();
  /** What tells one state of the file from another: its time and size. */
  #version = "";
  #checkAt = Number.NEGATIVE_INFINITY;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(now: () => number, path = HOSTS_PATH) {
    this.#now = now;
    this.#path = path;
  }

  /** The addresses of a lower-case name without its final dot, in the file's order; undefined when it has none. */
  lookup(name: string): readonly string[] | undefined {
    const now = this.#now();
    if (now >= this.#checkAt) {
      this.#checkAt = now + CHECK_MS;
      this.#refresh();
    }
    return this.#names.get(name);
  }

  #refresh(): void {
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    const version = stat === undefined ? "" : `${stat.mtimeMs} ${stat.size} ${stat.ino}`;
    if (version === this.#version) return;
    try {
      this.#names = stat === undefined ? new Map() : parseHosts(readFileSync(this.#path, "utf8"));
      this.#version = version;
    } catch {
      // It went away or became unreadable between the two calls: what was read last holds until the next check.
    }
  }
}

/** hosts(5): an address, then its names; `#` starts a comment. A name on several lines has all their addresses. */
export function parseHosts(text: string): Map<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const hash = line.indexOf("#");
    const [address, ...aliases] = (hash < 0 ? line : line.slice(0, hash)).trim().split(/\s+/);
    if (address === undefined || isIP(address) === 0) continue;
    for (const alias of aliases) {
      const name = alias.toLowerCase();
      const known = names.get(name);
      if (known === undefined) names.set(name, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return names;
}
