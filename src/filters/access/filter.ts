// `access`: who may ask, from where, how and when. It comes before everything else: whoever may not costs nothing.
import { within } from "../../config/compile-error.ts";
import type { AccessConfig } from "../../config/schema-access.ts";
import { fault } from "../../core/faults.ts";
import { isFieldName } from "../../http/header-block.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { FilterDefinition } from "../definition.ts";
import { AddressRules } from "./address-rules.ts";
import { placeRules } from "./places.ts";
import { Times } from "./times.ts";

export const access: FilterDefinition = {
  key: "access",
  compile(policies, { shared }) {
    const config = policies.access;
    if (config === undefined) return [];
    const addresses = hasAddresses(config) ? new AddressRules(config, shared) : null;
    const places = placeRules(config, shared);
    const { methods, times } = config;
    const hours = times === undefined ? null : within("times", () => new Times(times));
    const methodNames = methods === undefined ? null : within("methods", () => methodsOf(methods));
    if (addresses === null && places.length === 0 && hours === null && methodNames === null)
      throw new RangeError("it says nothing: give it `allow`, `deny`, `countries`, `networks`, `methods` or `times`");
    const filter: Filter = {
      name: "access",
      request(x) {
        if (addresses !== null && !addresses.allows(x.ip)) return fault("access.denied", "address");
        for (let i = 0; i < places.length; i += 1)
          if (!places[i]!.allows(x.ip)) return fault("access.denied", "country or network");
        if (hours !== null && !hours.isOpen(shared.wallNow())) return fault("access.denied", "time");
        if (methodNames === null || methodNames.has(x.request.method)) return undefined;
        // Preflights are answered by `cors`.
        if (x.request.method === "OPTIONS" && isPreflight(x) && policies.cors !== undefined) return undefined;
        (x.errorFields ??= []).push(["allow", [...methodNames].join(", ")]);
        return fault("access.method", x.request.method);
      },
    };
    return [Object.freeze(filter)];
  },
};

const hasAddresses = ({ allow, deny, allowFiles, denyFiles }: AccessConfig): boolean =>
  [allow, deny, allowFiles, denyFiles].some((list) => list !== undefined);

const isPreflight = (x: Exchange): boolean =>
  x.request.header("origin") !== null && x.request.header("access-control-request-method") !== null;

function methodsOf(methods: readonly string[]): ReadonlySet<string> {
  for (const [at, method] of methods.entries())
    within(at, () => {
      if (!isFieldName(method)) throw new RangeError(`"${method}" is not a method`);
    });
  // Whoever may look may also ask for the head alone.
  return new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])));
}
