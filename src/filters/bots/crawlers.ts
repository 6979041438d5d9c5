// Whether a client that claims to be a search engine's crawler is one: the name of its address must lie in the crawler's
// domain, and lead back to the address (which anybody may give any name).
import { canonicalIp } from "../../core/ip.ts";
import type { Shared } from "../../pipeline/shared.ts";

/** What their owners say of them; those that only publish lists of addresses are not among them. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  googlebot: ["googlebot.com", "google.com"],
  "google-inspectiontool": ["googlebot.com", "google.com"],
  storebot: ["googlebot.com", "google.com"],
  bingbot: ["search.msn.com"],
  msnbot: ["search.msn.com"],
  applebot: ["applebot.apple.com"],
  yandexbot: ["yandex.ru", "yandex.net", "yandex.com"],
  baiduspider: ["baidu.com", "baidu.jp"],
  amazonbot: ["crawl.amazonbot.amazon"],
  petalbot: ["petalsearch.com", "aspiegel.com"],
};

/** `unknown`: the DNS gave no answer, or too much is asked of it. */
export type Verdict = "real" | "fake" | "unknown";

interface Known {
  readonly verdict: Verdict;
  readonly untilMs: number;
}

/** Crawlers come from some thousand addresses; an attacker may come from any number. */
const REMEMBERED = 8192;
const REMEMBER_MS = 3_600_000;
const UNKNOWN_MS = 30_000;
/** Questions under way: beyond, nobody is looked up. */
const ASKING_MAX = 32;
/** Names of one address that are looked at. */
const NAMES_MAX = 4;

export class Crawlers {
  readonly #claims: readonly (readonly [agent: string, domains: readonly string[]])[];
  readonly #shared: Shared;
  readonly #known = new Map<string, Known>();
  #asking = 0;

  constructor(more: Readonly<Record<string, readonly string[]>>, shared: Shared) {
    const own = Object.entries(more).map(([agent, domains]) => [agent.toLowerCase(), domains] as const);
    this.#claims = [...own, ...Object.entries(KNOWN)];
    this.#shared = shared;
  }

  /** The domains of the crawler that a User-Agent (in lower case) claims to be; null when it claims to be none. */
  claimed(agent: string): readonly string[] | null {
    for (const [part, domains] of this.#claims) if (agent.includes(part)) return domains;
    return null;
  }

  /** Whether the address is one of theirs. A promise only where the DNS has to be asked. */
  verify(ip: string, domains: readonly string[]): Verdict | Promise<Verdict> {
    const key = `${ip} ${domains[0]}`;
    const known = this.#known.get(key);
    const now = this.#shared.now();
    if (known !== undefined && known.untilMs > now) return known.verdict;
    if (this.#asking >= ASKING_MAX || ip === "") return "unknown";
    return this.#ask(key, ip, domains);
  }

  async #ask(key: string, ip: string, domains: readonly string[]): Promise<Verdict> {
    this.#asking += 1;
    try {
      const verdict = await this.#lookUp(ip, domains);
      if (this.#known.size >= REMEMBERED) this.#known.clear();
      const keptMs = verdict === "unknown" ? UNKNOWN_MS : REMEMBER_MS;
      this.#known.set(key, { verdict, untilMs: this.#shared.now() + keptMs });
      return verdict;
    } finally {
      this.#asking -= 1;
    }
  }

  async #lookUp(ip: string, domains: readonly string[]): Promise<Verdict> {
    const names = await this.#shared.namesOf(ip);
    if (names === null) return "unknown";
    const theirs = names
      .slice(0, NAMES_MAX)
      .map((name) => name.toLowerCase().replace(/\.$/, ""))
      .filter((name) => domains.some((domain) => name.endsWith(`.${domain}`)));
    let unanswered = false;
    for (const name of theirs) {
      const addresses = await this.#shared.addressesOf(name, ip.includes(":") ? 6 : 4);
      if (addresses === null) unanswered = true;
      else if (addresses.some((address) => canonicalIp(address) === ip)) return "real";
    }
    return unanswered ? "unknown" : "fake";
  }
}
