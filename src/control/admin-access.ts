// The endpoints that show who is banned and which addresses are denied at run time, and change that. A change is
// answered when all workers act on it, and it is kept where the configuration names a place for that.
import { z } from "zod";
import { parseDuration } from "../core/units.ts";
import { json, problem, readBody } from "./admin-answers.ts";
import type { AdminBackend } from "./admin-backend.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";

export const ACCESS_ENDPOINTS: readonly Endpoint[] = [
  {
    method: "GET",
    path: "/api/access/deny",
    handle: ({ backend }) => json({ denied: backend.commons.denials.list() }),
  },
  { method: "POST", path: "/api/access/deny", handle: deny },
  { method: "DELETE", path: "/api/access/deny/:address", handle: forgive },
  { method: "GET", path: "/api/bans", handle: bans },
  { method: "DELETE", path: "/api/bans/:id", handle: lift },
];

const BANS_DEFAULT = 100;
const BANS_MAX = 1000;
/** How long a state that does not answer may hold up an answer. */
const KEPT_MS = 2000;

/** Longer than any network in IPv6. */
const ADDRESS_CHARS_MAX = 64;
const REASON_CHARS_MAX = 200;

const denyBody = z.strictObject({
  address: z.string().max(ADDRESS_CHARS_MAX),
  /** How long, such as `1h`; for good without it. */
  ttl: z
    .string()
    .refine((text) => parseDuration(text) !== null, "write it like 10m, 1h or 30d")
    .optional(),
  reason: z.string().max(REASON_CHARS_MAX).default("admin"),
});

async function deny({ request, backend, log }: AdminCall): Promise<Response> {
  const body = await readBody(request, denyBody, 422, "The body does not say who is to be denied.");
  if (body instanceof Response) return body;
  const { address, ttl, reason } = body.value;
  const ms = ttl === undefined ? Number.POSITIVE_INFINITY : parseDuration(ttl)!;
  const { denials } = backend.commons;
  const denied = denials.deny(address, ms, reason);
  if (denied === null && denials.full) return problem(409, "Too many addresses are denied already.");
  if (denied === null) return problem(422, "The address is neither an address nor a network.");
  denials.flush();
  log.info("admin: address denied", { address: denied, ttl: ttl ?? "for good", reason });
  await settled(backend);
  const location = `/api/access/deny/${encodeURIComponent(denied)}`;
  return json(denials.list().find((each) => each.address === denied) ?? {}, 201, { location });
}

async function forgive({ backend, log, params: [address = ""] }: AdminCall): Promise<Response> {
  if (!backend.commons.forgive(address)) return problem(404, "That address or network is not denied.");
  backend.commons.denials.flush();
  log.info("admin: address denied no more", { address });
  await settled(backend);
  return json({ address, denied: false });
}

function bans({ request, backend }: AdminCall): Response {
  const text = new URL(request.url, "http://localhost").searchParams.get("last") ?? String(BANS_DEFAULT);
  const most = /^\d{1,6}$/.test(text) ? Math.min(Number(text), BANS_MAX) : 0;
  if (most === 0) return problem(400, `"last" is a number from 1 to ${BANS_MAX}.`);
  return json(backend.commons.bans.list(most));
}

async function lift({ backend, log, params: [id = ""] }: AdminCall): Promise<Response> {
  if (!backend.commons.lift(id)) return problem(404, "There is no ban with that id.");
  backend.commons.denials.flush();
  log.info("admin: ban lifted", { id });
  await settled(backend);
  return json({ id, lifted: true });
}

/** Resolves when all workers act on it and it outlives this process; or after a while, when one of these cannot be. */
export async function settled(backend: AdminBackend): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, KEPT_MS);
  await Promise.all([backend.heard(), Promise.race([backend.commons.kept(), promise])]);
  clearTimeout(timer);
}
