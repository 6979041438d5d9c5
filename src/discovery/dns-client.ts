// Questions to name servers: each in turn until one gives an answer, be it that there are no records.
import { promises as dns } from "node:dns";

export type DnsAnswer<Record> =
  | { readonly kind: "records"; readonly records: readonly Record[] }
  /** No such name, or none of these records. */
  | { readonly kind: "none" }
  /** No server gave any answer. */
  | { readonly kind: "failed"; readonly why: string };

export interface AddressRecord {
  readonly address: string;
  /** In seconds. */
  readonly ttl: number;
}

export interface ServiceRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** The target; empty for the root, which says that there is no such service (RFC 2782). */
  readonly name: string;
}

/** How long one server may be silent. Bun counts this in whole seconds, so it could not be shorter. */
const TIMEOUT_MS = 1000;
/** One datagram is easily lost, so a server that is the only one is asked twice; else the next one is the second try. */
const TRIES_ALONE = 2;
const WHY: ReadonlyMap<unknown, string> = new Map([
  ["ESERVFAIL", "the name server failed (SERVFAIL)"],
  ["EREFUSED", "the name server refused (REFUSED)"],
  ["ETIMEOUT", "no name server answered in time"],
  ["ECONNREFUSED", "no name server could be reached"],
]);

export class DnsClient {
  #servers: readonly string[] | undefined;
  /** The server that answered last: it is asked first, so that a dead one costs its time-out only once. */
  #preferred: string | null = null;
  readonly #asking = new Set<dns.Resolver>();
  #cancelled = false;

  /** `servers` as `ip` or `ip:port`; those of the system when there are none. */
  constructor(servers: readonly string[] | undefined) {
    this.#servers = servers;
  }

  /** Other servers from the next question on. */
  setServers(servers: readonly string[] | undefined): void {
    this.#servers = servers;
  }

  addresses(name: string, family: 4 | 6): Promise<DnsAnswer<AddressRecord>> {
    return this.#ask((resolver) =>
      family === 4 ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true }),
    );
  }

  /** The names of an address (PTR records). */
  names(ip: string): Promise<DnsAnswer<string>> {
    return this.#ask((resolver) => resolver.reverse(ip));
  }

  /** SRV records. Their TTL is not told by the resolver's interface. */
  services(name: string): Promise<DnsAnswer<ServiceRecord>> {
    return this.#ask((resolver) => resolver.resolveSrv(name));
  }

  /** Ends every question under way, and the client with it: they and all later ones fail at once. */
  cancel(): void {
    this.#cancelled = true;
    for (const resolver of this.#asking) resolver.cancel();
  }

  async #ask<Record>(query: (resolver: dns.Resolver) => Promise<Record[]>): Promise<DnsAnswer<Record>> {
    let why = "no name server is known";
    const servers = this.#inTurn();
    for (const server of servers) {
      if (this.#cancelled) break;
      // Made anew for each question: it keeps answers by rules of its own.
      const resolver = new dns.Resolver({ timeout: TIMEOUT_MS, tries: servers.length === 1 ? TRIES_ALONE : 1 });
      this.#asking.add(resolver);
      try {
        resolver.setServers([server]);
        const records = await query(resolver);
        this.#preferred = server;
        return records.length > 0 ? { kind: "records", records } : { kind: "none" };
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        if (code === "ENOTFOUND" || code === "ENODATA") {
          this.#preferred = server;
          return { kind: "none" };
        }
        why = WHY.get(code) ?? `the name server gave no usable answer (${String(code)})`;
      } finally {
        this.#asking.delete(resolver);
      }
    }
    return { kind: "failed", why };
  }

  /** The servers in their order, beginning with the preferred one. The system's are read again for each question. */
  #inTurn(): readonly string[] {
    const servers = this.#servers ?? new dns.Resolver().getServers();
    const at = this.#preferred === null ? -1 : servers.indexOf(this.#preferred);
    return at <= 0 ? servers : [...servers.slice(at), ...servers.slice(0, at)];
  }
}
