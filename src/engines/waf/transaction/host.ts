// What the engine asks of the world: the time, what is remembered between requests, and where an address is.
import type { Collections } from "./collections.ts";

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
