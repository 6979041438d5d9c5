// `limits.uri` and `limits.headers`: what a route takes below the listener's own limits. (`limits.body` is the
// runner's.)
import { fault } from "../../core/faults.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { Filter } from "../../pipeline/exchange.ts";
import type { FilterDefinition } from "../definition.ts";

export const requestLimits: FilterDefinition = {
  key: "limits",
  compile(policies) {
    const { uri, headers } = policies.limits ?? {};
    if (uri === undefined && headers === undefined) return [];
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
    return [Object.freeze(filter)];
  },
};

/** Bytes of the header section as it was received. */
const sectionBytes = (headers: HeaderBlock): number => (headers.count === 0 ? 0 : headers.end - headers.lineStart(0));
