// Names to addresses: the hosts file, then DNS with its TTLs, then the system's own resolver. An answer that was good
// once outlives the name server's troubles, and nobody waits for a refresh.
import { promises as dns } from "node:dns";
import { isIP } from "node:net";
import { monotonic } from "../core/clock.ts";
import { FaultError, fault } from "../core/faults.ts";
import { HostsFile } from "./hosts-file.ts";

export interface ResolverOptions {
  /** DNS servers, `ip` or `ip:port`, that are asked instead of the system's. */
  readonly servers?: readonly string[];
  /** Shortest and longest time in milliseconds for which an answer counts as fresh, whatever its TTL says. */
  readonly minTtl: number;
  readonly maxTtl: number;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
  readonly hostsPath?: string;
}

/** Names of servers come from the configuration, so thousands are already odd; the bound holds memory whatever asks. */
const NAMES_MAX = 4096;
/** A connect tries a few addresses at most: more of them only cost memory. */
const ADDRESSES_MAX = 64;
/** How long a name without any answer is not asked for again. */
const NEGATIVE_MS = 2000;
/** How long a kept answer is used before the failed refresh is tried again. */
const RETRY_MS = 5000;
/** An answer that ended longer ago than this is not given at once: the server may have moved since anyone asked. */
const STALE_MS = 30_000;
/** How long the last good answer stands in for a name server that fails (RFC 8767 §5 proposes one to three days). */
const KEEP_MS = 86_400_000;
/** getaddrinfo tells no TTL. */
const SYSTEM_TTL_MS = 30_000;
/** How long the family that answered first waits for the other one (RFC 8305 §3). */
const FAMILY_GRACE_MS = 50;
/** One datagram is easily lost: two tries of one second before a name counts as unanswered. */
const QUERY = { timeout: 1000, tries: 2 };
/** RFC 6761 §6.3. */
const LOOPBACK: readonly string[] = ["::1", "127.0.0.1"];

/** What is known of one name. */
interface Entry {
  v4: readonly string[];
  v6: readonly string[];
  /** Both families; empty while nothing good is known. */
  all: readonly string[];
  /** When a lookup starts the next refresh. */
  until: number;
  /** When `all` was last confirmed. */
  goodAt: number;
  /** The refresh under way, if any. Never rejects. */
  refresh: Promise<void> | null;
  /** Why the last refresh found nothing, for the log. */
  trouble: string;
}

/** One family's answer: null when the name server failed to give any, good or bad. */
type Answer = { readonly family: 4 | 6; readonly addresses: readonly string[]; readonly ttlMs: number } | null;

export class Resolver {
  readonly #minTtl: number;
  readonly #maxTtl: number;
  readonly #now: () => number;
  readonly #hosts: HostsFile;
  readonly #entries = new Map<string, Entry>();
  readonly #servers: readonly string[] | undefined;

  /** Throws a TypeError when one of `servers` is not an IP address with or without a port. */
  constructor(options: ResolverOptions) {
    this.#minTtl = options.minTtl;
    this.#maxTtl = Math.max(options.minTtl, options.maxTtl);
    this.#now = options.now ?? monotonic;
    this.#hosts = new HostsFile(this.#now, options.hostsPath);
    this.#servers = options.servers;
    this.#makeClient();
  }

  /**
   * The addresses of a host, at least one, in no particular order: at once when they are known, else as a promise,
   * which rejects with the fault `upstream.dns`. It has no time limit of its own beyond the name servers': the caller's
   * connect time-out bounds the wait.
   */
  lookup(host: string): readonly string[] | Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host];
    const name = host.toLowerCase();
    const bare = name.endsWith(".") ? name.slice(0, -1) : name;
    const local = this.#hosts.lookup(bare);
    if (local !== undefined) return local;
    if (bare === "localhost" || bare.endsWith(".localhost")) return LOOPBACK;

    const now = this.#now();
    const entry = this.#entries.get(name) ?? this.#add(name);
    if (now >= entry.until) entry.refresh ??= this.#refresh(name, entry);
    // While refreshes fail `until` moves on, so a kept answer goes on being given at once.
    if (entry.all.length > 0 && now < entry.until + STALE_MS && now < entry.goodAt + KEEP_MS) return entry.all;
    return this.#wait(name, entry);
  }

  async #wait(name: string, entry: Entry): Promise<readonly string[]> {
    await entry.refresh;
    if (entry.all.length > 0 && this.#now() < entry.goodAt + KEEP_MS) return entry.all;
    throw new FaultError(fault("upstream.dns", `${name}: ${entry.trouble}`));
  }

  #add(name: string): Entry {
    if (this.#entries.size >= NAMES_MAX) {
      // Names are re-inserted when they are refreshed, so the first one is the longest unused.
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    const nothing = Number.NEGATIVE_INFINITY;
    const entry: Entry = { v4: [], v6: [], all: [], until: nothing, goodAt: nothing, refresh: null, trouble: "" };
    this.#entries.set(name, entry);
    return entry;
  }

  /** One for each refresh: it keeps answers by its own rules, and reads resolv.conf only when it is made. */
  #makeClient() {
    const client = new dns.Resolver(QUERY);
    if (this.#servers !== undefined) client.setServers(this.#servers);
    return client;
  }

  async #refresh(name: string, entry: Entry): Promise<void> {
    if (this.#entries.get(name) === entry) {
      this.#entries.delete(name);
      this.#entries.set(name, entry);
    }
    const client = this.#makeClient();
    const v4 = ask(4, () => client.resolve4(name, { ttl: true }));
    const v6 = ask(6, () => client.resolve6(name, { ttl: true }));
    const whole = Promise.all([v4, v6]).then(async ([a, aaaa]) => {
      // Named servers are meant to be the only ones asked: the system's are not to see such names.
      if (found(a) || found(aaaa) || this.#servers !== undefined) this.#store(entry, a, aaaa);
      else this.#store(entry, ...(await askSystem(name)));
      entry.refresh = null;
    });
    // A family that never answers must not hold up the other one; what it says later is still taken in.
    const first = await firstFound(v4, v6);
    if (first === null) return whole;
    const isWhole = await Promise.race([whole.then(() => true), Bun.sleep(FAMILY_GRACE_MS)]);
    if (isWhole) return;
    if (first.family === 4) this.#store(entry, first, null);
    else this.#store(entry, null, first);
  }

  /** Takes in what both families said. A family that failed keeps its addresses; one that has none any more loses them. */
  #store(entry: Entry, v4: Answer, v6: Answer): void {
    const now = this.#now();
    if (!found(v4) && !found(v6)) {
      // "No such name" is kept out too: name servers say it in the middle of their own deployments.
      entry.trouble = v4 === null || v6 === null ? "the name servers gave no answer" : "no such name, or no address";
      entry.until = now + (entry.all.length > 0 ? RETRY_MS : NEGATIVE_MS);
      return;
    }
    if (v4 !== null) entry.v4 = v4.addresses;
    if (v6 !== null) entry.v6 = v6.addresses;
    entry.all = [...entry.v6, ...entry.v4];
    entry.goodAt = now;
    const ttl = Math.min(
      found(v4) ? v4.ttlMs : Number.POSITIVE_INFINITY,
      found(v6) ? v6.ttlMs : Number.POSITIVE_INFINITY,
    );
    entry.until = now + Math.min(this.#maxTtl, Math.max(this.#minTtl, ttl));
  }
}

type Records = readonly { readonly address: string; readonly ttl: number }[];

async function ask(family: 4 | 6, query: () => Promise<Records>): Promise<Answer> {
  try {
    const records = (await query()).slice(0, ADDRESSES_MAX);
    return {
      family,
      addresses: records.map((each) => each.address),
      ttlMs: Math.min(...records.map((each) => each.ttl)) * 1000,
    };
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    return code === "ENODATA" || code === "ENOTFOUND" ? { family, addresses: [], ttlMs: 0 } : null;
  }
}

const found = (answer: Answer): answer is NonNullable<Answer> => answer !== null && answer.addresses.length > 0;

/** The first of the two to find anything; null when neither does. */
async function firstFound(a: Promise<Answer>, b: Promise<Answer>): Promise<Answer> {
  const one = await Promise.race([a, b]);
  if (found(one)) return one;
  const [x, y] = await Promise.all([a, b]);
  return found(x) ? x : found(y) ? y : null;
}

/** getaddrinfo knows search domains, mDNS and whatever else the machine's name service is made of. */
async function askSystem(name: string): Promise<[v4: Answer, v6: Answer]> {
  try {
    const records = (await dns.lookup(name, { all: true })).slice(0, ADDRESSES_MAX);
    const of = (family: 4 | 6) => ({
      family,
      addresses: [...new Set(records.filter((each) => each.family === family).map((each) => each.address))],
      ttlMs: SYSTEM_TTL_MS,
    });
    return [of(4), of(6)];
  } catch {
    return [null, null];
  }
}
