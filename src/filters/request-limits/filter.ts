// `limits.uri` and `limits.headers`: what a route takes below the listener's own limits, and `limits.concurrent`: how
// much of it at a time. (`limits.body` and `limits.rate` are the runner's.)
import { fault } from "../../core/faults.ts";
import { InFlight } from "../../engines/rate-limit/in-flight.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { Filter } from "../../pipeline/exchange.ts";
import { HeldPlace } from "../../pipeline/shared.ts";
import type { FilterContext, FilterDefinition } from "../definition.ts";

export const requestLimits: FilterDefinition = {
  key: "limits",
  compile(policies, context) {
    const { uri, headers, concurrent } = policies.limits ?? {};
    const busy = concurrent === undefined ? [] : [concurrencyFilter(concurrent, context)];
    if (uri === undefined && headers === undefined) return busy;
    const uriMax = uri ?? Number.POSITIVE_INFINITY;
    const headersMax = headers ?? Number.POSITIVE_INFINITY;
    const filter: Filter = {
      name: "request-limits",
      request(x) {
        const { target, headers } = x.request;
        if (target.length > uriMax) return fault("request.uri_too_long", `${target.length} bytes`);
        const bytes = sectionBytes(headers);
        return bytes > headersMax ? fault("request.headers_too_large", `${bytes} bytes`) : undefined;
      },
    };
    return [Object.freeze(filter), ...busy];
  },
};

/** Of each route by itself, also where the limit is one of `defaults`. */
function concurrencyFilter(max: number, { route, shared }: FilterContext): Filter {
  const memory = shared.memory(`in-flight ${route} limits`, InFlight.bytes(1, shared.threads));
  const table = new InFlight(memory, shared.thread, 1, max);
  return Object.freeze({
    name: "concurrent",
    request(x) {
      const place = table.enter(0, 1);
      if (place === -1) {
        x.limit = "concurrent";
        return fault("limit.busy", `${max} under way`);
      }
      x.held = new HeldPlace(table, place, x.held);
      return undefined;
    },
  } satisfies Filter);
}

/** Bytes of the header section as it was received. */
const sectionBytes = (headers: HeaderBlock): number => (headers.count === 0 ? 0 : headers.end - headers.lineStart(0));
