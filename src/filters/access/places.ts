// Who may by where his address is: countries and autonomous systems.
import { within } from "../../config/compile-error.ts";
import type { AccessConfig } from "../../config/schema-access.ts";
import { type PlaceRecord, Places } from "../../pipeline/places.ts";
import type { Live, Shared } from "../../pipeline/shared.ts";

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
