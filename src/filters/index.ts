// The one list of filters. Its order is the order of the request phase, and, for those with a response phase, of that.
import { within } from "../config/compile-error.ts";
import type { Filter } from "../pipeline/exchange.ts";
import { access } from "./access/filter.ts";
import { auth } from "./auth/filter.ts";
import { bans } from "./bans/filter.ts";
import { bots } from "./bots/filter.ts";
import { challenge } from "./challenge/filter.ts";
import { compress, compressAsked } from "./compress/filter.ts";
import { cookies } from "./cookies/filter.ts";
import { cors, corsFields } from "./cors/filter.ts";
import type { FilterContext, FilterDefinition, Policies } from "./definition.ts";
import { grpcWeb } from "./grpc-web/filter.ts";
import { plugins } from "./plugins/filter.ts";
import { rateLimit, rateLimitIdentified } from "./rate-limit/filter.ts";
import { redirect } from "./redirect/filter.ts";
import { requestHeaders } from "./request-headers/filter.ts";
import { requestLimits } from "./request-limits/filter.ts";
import { responseHeaders } from "./response-headers/filter.ts";
import { rewrite } from "./rewrite/filter.ts";
import { securityHeaders } from "./security-headers/filter.ts";
import { validate } from "./validate/filter.ts";
import { waf } from "./waf/filter.ts";

const FILTERS: readonly FilterDefinition[] = [
  compressAsked,
  corsFields,
  access,
  bans,
  bots,
  requestLimits,
  rateLimit,
  auth,
  rateLimitIdentified,
  waf,
  cors,
  challenge,
  validate,
  redirect,
  rewrite,
  grpcWeb,
  requestHeaders,
  cookies,
  securityHeaders,
  responseHeaders,
  plugins,
  compress,
];

export interface RouteFilters {
  readonly request: readonly Filter[];
  readonly response: readonly Filter[];
  readonly finish: readonly Filter[];
}

/** The filters of one route by phase. Throws CompileError whose path begins with the policy's key. */
export function compileFilters(policies: Policies, context: FilterContext): RouteFilters {
  const filters = FILTERS.flatMap((definition) => within(definition.key, () => definition.compile(policies, context)));
  return {
    request: filters.filter((filter) => filter.request !== undefined),
    response: filters.filter((filter) => filter.response !== undefined),
    finish: filters.filter((filter) => filter.finished !== undefined),
  };
}
