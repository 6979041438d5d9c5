// Where addresses are: countries and autonomous systems, from files in MaxMind's format.
import { type AsnResponse, type CountryResponse, Reader } from "mmdb-lib";
import { within } from "../../config/compile-error.ts";
import type { AccessConfig } from "../../config/schema-access.ts";
import type { Live, Shared } from "../../pipeline/shared.ts";

/** A record of a database, as far as anybody looks at it. */
type PlaceRecord = CountryResponse & Partial<AsnResponse>;

/** Addresses whose place is remembered: reading a record takes microseconds, and clients ask more than once. */
const REMEMBERED = 8192;

/** One database as it is in the file now. Of one that is damaged, nothing is known. */
export class Places {
  readonly #reader: Reader<PlaceRecord> | null;
  readonly #remembered = new Map<string, PlaceRecord | null>();

  constructor(memory: SharedArrayBuffer) {
    this.#reader = memory.byteLength === 0 ? null : readerOf(memory);
  }

  of(ip: string): PlaceRecord | null {
    const known = this.#remembered.get(ip);
    if (known !== undefined) return known;
    const found = this.#find(ip);
    if (this.#remembered.size >= REMEMBERED) this.#remembered.clear();
    this.#remembered.set(ip, found);
    return found;
  }

  #find(ip: string): PlaceRecord | null {
    if (this.#reader === null || ip === "") return null;
    try {
      return this.#reader.get(ip);
    } catch {
      return null; // a record that cannot be read
    }
  }
}

/** Throws RangeError for a file that is no database. */
function readerOf(memory: SharedArrayBuffer): Reader<PlaceRecord> {
  try {
    return new Reader<PlaceRecord>(Buffer.from(memory));
  } catch {
    throw new RangeError("it is not a database in MaxMind's format");
  }
}

/** Whether a client may, by where it is. Who is nowhere may not where only some places may. */
export interface PlaceRule {
  allows(ip: string): boolean;
}

export function placeRules({ countries, networks }: AccessConfig, shared: Shared): PlaceRule[] {
  const rules: PlaceRule[] = [];
  if (countries !== undefined) rules.push(within("countries", () => placeRule(countries, countryOf, shared)));
  if (networks !== undefined) rules.push(within("networks", () => placeRule(networks, systemOf, shared)));
  return rules;
}

const countryOf = (record: PlaceRecord): string | undefined =>
  record.country?.iso_code ?? record.registered_country?.iso_code;
const systemOf = (record: PlaceRecord): number | undefined => record.autonomous_system_number;

interface PlaceConfig<T> {
  readonly database: string;
  readonly allow?: readonly T[] | undefined;
  readonly deny?: readonly T[] | undefined;
}

function placeRule<T>(
  { database, allow, deny }: PlaceConfig<T>,
  placeOf: (record: PlaceRecord) => T | undefined,
  shared: Shared,
): PlaceRule {
  if (allow === undefined && deny === undefined) throw new RangeError("say which may (`allow`) or may not (`deny`)");
  const allowed = allow === undefined ? null : new Set(allow);
  const denied = new Set(deny ?? []);
  const places: Live<Places> = shared.live(`database ${database}`, (memory) => new Places(memory));
  return {
    allows(ip) {
      const record = places.current.of(ip);
      const place = record === null ? undefined : placeOf(record);
      if (place === undefined) return allowed === null;
      return !denied.has(place) && (allowed === null || allowed.has(place));
    },
  };
}
