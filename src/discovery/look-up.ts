// One look-up of a source: the questions that it takes, and the servers that the answers come to.
import type { DnsAnswer, DnsClient, ServiceRecord } from "./dns-client.ts";
import { addressServers, type DiscoveredServer, SERVERS_MAX, serviceServers } from "./servers.ts";

/** What is looked up. */
export interface Source {
  readonly type: "A" | "AAAA" | "SRV";
  readonly name: string;
  /** Of the servers; SRV records bring their own. */
  readonly port: number;
}

export interface LookUp {
  /** None when there was no good answer. */
  readonly servers: readonly DiscoveredServer[];
  /** How many servers beyond SERVERS_MAX were left out. */
  readonly dropped: number;
  /** Smallest TTL of the answers; Infinity when none was told. */
  readonly ttlMs: number;
  /** What went wrong, if anything; beside servers when it was only a part. */
  readonly error: string | null;
}

/** The addresses of SRV targets as they were last known, by family and name, such as `4 app.internal`. */
export type TargetAddresses = Map<string, readonly string[]>;

/** An SRV answer of hundreds of targets must not become a burst that the name server drops. */
const QUESTIONS_AT_A_TIME = 16;
const NONE = "no such name, or no such records";

/** Looks a source up; never rejects. `targets` is read and brought up to date (SRV only). */
export async function lookUp(client: DnsClient, source: Source, targets: TargetAddresses): Promise<LookUp> {
  if (source.type === "SRV") return lookUpServices(client, source.name, targets);
  const answer = await client.addresses(source.name, source.type === "A" ? 4 : 6);
  if (answer.kind !== "records") return failed(answer);
  const servers = addressServers(
    answer.records.map((each) => each.address),
    source.port,
  );
  return capped(servers, Math.min(...answer.records.map((each) => each.ttl)) * 1000, null);
}

async function lookUpServices(client: DnsClient, name: string, targets: TargetAddresses): Promise<LookUp> {
  const answer = await client.services(name);
  if (answer.kind !== "records") return failed(answer);
  const records = answer.records.filter((each) => each.name !== "" && each.port > 0);
  // Of too many those that matter most, whatever their order in the answer.
  const services = records.sort(byImportance).slice(0, SERVERS_MAX);
  if (services.length === 0) return failed({ kind: "none" });

  const names = [...new Set(services.map((each) => each.name.toLowerCase()))];
  const found = new Map<string, Target>();
  await inTurns(names, async (target) => {
    found.set(target, await addressesOf(client, target, targets));
  });
  targets.clear();
  for (const [target, { v4, v6 }] of found) {
    targets.set(`4 ${target}`, v4);
    targets.set(`6 ${target}`, v6);
  }
  const servers = serviceServers(
    services.map(({ priority, weight, port, name: target }) => {
      const { v4, v6 } = found.get(target.toLowerCase())!;
      return { priority, weight, port, addresses: [...v4, ...v6] };
    }),
  );
  const all = [...found.values()];
  const error = all.find((each) => each.error !== null)?.error ?? null;
  return capped(servers, Math.min(...all.map((each) => each.ttlMs)), error, records.length - services.length);
}

function byImportance(a: ServiceRecord, b: ServiceRecord): number {
  const names = a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
  return a.priority - b.priority || names || a.port - b.port || a.weight - b.weight;
}

interface Target {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
  readonly ttlMs: number;
  readonly error: string | null;
}

/** Both families of a target. While the SRV records name it, it keeps its addresses until there is a better answer. */
async function addressesOf(client: DnsClient, name: string, known: TargetAddresses): Promise<Target> {
  const [a, aaaa] = await Promise.all([client.addresses(name, 4), client.addresses(name, 6)]);
  const known4 = known.get(`4 ${name}`) ?? [];
  const known6 = known.get(`6 ${name}`) ?? [];
  const addresses = (answer: typeof a) => (answer.kind === "records" ? answer.records.map((each) => each.address) : []);
  const ttls = [a, aaaa].flatMap((answer) => (answer.kind === "records" ? answer.records.map((each) => each.ttl) : []));
  if (ttls.length === 0) {
    const why = a.kind === "failed" ? a.why : aaaa.kind === "failed" ? aaaa.why : NONE;
    return { v4: known4, v6: known6, ttlMs: Number.POSITIVE_INFINITY, error: `${name}: ${why}` };
  }
  // A family that failed keeps what it had. Where it had nothing, it is most likely one that is not served at all.
  const lost = a.kind === "failed" && known4.length > 0 ? a : aaaa.kind === "failed" && known6.length > 0 ? aaaa : null;
  return {
    v4: a.kind === "failed" ? known4 : addresses(a),
    v6: aaaa.kind === "failed" ? known6 : addresses(aaaa),
    ttlMs: Math.min(...ttls) * 1000,
    error: lost === null ? null : `${name}: ${lost.why}`,
  };
}

async function inTurns(items: readonly string[], work: (item: string) => Promise<void>): Promise<void> {
  const left = items.values();
  // All of them draw from the one iterator.
  const worker = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(QUESTIONS_AT_A_TIME, items.length) }, worker));
}

function failed(answer: Exclude<DnsAnswer<unknown>, { kind: "records" }>): LookUp {
  const error = answer.kind === "none" ? NONE : answer.why;
  return { servers: [], dropped: 0, ttlMs: Number.POSITIVE_INFINITY, error };
}

function capped(servers: readonly DiscoveredServer[], ttlMs: number, error: string | null, dropped = 0): LookUp {
  const over = Math.max(0, servers.length - SERVERS_MAX);
  return { servers: over === 0 ? servers : servers.slice(0, SERVERS_MAX), dropped: dropped + over, ttlMs, error };
}
