// Sets of discovered servers: made from records, kept over answers that leave some out, compared. Nothing here asks.
import { isIPv6 } from "node:net";

/** A server that the DNS names. */
export interface DiscoveredServer {
  /** `host:port`, IPv6 in brackets: it is the same server for as long as this is the same. */
  readonly id: string;
  /** An IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** 1 to 1000. */
  readonly weight: number;
  /** SRV only: its priority is not the lowest of the answer, so it is used while none of those can be. */
  readonly backup: boolean;
}

/** One SRV record (RFC 2782) with the addresses of its target. */
export interface Service {
  readonly priority: number;
  /** 0 to 65535. */
  readonly weight: number;
  readonly port: number;
  readonly addresses: readonly string[];
}

/** A server, and whether the last answer left it out. */
export interface Known {
  readonly server: DiscoveredServer;
  readonly isMissing: boolean;
}

/** Most servers of one source: what a health check every few seconds and a table of each worker still bear with ease. */
export const SERVERS_MAX = 1000;
const WEIGHT_MAX = 1000;

/** One server of weight 1 for each address, sorted by id: name servers shuffle their answers. */
export function addressServers(addresses: readonly string[], port: number): DiscoveredServer[] {
  const ids = new Map(addresses.map((host) => [idOf(host, port), host]));
  return sorted([...ids].map(([id, host]) => ({ id, host, port, weight: 1, backup: false })));
}

/**
 * The servers of SRV records, those of the lowest priority first, each part sorted by id. A target's weight is shared
 * by its addresses, so that one with IPv4 and IPv6 does not count twice; weights above 1000 are scaled down together.
 */
export function serviceServers(services: readonly Service[]): DiscoveredServer[] {
  const found = services.filter((each) => each.addresses.length > 0);
  const lowest = Math.min(...found.map((each) => each.priority));
  const first = weighed(
    found.filter((each) => each.priority === lowest),
    false,
  );
  const taken = new Set(first.map((each) => each.id));
  const rest = weighed(
    found.filter((each) => each.priority !== lowest),
    true,
  );
  return [...first, ...rest.filter((each) => !taken.has(each.id))];
}

/** Servers of one kind. They only compete with each other, so their weights are made comparable here. */
function weighed(services: readonly Service[], backup: boolean): DiscoveredServer[] {
  // RFC 2782: a weight of 0 beside others means "hardly ever"; where all are 0 they are equal. 1 is both.
  const shares = new Map<string, { readonly host: string; readonly port: number; share: number }>();
  const whole = commonMultiple(services.map((each) => each.addresses.length));
  for (const { weight, port, addresses } of services) {
    for (const host of addresses) {
      const id = idOf(host, port);
      const entry = shares.get(id) ?? { host, port, share: 0 };
      entry.share += (Math.max(1, weight) * whole) / addresses.length;
      shares.set(id, entry);
    }
  }
  const most = Math.max(...[...shares.values()].map((each) => each.share));
  const scale = most > WEIGHT_MAX ? WEIGHT_MAX / most : 1;
  return sorted(
    [...shares].map(([id, { host, port, share }]) => {
      return { id, host, port, weight: Math.max(1, Math.round(share * scale)), backup };
    }),
  );
}

/** The smallest number that every count divides, or WEIGHT_MAX where that is larger: then shares are rounded. */
function commonMultiple(counts: readonly number[]): number {
  let whole = 1;
  for (const count of new Set(counts)) {
    whole = (whole / greatestDivisor(whole, count)) * count;
    if (whole > WEIGHT_MAX) return WEIGHT_MAX;
  }
  return whole;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/**
 * What is known after a good answer. A server that it leaves out stays until a second answer in a row does so too: name
 * servers give random parts of long lists, and two that are not in step contradict each other for a while.
 */
export function afterAnswer(before: readonly Known[], answer: readonly DiscoveredServer[]): Known[] {
  const present = new Set(answer.map((each) => each.id));
  const after = answer.map((server): Known => ({ server, isMissing: false }));
  for (const { server, isMissing } of before) {
    if (!isMissing && !present.has(server.id)) after.push({ server, isMissing: true });
  }
  return after.slice(0, SERVERS_MAX);
}

/** The servers of several sources as one list, sorted by id. The first source's weight counts; a backup is one in all. */
export function merged(lists: readonly (readonly DiscoveredServer[])[]): readonly DiscoveredServer[] {
  const byId = new Map<string, DiscoveredServer>();
  for (const server of lists.flat()) {
    const other = byId.get(server.id);
    if (other === undefined) byId.set(server.id, server);
    else if (other.backup && !server.backup) byId.set(server.id, { ...other, backup: false });
  }
  return sorted([...byId.values()]);
}

/** Whether two sorted lists say the same. */
export function sameServers(a: readonly DiscoveredServer[], b: readonly DiscoveredServer[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, at) => {
      const other = b[at]!;
      return one.id === other.id && one.weight === other.weight && one.backup === other.backup;
    })
  );
}

const idOf = (host: string, port: number): string => (isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`);

function sorted(servers: DiscoveredServer[]): DiscoveredServer[] {
  return servers.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}
