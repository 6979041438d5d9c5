// What rules ask of the world: where an address is (`@geoLookup`), and whether a list in the DNS has it (`@rbl`).
import type { Places } from "../../pipeline/places.ts";
import type { Shared } from "../../pipeline/shared.ts";

/** Names whose answers are remembered: a list has some thousand of a site's clients at most. */
const REMEMBERED = 8192;
const REMEMBER_MS = 600_000;
const UNKNOWN_MS = 30_000;
/** Questions under way; beyond, nobody is looked up. Each is over after the DNS client's own time. */
const ASKING_MAX = 32;
/** Parts of names in the DNS (RFC 1035 §2.3.4). */
const NAME = /^(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}$/i;

interface Known {
  readonly listed: boolean;
  readonly untilMs: number;
}

/** Lists in the DNS (RFC 5782). Requests do not wait: a name counts as not listed until the answer is there. */
export class Blocklists {
  readonly #shared: Shared;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Set<string>();

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  listed(name: string): boolean {
    const known = this.#known.get(name);
    if (known === undefined || known.untilMs <= this.#shared.now()) this.#ask(name);
    return known?.listed ?? false;
  }

  #ask(name: string): void {
    if (this.#asking.size >= ASKING_MAX || this.#asking.has(name) || !NAME.test(name)) return;
    this.#asking.add(name);
    void this.#shared
      .addressesOf(name, 4)
      .catch(() => null)
      .then((addresses) => {
        this.#asking.delete(name);
        if (this.#known.size >= REMEMBERED && !this.#known.has(name)) this.#known.clear();
        // A list that gives no answer for a while says what it said.
        const listed = addresses === null ? (this.#known.get(name)?.listed ?? false) : addresses.some(meansListed);
        const keptMs = addresses === null ? UNKNOWN_MS : REMEMBER_MS;
        this.#known.set(name, { listed, untilMs: this.#shared.now() + keptMs });
      });
  }
}

/** Answers lie in 127.0.0.0/8; those of the last network say that the question was refused. */
const meansListed = (address: string): boolean => address.startsWith("127.") && !address.startsWith("127.255.255.");

/** Names are bytes as Latin-1 for the rules, as all values are. */
const bytesOf = (text: string): string => Buffer.from(text).toString("latin1");

/** Where an address is, as rules know it (GEO); null when that is not known. */
export function geoOf(places: Places, address: string): Readonly<Record<string, string>> | null {
  const record = places.of(address);
  if (record === null) return null;
  const { city, continent, location, postal, subdivisions } = record;
  const country = record.country ?? record.registered_country;
  const found: readonly (readonly [name: string, value: string | number | undefined])[] = [
    ["COUNTRY_CODE", country?.iso_code],
    ["COUNTRY_NAME", country?.names?.en],
    ["COUNTRY_CONTINENT", continent?.code],
    ["REGION", subdivisions?.[0]?.iso_code],
    ["CITY", city?.names?.en],
    ["POSTAL_CODE", postal?.code],
    ["LATITUDE", location?.latitude],
    ["LONGITUDE", location?.longitude],
    ["DMA_CODE", location?.metro_code],
  ];
  const known = found.flatMap(([name, value]) =>
    value === undefined ? [] : [[name, bytesOf(String(value))] as const],
  );
  return Object.fromEntries(known);
}
