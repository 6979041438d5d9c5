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
import { deprecation } from "./deprecation/filter.ts";
import { grpc } from "./grpc/filter.ts";
import { grpcWeb } from "./grpc-web/filter.ts";
import { idempotency } from "./idempotency/filter.ts";
import { inject } from "./inject/filter.ts";
import { isAlwaysClosing, MAINTENANCE, maintenance } from "./maintenance/filter.ts";
import { plugins } from "./plugins/filter.ts";
import { priority, priorityIdentified } from "./priority/filter.ts";
import { rateLimit, rateLimitIdentified } from "./rate-limit/filter.ts";
import { quota } from "./rate-limit/plan-filter.ts";
import { redirect } from "./redirect/filter.ts";
import { requestHeaders } from "./request-headers/filter.ts";
import { requestLimits } from "./request-limits/filter.ts";
import { responseHeaders } from "./response-headers/filter.ts";
import { rewrite } from "./rewrite/filter.ts";
import { securityHeaders } from "./security-headers/filter.ts";
import { transform } from "./transform/filter.ts";
import { validate } from "./validate/filter.ts";
import { waf } from "./waf/filter.ts";

/**
 * A policy whose libraries are large: they are loaded for the first route that has it. They would take a third of the
 * time in which a thread starts.
 */
const onDemand = (key: FilterDefinition["key"], load: () => FilterDefinition): FilterDefinition => ({
  key,
  compile: (policies, context) => (policies[key] === undefined ? [] : load().compile(policies, context)),
});

const graphql = onDemand("graphql", () => {
  const { graphql: loaded }: typeof import("./graphql/filter.ts") = require("./graphql/filter.ts");
  return loaded;
});
const transcode = onDemand("transcode", () => {
  const { transcode: loaded }: typeof import("./transcode/filter.ts") = require("./transcode/filter.ts");
  return loaded;
});

const FILTERS: readonly FilterDefinition[] = [
  compressAsked,
  corsFields,
  access,
  maintenance,
  bans,
  priority,
  bots,
  deprecation,
  requestLimits,
  rateLimit,
  auth,
  priorityIdentified,
  rateLimitIdentified,
  quota,
  waf,
  cors,
  challenge,
  validate,
  graphql,
  idempotency,
  redirect,
  rewrite,
  transform,
  grpcWeb,
  transcode,
  grpc,
  requestHeaders,
  cookies,
  securityHeaders,
  responseHeaders,
  plugins,
  inject,
  compress,
];

export interface RouteFilters {
  readonly request: readonly Filter[];
  /** The same while anything is switched to maintenance at run time. */
  readonly closed: readonly Filter[];
  readonly response: readonly Filter[];
  readonly finish: readonly Filter[];
}

/** The filters of one route by phase. Throws CompileError whose path begins with the policy's key. */
export function compileFilters(policies: Policies, context: FilterContext): RouteFilters {
  const filters = FILTERS.flatMap((definition) => within(definition.key, () => definition.compile(policies, context)));
  const closed = filters.filter((filter) => filter.request !== undefined);
  return {
    request: isAlwaysClosing(policies) ? closed : closed.filter(({ name }) => name !== MAINTENANCE),
    closed,
    response: filters.filter((filter) => filter.response !== undefined),
    finish: filters.filter((filter) => filter.finished !== undefined),
  };
}
