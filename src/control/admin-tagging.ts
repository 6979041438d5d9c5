// The endpoints of the admin API about events of pages: how they fare, where one of them has gone, and dead letters.
import { z } from "zod";
import { json, problem, readBody } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";

export const TAGGING_ENDPOINTS: readonly Endpoint[] = [
  { method: "GET", path: "/api/tagging", handle: state },
  { method: "GET", path: "/api/tagging/trace", handle: trace },
  { method: "POST", path: "/api/tagging/replay", handle: replay },
];

const replayBody = z.strictObject({ route: z.string().min(1), destination: z.string().min(1) });

async function state({ backend }: AdminCall): Promise<Response> {
  const { tagging } = backend.commons;
  return json({ routes: await tagging.state(), vendors: tagging.vendors });
}

async function trace({ request, backend }: AdminCall): Promise<Response> {
  const id = new URL(request.url, "http://localhost").searchParams.get("id") ?? "";
  if (id === "") return problem(400, `"id" is missing: which event is asked for.`);
  const ways = await backend.commons.tagging.trace(id);
  if (ways.length === 0) return problem(404, "Nothing is known of that event: only the last ones are, of each route.");
  return json({
    ways: ways.map(({ route, steps, event }) => ({
      route,
      steps: steps.map(({ at, ...step }) => ({ at: new Date(at).toISOString(), ...step })),
      event: event === "" ? null : (JSON.parse(event) as unknown),
    })),
  });
}

async function replay({ request, backend, log }: AdminCall): Promise<Response> {
  const body = await readBody(request, replayBody, 422, "The body does not say what is to be sent once more.");
  if (body instanceof Response) return body;
  const { route, destination } = body.value;
  try {
    const result = await backend.commons.tagging.replay(route, destination);
    log.info("admin: dead letters sent once more", { route, destination, ...result });
    return json(result);
  } catch (error) {
    if (error instanceof RangeError) return problem(404, error.message);
    throw error;
  }
}
