// The `cache` policy: what a route stores of its servers' answers.
import { z } from "zod";
import { CACHE_DEFAULTS } from "./defaults.ts";
import { duration, share, size } from "./schema-values.ts";

const names = z.array(z.string().min(1));

const querySchema = z.strictObject({
  ignore: names
    .default([])
    .describe(
      "Names of parameters that do not count, and do not reach the server; `utm_*` stands for all that begin so.",
    ),
  allow: names.optional().describe("Names of parameters that alone count and reach the server."),
  sort: z.boolean().default(false).describe("The order of parameters with different names means nothing."),
});

const keySchema = z.strictObject({
  query: querySchema.optional().describe("What of the query counts; all of it as it is, without this."),
  headers: names.default([]).describe("Request fields whose values count."),
  cookies: names.default([]).describe("Cookies whose values count."),
  device: z.boolean().default(false).describe("Whether it is a phone, tablet, desktop or bot counts."),
});

/** Eight segments that take the largest record each (cache/disk-tier.ts). */
const DISK_BYTES_MIN = 16_777_216;

const diskSchema = z.strictObject({
  path: z.string().min(1).describe("A folder of its own, for one process at a time. It is made when it is missing."),
  size: size
    .refine((bytes) => bytes >= DISK_BYTES_MIN, "the least is 16MB")
    .describe("What the files in it may take together; at least 16MB."),
});

export const cacheSchema = z.strictObject({
  memory: size
    .default(CACHE_DEFAULTS.memory)
    .describe(
      "Memory for stored answers, over all workers. Routes share one store, as large as the largest `memory` among them.",
    ),
  disk: diskSchema
    .optional()
    .describe(
      "A folder in which answers are stored as well: for more of them, for long ones, and beyond a restart. Routes share one, so all that name one name the same.",
    ),
  maxSize: size.default(CACHE_DEFAULTS.maxSize).describe("Longer content is passed on, and not stored."),
  ttl: duration.optional().describe("How long answers are fresh that do not say so themselves; not stored without it."),
  statusTtl: z
    .record(z.string().regex(/^[2-5]\d\d$/, "a status has three digits, such as 404"), duration)
    .default({})
    .describe("The same for single statuses: `404: 10s`."),
  staleWhileRevalidate: duration
    .optional()
    .describe("How long after that they are still given out while they are fetched anew, where they do not say so."),
  staleIfError: duration
    .optional()
    .describe("How long after that they are given out when the servers fail, where they do not say so."),
  override: z
    .boolean()
    .default(CACHE_DEFAULTS.override)
    .describe("`ttl`, `statusTtl`, `staleWhileRevalidate` and `staleIfError` count whatever answers say of it."),
  heuristic: share()
    .default(CACHE_DEFAULTS.heuristic)
    .describe("Answers that say nothing are fresh for this share of their age since Last-Modified, at most for a day."),
  key: keySchema.prefault({}).describe("What tells one answer from another, beside scheme, host, path and query."),
  tags: z
    .string()
    .optional()
    .describe("Name of the answers' field with tags that purges may name, such as `surrogate-key` or `cache-tag`."),
  setCookie: z
    .enum(["refuse", "strip", "store"])
    .default(CACHE_DEFAULTS.setCookie)
    .describe("What becomes of answers with Set-Cookie: not stored, stored without it, or stored as they are."),
  cookieRequests: z
    .boolean()
    .default(CACHE_DEFAULTS.cookieRequests)
    .describe("Stores answers to requests with cookies by `ttl` too; without it only where the server says so."),
  requestDirectives: z
    .boolean()
    .default(CACHE_DEFAULTS.requestDirectives)
    .describe("Does what Cache-Control in requests asks for, such as `no-cache`."),
});
