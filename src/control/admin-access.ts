// The endpoints that show which addresses are denied at run time, and change that. A change is answered when all
// workers act on it.
import { z } from "zod";
import { parseDuration } from "../core/units.ts";
import { json, problem, readBody } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";

export const ACCESS_ENDPOINTS: readonly Endpoint[] = [
  { method: "GET", path: "/api/access/deny", handle: ({ backend }) => json({ denied: backend.denials.list() }) },
  { method: "POST", path: "/api/access/deny", handle: deny },
  { method: "DELETE", path: "/api/access/deny/:address", handle: forgive },
];

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
  const denied = backend.denials.deny(address, ms, reason);
  if (denied === null && backend.denials.full) return problem(409, "Too many addresses are denied already.");
  if (denied === null) return problem(422, "The address is neither an address nor a network.");
  backend.denials.flush();
  log.info("admin: address denied", { address: denied, ttl: ttl ?? "for good", reason });
  await backend.heard();
  const location = `/api/access/deny/${encodeURIComponent(denied)}`;
  return json(backend.denials.list().find((each) => each.address === denied) ?? {}, 201, { location });
}

async function forgive({ backend, log, params: [address = ""] }: AdminCall): Promise<Response> {
  if (!backend.denials.forgive(address)) return problem(404, "That address or network is not denied.");
  backend.denials.flush();
  log.info("admin: address denied no more", { address });
  await backend.heard();
  return json({ address, denied: false });
}
