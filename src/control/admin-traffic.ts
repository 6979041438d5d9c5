// The endpoints that switch maintenance, and the weights of split routes. A change is answered when all workers act on
// it, and it is kept where the configuration names a place for that.
import { z } from "zod";
import type { Config, RouteConfig } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import { parseDuration } from "../core/units.ts";
import { settled } from "./admin-access.ts";
import { json, problem, readBody } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";
import { splitNames } from "./split-checks.ts";

export const TRAFFIC_ENDPOINTS: readonly Endpoint[] = [
  { method: "GET", path: "/api/maintenance", handle: showMaintenance },
  { method: "PUT", path: "/api/maintenance", handle: setMaintenance },
  { method: "DELETE", path: "/api/maintenance", handle: clearMaintenance },
  { method: "GET", path: "/api/routes/:name/split", handle: showSplit },
  { method: "PATCH", path: "/api/routes/:name/split", handle: changeSplit },
  { method: "DELETE", path: "/api/routes/:name/split", handle: clearSplit },
];

/** What of a route can be switched at run time, as the configuration has it. */
interface RouteTraffic {
  readonly name: string;
  /** Name of the API that it is a part of; else its own. */
  readonly api: string;
  /** The same for what is switched of a split: one that is an operation's alone is no part of the API's. */
  readonly splitApi: string;
  /** Whether there is maintenance. */
  readonly maintenance: boolean;
  /** By upstream; null where the route has no weighted list. */
  readonly weights: Readonly<Record<string, number>> | null;
}

function trafficOf({ backend }: AdminCall): RouteTraffic[] {
  const { routes, defaults } = backend.config() as Config;
  const all = routes.map((route, at): RouteTraffic => {
    const maintenance = route.maintenance ?? defaults.maintenance;
    const name = route.name ?? `route-${at + 1}`;
    return {
      name,
      api: route.source?.api ?? name,
      splitApi: splitNames(route, name).api,
      maintenance: typeof maintenance === "object" && maintenance.enabled,
      weights: weightsOf(route),
    };
  });
  return [...all.filter(({ name, api }) => name !== api), ...wholeOnes(all)];
}

/** Other routes, and APIs as a whole: what is switched of one is switched of all of its routes. */
function wholeOnes(all: readonly RouteTraffic[]): RouteTraffic[] {
  const found = new Map<string, RouteTraffic>();
  for (const { api, splitApi, maintenance, weights } of all) {
    const known = found.get(api);
    found.set(api, {
      name: api,
      api,
      splitApi: api,
      maintenance: (known?.maintenance ?? true) && maintenance,
      weights: known?.weights ?? (splitApi === api ? weights : null),
    });
  }
  return [...found.values()];
}

function weightsOf({ to }: RouteConfig): Record<string, number> | null {
  if (!Array.isArray(to) || typeof to[0] === "string") return null;
  return Object.fromEntries(to.flatMap((each) => (typeof each === "string" ? [] : [[each.upstream, each.weight]])));
}

const REASON_CHARS_MAX = 200;
const NAME_CHARS_MAX = 1000;

const maintenanceBody = z.strictObject({
  enabled: z.boolean(),
  route: z.string().min(1).max(NAME_CHARS_MAX).optional(),
  /** How long, such as `30m`; until it is taken back without it. */
  for: z
    .string()
    .refine((text) => parseDuration(text) !== null, "write it like 10m, 1h or 30d")
    .optional(),
  reason: z.string().max(REASON_CHARS_MAX).default(""),
});

const splitBody = z.strictObject({ weights: z.record(z.string(), z.int().min(0).max(10_000)) });

const noRoute = (): Response => problem(404, "There is no route with that name.");

function showMaintenance(call: AdminCall): Response {
  const now = wallClock();
  const { maintenance } = call.backend.commons.switches.switches;
  const routes = trafficOf(call).map(({ name, api, maintenance: configured }) => {
    const said = [maintenance.get(name), maintenance.get(api), maintenance.get("")].find(
      (each) => each !== undefined && (each.untilMs === null || each.untilMs > now),
    );
    if (said === undefined) return { route: name, enabled: configured, by: "configuration" };
    const until = said.untilMs === null ? {} : { until: new Date(said.untilMs).toISOString() };
    return { route: name, enabled: said.enabled, by: "admin", reason: said.reason, ...until };
  });
  return json({ enabled: routes.filter(({ enabled }) => enabled).length, routes });
}

async function setMaintenance(call: AdminCall): Promise<Response> {
  const { request, backend, log } = call;
  const body = await readBody(request, maintenanceBody, 422, "The body does not say what is to be switched.");
  if (body instanceof Response) return body;
  const { enabled, route = "", for: time, reason } = body.value;
  if (route !== "" && !hasRoute(call, route)) return noRoute();
  const untilMs = time === undefined ? null : wallClock() + parseDuration(time)!;
  backend.commons.switches.setMaintenance(route, { enabled, untilMs, reason });
  log.info("admin: maintenance switched", { enabled, route: route === "" ? "all" : route, for: time ?? "", reason });
  await settled(backend);
  return showMaintenance(call);
}

async function clearMaintenance(call: AdminCall): Promise<Response> {
  const { request, backend, log } = call;
  const route = new URL(request.url, "http://localhost").searchParams.get("route") ?? "";
  if (route !== "" && !hasRoute(call, route)) return noRoute();
  backend.commons.switches.setMaintenance(route, null);
  log.info("admin: maintenance is as the configuration says", { route: route === "" ? "all" : route });
  await settled(backend);
  return showMaintenance(call);
}

const hasRoute = (call: AdminCall, name: string): boolean => trafficOf(call).some((each) => each.name === name);

function showSplit(call: AdminCall): Response {
  const [name = ""] = call.params;
  const route = trafficOf(call).find((each) => each.name === name);
  if (route === undefined) return noRoute();
  if (route.weights === null) return problem(409, "The route has no weighted list of upstreams.");
  const { splits } = call.backend.commons.switches.switches;
  const changed = splits.get(name) ?? splits.get(route.splitApi);
  return json({
    route: name,
    weights: { ...route.weights, ...changed },
    configured: route.weights,
    changed: changed !== undefined,
  });
}

async function changeSplit(call: AdminCall): Promise<Response> {
  const { request, backend, log } = call;
  const [name = ""] = call.params;
  const body = await readBody(request, splitBody, 422, "The body does not hold weights.");
  if (body instanceof Response) return body;
  const route = trafficOf(call).find((each) => each.name === name);
  if (route === undefined) return noRoute();
  const { weights: configured } = route;
  if (configured === null) return problem(409, "The route has no weighted list of upstreams.");
  const { weights } = body.value;
  const unknown = Object.keys(weights).find((each) => !Object.hasOwn(configured, each));
  if (unknown !== undefined)
    return problem(422, `The route has no upstream ${unknown}; it has ${Object.keys(configured).join(", ")}.`);
  const { switches } = backend.commons;
  const { splits } = switches.switches;
  const next = { ...configured, ...(splits.get(name) ?? splits.get(route.splitApi)), ...weights };
  if (Object.values(next).every((weight) => weight === 0))
    return problem(422, "All weights would be 0, so no upstream would get a request.");
  switches.setSplit(name, next);
  log.info("admin: weights of a split changed", { route: name, weights: JSON.stringify(next) });
  await settled(backend);
  return showSplit(call);
}

async function clearSplit(call: AdminCall): Promise<Response> {
  const { backend, log } = call;
  const [name = ""] = call.params;
  if (!hasRoute(call, name)) return noRoute();
  backend.commons.switches.setSplit(name, null);
  log.info("admin: weights of a split are those of the configuration", { route: name });
  await settled(backend);
  return showSplit(call);
}
