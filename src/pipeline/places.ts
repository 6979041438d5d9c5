// Where addresses are: databases in MaxMind's format.
import { type AsnResponse, type CityResponse, Reader } from "mmdb-lib";

/** A record of a database, as far as anybody looks at it. */
export type PlaceRecord = CityResponse & Partial<AsnResponse>;

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
