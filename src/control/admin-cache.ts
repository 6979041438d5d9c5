// The endpoints that show what is stored, and have it forgotten.
import { z } from "zod";
import { type Purge, purgeAddress } from "../cache/purge.ts";
import { json, problem, readBody } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";

export const CACHE_ENDPOINTS: readonly Endpoint[] = [
  {
    method: "GET",
    path: "/api/cache",
    handle: ({ backend }) => json({ workers: backend.cache(), disk: backend.cacheDisk() }),
  },
  { method: "POST", path: "/api/cache/purge", handle: purge },
];

/** Longer than any key of the cache. */
const URL_CHARS_MAX = 8192;
/** Longer than the tags of those who give any. */
const TAG_CHARS_MAX = 1024;

const purgeBody = z
  .strictObject({
    url: z.string().max(URL_CHARS_MAX).optional(),
    prefix: z.string().max(URL_CHARS_MAX).optional(),
    tag: z.string().min(1).max(TAG_CHARS_MAX).optional(),
    all: z.literal(true).optional(),
    soft: z.boolean().default(false),
  })
  .refine(
    ({ url, prefix, tag, all }) => [url, prefix, tag, all].filter((each) => each !== undefined).length === 1,
    "say one of url, prefix, tag or all",
  );

async function purge({ request, backend, log }: AdminCall): Promise<Response> {
  const body = await readBody(request, purgeBody, 400, "The body does not say what is to be purged.");
  if (body instanceof Response) return body;
  const { url, prefix, tag, soft } = body.value;
  const address = url ?? prefix;
  if (address !== undefined && purgeAddress(address) === null)
    return problem(400, "The address is not one of http: or https:.");
  const wanted: Purge =
    url !== undefined
      ? { kind: "url", value: url, soft }
      : prefix !== undefined
        ? { kind: "prefix", value: prefix, soft }
        : tag !== undefined
          ? { kind: "tag", value: tag, soft }
          : { kind: "all", value: "", soft };
  const done = await backend.purge(wanted);
  log.info("admin: cache purged", { ...wanted, ...done });
  return json(done);
}
