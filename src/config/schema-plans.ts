// `plans`: what consumers may do by the plan that they have, and `quota`: which routes hold them to it.
import { z } from "zod";
import { parseQuota } from "../core/plan-limits.ts";
import { oneOrMany, requestRate } from "./schema-values.ts";

/** A quota as users write it (`100000/d`), as a count and a period of the calendar once parsed. */
const quotaText = z
  .string()
  .transform((text, issue) => {
    const quota = parseQuota(text);
    if (quota !== null) return quota;
    issue.addIssue({
      code: "custom",
      message: `"${text}" is not a quota: write it like 1000/minute, 5000/h, 100000/d or 1000000/month, up to 2000000000`,
    });
    return z.NEVER;
  })
  .meta({ title: "quota", pattern: "^[1-9]\\d{0,9}/(minute|h|hour|d|day|month)$" });

const quotas = oneOrMany(quotaText).transform((value) => [value].flat());

/** Names that stand in the configuration, in fields of answers and in the log. */
export const planName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "a plan's name has up to 64 letters, digits, -, _ and ., no space");

/** What somebody may do: the limits of a plan, and those of one consumer in their place. */
const limitKeys = {
  rate: requestRate.optional().describe("Requests in the long run, spread evenly: `100/s`; 429 beyond it."),
  burst: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe("Requests that may come at once; a tenth of what `rate` counts when absent."),
  quota: quotas
    .optional()
    .describe(
      "Requests, by their cost, in a minute, hour, day or month of the calendar (UTC): `100000/d`; a list for several.",
    ),
  tokens: quotas.optional().describe("Tokens of language models in the same periods; a list for several."),
  concurrent: z.int().min(1).max(1_000_000).optional().describe("Requests under way at a time."),
};

/** Of one consumer, in place of those of his plan. */
export const planLimitsSchema = z.strictObject(limitKeys);

const SOFT = ["rate", "quota", "tokens", "concurrent"] as const;

const planSchema = z.strictObject({
  ...limitKeys,
  soft: z
    .union([z.boolean(), z.array(z.enum(SOFT)).min(1)])
    .default(false)
    .describe(
      "What goes beyond is let through and marked, not refused: `true` for quotas of requests and tokens, or a list of `rate`, `quota`, `tokens`, `concurrent`.",
    ),
  priority: z
    .enum(["high", "normal", "low"])
    .optional()
    .describe("How important its requests are on routes with a `priority` that says nothing else of the plan."),
});

export const plansSchema = z.record(planName, planSchema);
export type PlanConfig = z.output<typeof planSchema>;

const costHeader = /^header:[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/;

export const quotaSchema = z.strictObject({
  per: oneOrMany(z.string())
    .default("consumer")
    .describe(
      "What is counted by: `consumer` (who is none counts as user), `user`, `apiKey`, `ip`, `header:NAME`, `cookie:NAME`; a list for all at once.",
    ),
  plans: z
    .record(planName, z.union([oneOrMany(quotaText), planSchema]))
    .optional()
    .describe(
      "Plans of this policy alone, counted by themselves, in place of those of the same name in `plans`: a quota, a list of them, or all that a plan may have.",
    ),
  default: planName
    .optional()
    .describe("Plan of those who have none, or one that is not there; without it they are refused with 403."),
  cost: z
    .union([
      z.int().min(0).max(100_000),
      z.literal("graphql"),
      z.string().regex(costHeader, "write a number, graphql, or header:NAME for a field of the server's answer"),
    ])
    .default(1)
    .describe(
      "What a request of this route takes from quotas: a number; `header:x-cost` for what the server says in that field of its answer, or `graphql` for what that policy reckons, which are charged at the end.",
    ),
  free: z
    .array(z.enum(["3xx", "4xx", "5xx"]))
    .default([])
    .describe("Answers that cost nothing: what was taken is given back at their end."),
  clients: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe("Consumers that are counted at a time; of more, those with the fewest requests are forgotten."),
  onStoreError: z
    .enum(["local", "allow", "deny"])
    .default("local")
    .describe(
      "While `cluster.redis` cannot be reached: counts on each machine for itself, lets all through, or nothing.",
    ),
  headers: z.boolean().default(true).describe("Tells clients in every answer what they have left (`RateLimit`)."),
});
export type QuotaPolicy = z.output<typeof quotaSchema>;

const webhookSchema = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).describe("Where it is posted to."),
  secret: z
    .string()
    .min(16, "a secret has at least 16 characters")
    .describe("Signs what is posted (HMAC-SHA256, as Standard Webhooks has it)."),
});

export const usageSchema = z.strictObject({
  path: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The SQLite file; `usage.sqlite` in `storage` when absent. Without both it is in memory, until a restart.",
    ),
  series: z
    .int()
    .min(100)
    .max(200_000)
    .default(10_000)
    .describe(
      "Consumers × routes × kinds of status that are counted at a time, at 328 bytes for each worker; what is more is counted as one.",
    ),
  keep: z
    .strictObject({
      hours: z
        .int()
        .min(24)
        .max(24 * 400)
        .default(24 * 35)
        .describe("How many hours are kept."),
      days: z.int().min(31).max(4000).default(400).describe("How many days are kept."),
    })
    .prefault({})
    .describe("How long what was counted is kept."),
  thresholds: z
    .array(
      z
        .string()
        .regex(/^([1-9]\d{0,2})%$/, "write a share like 80%")
        .meta({ title: "share" }),
    )
    .min(1)
    .max(8)
    .default(["80%", "100%"])
    .describe("Shares of a quota at which it is told, once in each period: as event, in the log and to `webhooks`."),
  webhooks: z
    .array(webhookSchema)
    .max(16)
    .default([])
    .describe("Who is told by a POST when a consumer reaches a threshold."),
});
export type UsageConfig = z.output<typeof usageSchema>;
