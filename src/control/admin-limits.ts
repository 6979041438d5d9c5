// The endpoint of the admin API about limits: which clients they refuse the most.
import { json, problem } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";

const TOP_DEFAULT = 20;
const TOP_MAX = 1000;

export const LIMIT_ENDPOINTS: readonly Endpoint[] = [{ method: "GET", path: "/api/limits", handle: limits }];

function limits({ request, backend }: AdminCall): Response {
  const text = new URL(request.url, "http://localhost").searchParams.get("top") ?? String(TOP_DEFAULT);
  const count = /^\d{1,6}$/.test(text) ? Math.min(Number(text), TOP_MAX) : 0;
  if (count === 0) return problem(400, `"top" is a number from 1 to ${TOP_MAX}.`);
  return json(backend.commons.refusedClients(count));
}
