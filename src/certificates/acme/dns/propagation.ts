// Whether the world can see a record: the servers that are responsible for its zone are asked themselves, since
// anybody else may still remember that there was none.
import { getServers } from "node:dns";
import { ask } from "./exchange.ts";
import { type DnsMessage, encodeQuery, nameIn, TYPE, textOf } from "./message.ts";
import type { TextRecord } from "./provider.ts";

/** Asks one server; replaced in tests. */
export type Ask = (server: string, name: string, type: number, recursion: boolean) => Promise<DnsMessage>;

export interface PropagationOptions {
  readonly servers?: readonly string[];
  readonly resolvers?: readonly string[];
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 120_000;
const LOOK_EVERY_MS = 2000;
/** The first look comes soon: servers that need no propagation answer at once. */
const LOOK_FIRST_MS = 200;
/** Longer chains are rings or mistakes; resolvers follow about as many. */
const CNAMES_MAX = 8;
const NXDOMAIN = 3;

/** Questions with the signal of an order. */
export const askWith =
  (signal: AbortSignal): Ask =>
  (server, name, type, recursion) =>
    ask(server, encodeQuery(name, type, recursion), signal);

/** Where the record really has to be: the end of the CNAMEs at `name`, by which people delegate this one name. */
export async function followCnames(name: string, options: PropagationOptions, askServer: Ask): Promise<string> {
  let at = name;
  for (let hop = 0; hop < CNAMES_MAX; hop += 1) {
    const answer = await askAny(resolversOf(options), at, TYPE.CNAME, askServer);
    const record = answer?.answers.find((each) => each.type === TYPE.CNAME && each.name === at);
    if (answer === null || record === undefined) return at;
    at = nameIn(answer, record);
  }
  throw new Error(`${name} leads through too many CNAME records`);
}

/**
 * Resolves when each responsible server knows the record.
 *
 * @throws Error naming a server that does not, when the time is over; the reason of the signal
 */
export async function waitForRecord(
  record: TextRecord,
  options: PropagationOptions,
  askServer: Ask,
  sleep: (ms: number) => Promise<void>,
): Promise<void> {
  const { timeoutMs = TIMEOUT_MS } = options;
  if (timeoutMs === 0) return;
  let missing = options.servers ?? (await authoritativeServers(record.name, options, askServer));
  for (let waitedMs = 0, waitMs = LOOK_FIRST_MS; ; waitedMs += waitMs, waitMs = LOOK_EVERY_MS) {
    const knows = await Promise.all(missing.map((server) => hasRecord(server, record, askServer)));
    missing = missing.filter((_, at) => !knows[at]);
    if (missing.length === 0) return;
    if (waitedMs >= timeoutMs) {
      const where = missing.join(", ");
      throw new Error(`the record ${record.name} is not visible at ${where} after ${timeoutMs / 1000} s`);
    }
    await sleep(waitMs);
  }
}

async function hasRecord(server: string, record: TextRecord, askServer: Ask): Promise<boolean> {
  const answer = await askServer(server, record.name, TYPE.TXT, false).catch(() => null);
  return answer?.answers.some((each) => each.type === TYPE.TXT && textOf(each) === record.value) ?? false;
}

/**
 * The addresses of the name servers of the zone that a name is in.
 *
 * @throws Error when nobody tells them
 */
async function authoritativeServers(name: string, options: PropagationOptions, askServer: Ask): Promise<string[]> {
  const resolvers = resolversOf(options);
  const labels = name.split(".");
  for (let skip = 0; skip < labels.length; skip += 1) {
    const zone = labels.slice(skip).join(".");
    const answer = await askAny(resolvers, zone, TYPE.NS, askServer);
    const servers = answer?.answers.filter((each) => each.type === TYPE.NS && each.name === zone) ?? [];
    if (answer === null || servers.length === 0) continue;
    const addresses = await Promise.all(servers.map((each) => addressesOf(nameIn(answer, each), resolvers, askServer)));
    const found = [...new Set(addresses.flat())];
    if (found.length > 0) return found;
  }
  throw new Error(`cannot find the name servers of ${name}: give dns.propagation.servers`);
}

/** IPv4 where there is any: not every machine has IPv6. */
async function addressesOf(name: string, resolvers: readonly string[], askServer: Ask): Promise<string[]> {
  const v4 = (await askAny(resolvers, name, TYPE.A, askServer))?.answers.filter((each) => each.type === TYPE.A) ?? [];
  if (v4.length > 0) return v4.map(({ data }) => data.join("."));
  const answer = await askAny(resolvers, name, TYPE.AAAA, askServer);
  const v6 = answer?.answers.filter((each) => each.type === TYPE.AAAA && each.data.length === 16) ?? [];
  return v6.map(({ data }) => data.toString("hex").replace(/(.{4})(?=.)/g, "$1:"));
}

/** The first usable answer of these resolvers; null when there is none. */
async function askAny(
  resolvers: readonly string[],
  name: string,
  type: number,
  askServer: Ask,
): Promise<DnsMessage | null> {
  for (const resolver of resolvers) {
    const answer = await askServer(resolver, name, type, true).catch(() => null);
    if (answer !== null && (answer.rcode === 0 || answer.rcode === NXDOMAIN)) return answer;
  }
  return null;
}

const resolversOf = ({ resolvers }: PropagationOptions): readonly string[] => resolvers ?? getServers();
