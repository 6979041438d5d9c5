// The endpoints that show upstreams, and change their servers while the proxy runs. A change is answered when all
// workers act on it: a server that has nothing in flight then stays without.
import { z } from "zod";
import { parseServer } from "../config/address.ts";
import { checkServerText } from "../config/validate-routes.ts";
import { json, problem, readBody } from "./admin-answers.ts";
import type { AdminBackend } from "./admin-backend.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";
import { redact } from "./admin-redact.ts";
import { serverId } from "./fleet.ts";
import { SERVER_MODES, type ServerChange } from "./server-changes.ts";
import type { ServerStatus, UpstreamStatus } from "./upstream-report.ts";

export const SERVER_ENDPOINTS: readonly Endpoint[] = [
  {
    method: "GET",
    path: "/api/upstreams",
    handle: ({ backend }) => json(redact(backend.upstreams().map(shownUpstream))),
  },
  { method: "GET", path: "/api/upstreams/:name", handle: showUpstream },
  { method: "POST", path: "/api/upstreams/:name/servers", handle: addServer },
  { method: "GET", path: "/api/upstreams/:name/servers/:id", handle: showServer },
  { method: "PATCH", path: "/api/upstreams/:name/servers/:id", handle: changeServer },
  { method: "DELETE", path: "/api/upstreams/:name/servers/:id", handle: removeServer },
];

/** Longer than any address that can be used. */
const URL_CHARS_MAX = 300;
const ZONE_CHARS_MAX = 100;

const weight = z.int().min(0).max(1000);
const backup = z.boolean();
const zone = z.string().max(ZONE_CHARS_MAX);

const addBody = z.strictObject({
  url: z.string().max(URL_CHARS_MAX),
  weight: weight.optional(),
  backup: backup.optional(),
  zone: zone.optional(),
});
/** As in RFC 7396, null takes a change back: the configuration's value holds again. */
const changeBody = z
  .strictObject({
    weight: weight.nullable().optional(),
    state: z.enum(SERVER_MODES).nullable().optional(),
    backup: backup.nullable().optional(),
    zone: zone.nullable().optional(),
  })
  .refine((body) => Object.values(body).some((value) => value !== undefined), "say weight, state, backup or zone");
type ChangeBody = z.output<typeof changeBody>;

// ——— what is shown

function shownUpstream({ name, queued, circuit, servers }: UpstreamStatus): Readonly<Record<string, unknown>> {
  return { name, queued, circuit, servers: servers.map(shownServer) };
}

function shownServer({ id, mode, lastCheck, ...status }: ServerStatus): Readonly<Record<string, unknown>> {
  const checked = lastCheck && {
    at: new Date(lastCheck.at).toISOString(),
    ok: lastCheck.ok,
    ms: Math.round(lastCheck.ms),
    reason: lastCheck.reason,
  };
  return { id, state: mode, ...status, lastCheck: checked };
}

const statusOf = (backend: AdminBackend, name: string): UpstreamStatus | undefined =>
  backend.upstreams().find((upstream) => upstream.name === name);
const serverOf = (backend: AdminBackend, name: string, id: string): ServerStatus | undefined =>
  statusOf(backend, name)?.servers.find((server) => server.id === id);
const noUpstream = (): Response => problem(404, "There is no upstream with that name.");
const noServer = (): Response => problem(404, "The upstream has no server with that id.");

function showUpstream({ backend, params: [name = ""] }: AdminCall): Response {
  const status = statusOf(backend, name);
  return status === undefined ? noUpstream() : json(redact(shownUpstream(status)));
}

function showServer({ backend, params: [name = "", id = ""] }: AdminCall): Response {
  if (!backend.fleet.has(name)) return noUpstream();
  const server = serverOf(backend, name, id);
  return server === undefined ? noServer() : json(redact(shownServer(server)));
}

// ——— what is changed

async function addServer(call: AdminCall): Promise<Response> {
  const { request, backend, log } = call;
  const { fleet } = backend;
  const [name = ""] = call.params;
  const body = await readBody(request, addBody, 422, "The body does not describe a server.");
  if (body instanceof Response) return body;
  if (!fleet.has(name)) return noUpstream();
  const keep = keepOf(call);
  if (keep instanceof Response) return keep;
  const { url, ...given } = body.value;
  const address = parseServer(url);
  if (address === null) {
    const [wrong] = checkServerText(url, ["url"]);
    return problem(422, [wrong?.message, wrong?.hint].filter((part) => part !== undefined).join("; "));
  }
  const id = serverId(address);
  const location = `/api/upstreams/${encodeURIComponent(name)}/servers/${encodeURIComponent(id)}`;
  if (fleet.member(name, id) !== null)
    return problem(409, `The upstream has the server ${id} already: change it with PATCH.`, {}, { location });
  const failure = attempt(call, () => {
    // One that was taken out comes back as the configuration or the DNS has it, if they still have it.
    if (fleet.changes.of(name).get(id)?.removed === true) fleet.change(name, id, orNothing(given), keep);
    if (fleet.member(name, id) === null) fleet.change(name, id, { url, ...given }, keep);
  });
  if (failure !== null) return failure;
  log.info("admin: server added", { upstream: name, server: id, ...given, persist: keep });
  await backend.heard();
  const now = serverOf(backend, name, id);
  return now === undefined ? noServer() : json(redact(shownServer(now)), 201, { location });
}

async function changeServer(call: AdminCall): Promise<Response> {
  const { request, backend, log } = call;
  const { fleet } = backend;
  const [name = "", id = ""] = call.params;
  const body = await readBody(request, changeBody, 422, "The body does not describe a change.");
  if (body instanceof Response) return body;
  const before = fleet.has(name) ? serverOf(backend, name, id) : null;
  if (before === null) return noUpstream();
  if (before === undefined) return noServer();
  const keep = keepOf(call);
  if (keep instanceof Response) return keep;
  const change = merged(fleet.changes.of(name).get(id) ?? {}, body.value);
  const failure = attempt(call, () => fleet.change(name, id, change, keep));
  if (failure !== null) return failure;
  log.info("admin: server changed", { upstream: name, server: id, ...body.value, persist: keep });
  await backend.heard();
  const now = serverOf(backend, name, id);
  if (now === undefined) return noServer();
  return json({ ...(redact(shownServer(now)) as object), ...warningAfter(call, before.usable) });
}

async function removeServer(call: AdminCall): Promise<Response> {
  const { backend, log } = call;
  const { fleet } = backend;
  const [name = "", id = ""] = call.params;
  if (!fleet.has(name)) return noUpstream();
  const before = serverOf(backend, name, id);
  const slot = fleet.member(name, id)?.slot;
  if (before === undefined || slot === undefined) return noServer();
  const keep = keepOf(call);
  if (keep instanceof Response) return keep;
  const failure = attempt(call, () => fleet.remove(name, id, keep));
  if (failure !== null) return failure;
  log.info("admin: server removed", { upstream: name, server: id, persist: keep });
  await backend.heard();
  return json({ id, removed: true, inFlight: fleet.board.inFlight(slot), ...warningAfter(call, before.usable) });
}

/** What is changed about a server after a PATCH; null for nothing any more. */
function merged(before: ServerChange, { state, ...values }: ChangeBody): ServerChange | null {
  const mode = state === undefined ? {} : { mode: state === "ready" ? null : state };
  const next = Object.entries({ ...before, ...values, ...mode }).filter(([, value]) => value !== null);
  return orNothing(Object.fromEntries(next));
}

const orNothing = (change: ServerChange): ServerChange | null => (Object.keys(change).length === 0 ? null : change);

/** Whether the change is to be kept on disk (`?persist=true`), or the answer that says why it cannot. */
function keepOf({ request, backend }: AdminCall): boolean | Response {
  const given = URL.parse(request.url, "http://localhost")?.searchParams.getAll("persist") ?? [];
  const value = given.length > 1 ? null : (given[0] ?? "false");
  if (value === "false") return false;
  if (value !== "true") return problem(422, "Write `persist=true` or `persist=false`.");
  if (backend.fleet.changes.keeps) return true;
  return problem(409, "Changes cannot be kept: name a file with `admin.state` in the configuration and restart.");
}

/** Makes a change. The answer when it could not be made, and then nothing is changed. */
function attempt({ log }: AdminCall, change: () => void): Response | null {
  try {
    change();
    return null;
  } catch (error) {
    if (error instanceof RangeError) return problem(409, error.message);
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    log.error("admin: a change could not be kept", { error: message });
    return problem(500, "The change could not be written to the file of `admin.state`; nothing was changed.");
  }
}

/** What to say when the change took the last server that could be used. */
function warningAfter({ backend, params: [name = ""] }: AdminCall, wasUsable: boolean): { warning?: string } {
  if (!wasUsable || statusOf(backend, name)?.servers.some(({ usable }) => usable) === true) return {};
  const failover = backend.fleet.configOf(name)?.failover;
  const then = failover === undefined ? "requests are answered 503" : `requests go to the upstream ${failover}`;
  return { warning: `No server of this upstream can be used now: its ${then}.` };
}
