// `rateLimit`: how often clients may ask.
import { z } from "zod";
import { oneOrMany, requestRate } from "./schema-values.ts";

const rateLimitItem = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,31}$/i, "a name has up to 32 letters, digits, - and _, and begins with a letter")
    .optional()
    .describe("For metrics, and in the fields that clients get; `default` when absent."),
  rate: requestRate.optional().describe("Requests in the long run; 429 beyond it."),
  burst: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe("Requests that may come at once; a tenth of what `rate` counts when absent."),
  quota: z
    .string()
    .regex(/^[1-9]\d{0,8}\/(?:day|month)$/, "write a quota like 10000/day or 300000/month")
    .optional()
    .describe("Requests in a day or month of the calendar (UTC), such as `10000/day`; 429 beyond it."),
  concurrent: z.int().min(1).max(1_000_000).optional().describe("Requests under way at a time; 429 beyond it."),
  key: oneOrMany(z.string())
    .default("ip")
    .describe(
      "What is counted by: `ip` (IPv6: its /64), `user`, `consumer` or `apiKey` (who `auth` says it is), `header:NAME`, `cookie:NAME`, `route`; a list for all at once.",
    ),
  cost: z.int().min(1).max(100_000).default(1).describe("How many requests one of this route counts for."),
  clients: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(100_000)
    .describe("Keys that are counted at a time, at 16 bytes each; of more, those that ask the least are forgotten."),
  scope: z
    .enum(["cluster", "machine"])
    .default("cluster")
    .describe(
      "Counts over all machines that have the same `cluster.redis`, or on each for itself. `concurrent` always is.",
    ),
  onStoreError: z
    .enum(["local", "allow", "deny"])
    .default("local")
    .describe(
      "While `cluster.redis` cannot be reached: counts on each machine for itself, lets all through, or nothing.",
    ),
  headers: z.boolean().default(true).describe("Tells clients in every answer what they have left (`RateLimit`)."),
});

export const rateLimitSchema = oneOrMany(rateLimitItem);
export type RateLimitConfig = z.output<typeof rateLimitItem>;
