// The endpoints of the admin API: which path and method does what.
import { z } from "zod";
import { ACCESS_ENDPOINTS } from "./admin-access.ts";
import { json, problem, readBody, text } from "./admin-answers.ts";
import { CACHE_ENDPOINTS } from "./admin-cache.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";
import { CONSUMER_ENDPOINTS } from "./admin-consumers.ts";
import { LIMIT_ENDPOINTS } from "./admin-limits.ts";
import { statusPage } from "./admin-page.ts";
import { redact } from "./admin-redact.ts";
import { SERVER_ENDPOINTS } from "./admin-servers.ts";
import { TAGGING_ENDPOINTS } from "./admin-tagging.ts";
import { TRAFFIC_ENDPOINTS } from "./admin-traffic.ts";
import { USAGE_ENDPOINTS } from "./admin-usage.ts";
import { WAF_ENDPOINTS } from "./admin-waf.ts";

const explainBody = z.strictObject({
  method: z.string().min(1).default("GET"),
  url: z.string().min(1),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).default({}),
  ip: z.string().optional(),
  consumer: z.string().optional(),
  plan: z.string().optional(),
  groups: z.array(z.string()).optional(),
});

export const ENDPOINTS: readonly Endpoint[] = [
  {
    method: "GET",
    path: "/",
    handle: async ({ backend }) => {
      const events = await backend.commons.tagging.state();
      return text(
        statusPage(backend.status(), backend.ready(), backend.upstreams(), events),
        "text/html; charset=utf-8",
      );
    },
  },
  { method: "GET", path: "/healthz", open: true, handle: () => text("ok\n", "text/plain; charset=utf-8") },
  { method: "GET", path: "/readyz", open: true, handle: readyz },
  { method: "GET", path: "/metrics", handle: metrics },
  {
    method: "GET",
    path: "/api/status",
    handle: ({ backend }) => json({ ...backend.status(), ready: backend.ready() }),
  },
  { method: "GET", path: "/api/config", handle: ({ backend }) => json(redact(backend.config())) },
  { method: "GET", path: "/api/routes", handle: ({ backend }) => json(redact(backend.routes())) },
  { method: "GET", path: "/api/certificates", handle: ({ backend }) => json(backend.certificates()) },
  ...SERVER_ENDPOINTS,
  ...CACHE_ENDPOINTS,
  ...ACCESS_ENDPOINTS,
  ...WAF_ENDPOINTS,
  ...LIMIT_ENDPOINTS,
  ...CONSUMER_ENDPOINTS,
  ...USAGE_ENDPOINTS,
  ...TRAFFIC_ENDPOINTS,
  ...TAGGING_ENDPOINTS,
  { method: "POST", path: "/api/config/reload", handle: reload },
  { method: "POST", path: "/api/explain", handle: explain },
  { method: "POST", path: "/api/drain", handle: drain },
  { method: "POST", path: "/api/workers/:id/restart", handle: restartWorker },
];

function readyz({ backend, trusted }: AdminCall): Response {
  const { ready, reasons } = backend.ready();
  return json(trusted ? { ready, reasons } : { ready }, ready ? 200 : 503);
}

async function metrics({ backend }: AdminCall): Promise<Response> {
  const { text: body, contentType } = await backend.metrics();
  return text(body, contentType);
}

async function reload({ backend, log }: AdminCall): Promise<Response> {
  const { ok, diagnostics } = await backend.reload();
  if (ok) {
    log.info("admin: configuration reloaded", { warnings: diagnostics.length });
    return json({ ok, diagnostics });
  }
  log.warn("admin: reload refused; nothing was changed", { problems: diagnostics.length });
  return problem(422, "The configuration is not valid; nothing was changed.", { diagnostics });
}

async function explain({ request, backend }: AdminCall): Promise<Response> {
  const query = await readBody(request, explainBody, 400, "The body is not a query.");
  if (query instanceof Response) return query;
  const { method, url, ip = null, headers, consumer, plan, groups } = query.value;
  const pairs = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, value] as const),
  );
  try {
    return json(backend.explain({ method, url, ip, headers: pairs, consumer, plan, groups }));
  } catch (error) {
    if (error instanceof RangeError) return problem(400, error.message);
    throw error;
  }
}

function drain({ backend, log }: AdminCall): Response {
  log.info("admin: drain begins");
  backend.drain();
  return json({ draining: true }, 202);
}

function restartWorker({ backend, log, params: [id = ""] }: AdminCall): Response {
  if (!/^\d{1,9}$/.test(id) || !backend.restartWorker(Number(id)))
    return problem(404, "There is no worker with that id.");
  log.info("admin: worker restarts", { worker: Number(id) });
  return json({ restarting: Number(id) }, 202);
}
