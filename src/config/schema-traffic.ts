// How traffic is managed beside its limits: keys of repeated requests, requests that share an answer, what goes first
// under overload, and maintenance.
import { z } from "zod";
import { byteCount, millis } from "../core/units.ts";
import { duration, oneOrMany, size } from "./schema-values.ts";

const fieldName = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "a field's name has no spaces or separators");
const token = z.string().regex(/^[A-Za-z]{1,32}$/, "a method such as POST was expected");

export const idempotencySchema = z.strictObject({
  header: fieldName.default("Idempotency-Key").describe("The field with the key."),
  required: z.boolean().default(false).describe("Requests without a key get 400."),
  methods: z
    .array(token)
    .min(1)
    .default(["POST", "PATCH"])
    .describe("Requests that it is about; those of other methods pass, whatever field they have."),
  format: z
    .enum(["any", "string", "uuid"])
    .default("any")
    .describe(
      "How keys look: a structured string in quotes (`string`, as the draft has it), the same or bare (`any`), or a UUID in either form.",
    ),
  keyLength: z.int().min(1).max(1024).default(255).describe("Longest key; a longer one gets 400."),
  ttl: duration.default(millis(86_400_000)).describe("How long an answer is kept and given again."), // as most APIs do
  maxBody: size
    .default(byteCount(262_144)) // answers to changes are small; so much is copied for each
    .describe("Longest answer that is kept. After a longer one, the same key gets 409 until `ttl` is over."),
  memory: size
    .default(byteCount(67_108_864)) // some 16000 answers of 4 KB
    .describe("For kept answers, over all routes (the largest value counts): of more, the oldest are forgotten first."),
  lease: duration
    .default(millis(60_000)) // longer than most requests; it is renewed while one goes on
    .describe("How long a key stays taken after the machine that took it has died."),
  concurrent: z
    .enum(["reject", "wait"])
    .default("reject")
    .describe("A second request while the first is under way: 409, or the answer of the first once it is there."),
  waitTimeout: duration.default(millis(10_000)).describe("Longest such wait; then 409."),
  fingerprint: z
    .enum(["request", "off"])
    .default("request")
    .describe("Another method, target or body with the same key gets 422; `off` compares nothing."),
  serverErrors: z
    .boolean()
    .default(false)
    .describe("Keeps answers 500 to 599 as well; without it, such a key is free again."),
  whenClientLeaves: z
    .enum(["finish", "abort"])
    .default("finish")
    .describe("A client that has sent all of its request leaves: the answer is awaited and kept all the same, or not."),
  onStoreError: z
    .enum(["deny", "allow"])
    .default("deny")
    .describe("While the keys cannot be looked up: requests get 503, or pass without protection."),
});
export type IdempotencyConfig = z.output<typeof idempotencySchema>;

/** They say who carries a request, or how it came about, and seldom what it is for. */
const COALESCE_IGNORED = [
  "user-agent",
  "referer",
  "priority",
  "dnt",
  "save-data",
  "sec-*",
  "via",
  "forwarded",
  "x-forwarded-*",
  "x-real-ip",
  "x-request-id",
  "traceparent",
  "tracestate",
];

export const coalesceSchema = z.strictObject({
  methods: z
    .array(z.enum(["GET", "HEAD"]))
    .min(1)
    .default(["GET", "HEAD"])
    .describe("Requests that may share an answer."),
  ignore: z
    .array(z.string().regex(/^[!#$%&'+\-.^_`|~0-9A-Za-z]+\*?$/, "write a name like user-agent, or sec-*"))
    .default(COALESCE_IGNORED)
    .describe(
      "Fields that may differ between requests that share; all others have to be the same. `*` at the end for all that begin so. Where `Vary` names one of them, it counts after all.",
    ),
  credentials: z
    .enum(["never", "same"])
    .default("never")
    .describe(
      "Requests with `Authorization`, cookies or a known user: each goes by itself, or shares with those of the same.",
    ),
  maxBody: size
    .default(byteCount(1_048_576)) // it is in memory once, as long as somebody reads it
    .describe("Longest answer that is held for all who want it; a longer one goes on at the pace of the slowest."),
});
export type CoalesceConfig = z.output<typeof coalesceSchema>;

const PRIORITIES = ["high", "normal", "low"] as const;
const level = z.enum(PRIORITIES);
const levels = z.record(z.string(), level);

export const prioritySchema = z.strictObject({
  level: level.default("normal").describe("What requests of the route have for which nothing below says otherwise."),
  header: fieldName
    .optional()
    .describe("A field in which a trusted proxy names the level, or an urgency (RFC 9218: `u=0` to `u=7`)."),
  consumers: levels.optional().describe("Levels of consumers, by name."),
  plans: levels.optional().describe("Levels of those with a plan, by its name."),
  groups: levels.optional().describe("Levels of members of a group; the highest of several holds."),
});
export type PriorityConfig = z.output<typeof prioritySchema>;

export const overloadSchema = z.strictObject({
  lag: duration
    .default(millis(50)) // a worker that is well is late by less than a millisecond
    .describe("How late the event loop of a worker may run before it refuses what is least important."),
  requests: z
    .int()
    .min(1)
    .max(10_000_000)
    .optional()
    .describe("Requests under way in a worker beyond which it does so too; without it the event loop alone tells."),
  retryAfter: duration.default(millis(2000)).describe("When clients that were refused may try again."),
});
export type OverloadConfig = z.output<typeof overloadSchema>;

export const maintenanceSchema = z.strictObject({
  enabled: z.boolean().default(false).describe("Refuses requests; the admin API can say otherwise at run time."),
  status: z.int().min(400).max(599).default(503).describe("Status of the answer."),
  retryAfter: duration.optional().describe("When clients may try again (`Retry-After`)."),
  page: z.string().min(1).optional().describe("File that is the answer's body; read when the configuration is."),
  body: z.string().max(65_536).optional().describe("Text that is the answer's body, in place of a file."),
  contentType: z.string().optional().describe("Media type of the body; by its name for a file, else plain text."),
  headers: z.record(z.string(), z.string()).default({}).describe("More fields of the answer."),
  allow: z.array(z.string()).default([]).describe("Addresses and networks that get through."),
  bypass: z
    .strictObject({
      header: fieldName.optional().describe("Field with the secret."),
      cookie: fieldName.optional().describe("Cookie with the secret."),
      secret: z.string().min(16, "a secret has at least 16 characters").describe("Who sends it gets through."),
    })
    .refine(({ header, cookie }) => header !== undefined || cookie !== undefined, "say a `header` or a `cookie`")
    .optional()
    .describe("Lets testers through."),
});
export type MaintenanceConfig = z.output<typeof maintenanceSchema>;

/** What a weighted upstream may ask of who somebody is. */
export const identityMatch = {
  consumer: oneOrMany(z.string()).optional().describe("Names of consumers."),
  plan: oneOrMany(z.string()).optional().describe("Plans of those who ask."),
  group: oneOrMany(z.string()).optional().describe("Groups; one of them is enough."),
  claim: z
    .record(z.string(), z.union([z.string(), z.literal(true)]))
    .optional()
    .describe("Claims of who asks: a value, `~regex`, or `true` for any."),
};

/** By what clients of a weighted `to` are kept where they are without a cookie. */
export const splitBy = z
  .enum(["consumer", "user", "ip"])
  .optional()
  .describe(
    "Keeps who asks at one upstream by who it is: a consumer, a user (or consumer), or an address; nobody known goes by address. One whose weight grows keeps those that it has.",
  );

/** The policies of this file. */
export const trafficPolicies = {
  idempotency: z
    .union([z.literal(false), idempotencySchema])
    .optional()
    .describe("Carries out requests with the same `Idempotency-Key` once, and gives the first answer again."),
  coalesce: z
    .union([z.literal(false), coalesceSchema])
    .optional()
    .describe("Identical requests under way at a time share one answer; nothing is stored."),
  priority: z
    .union([z.literal(false), prioritySchema])
    .optional()
    .describe("How important requests are when a worker, or an upstream, has more to do than it can."),
  maintenance: z
    .union([z.literal(false), maintenanceSchema])
    .optional()
    .describe("Answers that there is maintenance; also what is answered when that is switched on at run time."),
};
