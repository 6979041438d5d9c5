// What the engine asks of the world: the time, what is remembered between requests, and where an address is.

/** One entry of a persistent collection. */
export interface Stored {
  readonly value: string;
  /** Wall clock in milliseconds; the entry is gone from then on. */
  readonly expires: number;
}

/** A persistent collection of one key, such as what is known of one address. */
export type StoredEntries = Map<string, Stored>;

/** Persistent collections: IP, SESSION, USER, GLOBAL, RESOURCE. */
export interface Collections {
  /** The entries of a collection; the same map for the same key as long as it is kept. */
  open(collection: string, key: string): StoredEntries;
}

/** Places as `@geoLookup` knows them: COUNTRY_CODE, COUNTRY_NAME, … */
export type Geo = Readonly<Record<string, string>>;

export interface Host {
  /** Wall clock in milliseconds. */
  now(): number;
  readonly collections: Collections;
  /** Where an address is; null when that is not known. */
  geo(address: string): Geo | null;
  /** Whether a name is on a list in the DNS, as far as that is known by now. */
  listed(name: string): boolean;
}

/** Persistent collections in the memory of one worker: the keys used last are kept. */
export class MemoryCollections implements Collections {
  readonly #entries = new Map<string, StoredEntries>();
  readonly #keysMax: number;

  /** @param keysMax an entry is some 200 bytes, so that 50,000 keys with a few of them stay below 50 MB */
  constructor(keysMax = 50_000) {
    this.#keysMax = keysMax;
  }

  open(collection: string, key: string): StoredEntries {
    const name = `${collection} ${key}`;
    const known = this.#entries.get(name);
    if (known !== undefined) {
      this.#entries.delete(name);
      this.#entries.set(name, known);
      return known;
    }
    if (this.#entries.size >= this.#keysMax) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    const made: StoredEntries = new Map();
    this.#entries.set(name, made);
    return made;
  }
}
