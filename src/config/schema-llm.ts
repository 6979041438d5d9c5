// `llm`: routes to providers of language models.
import { z } from "zod";
import { parseQuota } from "../core/plan-limits.ts";
import { byteCount, millis } from "../core/units.ts";
import { duration, fieldMap, oneOrMany, requestRate, size } from "./schema-values.ts";

const name = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,63}$/i, "a name has up to 64 letters, digits, and -_. and begins with a letter");

const targetSchema = z.strictObject({
  name: name.describe("For logs and metrics."),
  to: z.string().min(1).describe("Name of an upstream, or a URL: where the provider is."),
  format: z
    .enum(["openai", "anthropic"])
    .default("openai")
    .describe("What it speaks: OpenAI's interface, as most providers and servers of models do, or Anthropic's."),
  path: z
    .string()
    .regex(/^(?:\/[!-~]*[^/?#\s])?$/, "a path such as /v1, without a slash at its end, was expected")
    .default("/v1")
    .describe("Where its interface begins; `{model}` stands for the provider's name of the model."),
  query: z
    .string()
    .regex(/^[!-~]*$/, "a query has no spaces")
    .default("")
    .describe("Query of every request to it, such as `api-version=2024-10-21`."),
  key: z
    .string()
    .min(1)
    .regex(/^[!-~]+$/, "a key has no spaces and line ends")
    .optional()
    .describe("The provider's key, best read from a file: sent in place of whatever the client has sent."),
  keyHeader: z
    .string()
    .optional()
    .describe("The field with the key: `authorization` (as a bearer token), or `x-api-key` for Anthropic's format."),
  clientKey: z
    .boolean()
    .default(false)
    .describe("Passes on the client's own key, where there is no `key`: for clients that pay for themselves."),
  headers: fieldMap.default({}).describe("Further fields of every request to it, such as `openai-project`."),
  models: z
    .union([z.array(z.string().min(1)).min(1), z.record(z.string().min(1), z.string().min(1))])
    .optional()
    .describe(
      "What it has: names of models, or names that clients use and what it calls them; one that ends in `*` stands for all that begin so. Absent: whatever clients ask for.",
    ),
  weight: z.int().min(0).max(10_000).default(1).describe("Share of the requests, where `choose` is `weight`."),
  timeout: duration
    .default(millis(120_000)) // models think, and answers that are no streams come when they are whole
    .describe("Longest wait for the head of its answer, and longest silence within."),
});

const limitSchema = z
  .strictObject({
    name: name.default("tokens").describe("For metrics, and in the fields that clients get."),
    tokens: z
      .union([requestRate, z.string().regex(/^[1-9]\d{0,9}\/[a-z]{2,6}$/)])
      .optional()
      .describe(
        "Tokens in the long run, such as `100000/m`, or in a period of the calendar (UTC): `5000000/day`, `100000000/month`.",
      ),
    burst: z
      .int()
      .min(1)
      .max(60_000_000)
      .optional()
      .describe("Tokens that may be used at once; what the rate counts when absent."),
    cost: z
      .string()
      .regex(/^\d{1,9}(?:\.\d{1,6})?\/(?:minute|hour|day|month)$/, "write a budget like 50/month or 2.50/day")
      .optional()
      .describe("In place of `tokens`: money in a period of the calendar, in the currency of `prices`."),
    count: z
      .enum(["total", "input", "output"])
      .default("total")
      .describe("Which tokens: all, those of prompts, or those of answers."),
    key: oneOrMany(z.string())
      .default("consumer")
      .describe("What is counted by, as in `rateLimit`; `model` too. A list for all at once."),
    models: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Only requests for these models count; `*` at the end for all that begin so."),
    clients: z.int().min(1).max(10_000_000).default(10_000).describe("Keys that are counted at a time."),
    scope: z
      .enum(["cluster", "machine"])
      .default("cluster")
      .describe("Counts over all machines that have the same `cluster.redis`, or on each for itself."),
    onStoreError: z
      .enum(["local", "allow", "deny"])
      .default("local")
      .describe("While `cluster.redis` cannot be reached: as in `rateLimit`."),
  })
  .refine(({ tokens, cost }) => (tokens === undefined) !== (cost === undefined), {
    error: "give it `tokens`, or a budget by `cost`",
  })
  .refine(({ tokens }) => typeof tokens !== "string" || parseQuota(tokens) !== null, {
    error: "write a rate like 100000/m, or a quota like 5000000/day",
    path: ["tokens"],
  });

const price = z.number().min(0).max(1_000_000);
const priceSchema = z.strictObject({
  input: price.default(0).describe("Of a million tokens of prompts."),
  output: price.default(0).describe("Of a million tokens of answers."),
  cached: price.optional().describe("Of a million tokens that the provider had in its cache; as `input` when absent."),
  cacheWritten: price.optional().describe("Of a million tokens that it writes there; as `input` when absent."),
});

const promptSchema = z.strictObject({
  maxBody: size
    .default(byteCount(1_048_576)) // pictures as base64 need more
    .describe("Longest request, which is in memory while it is looked at; 413 above it."),
  maxTokens: z
    .int()
    .min(1)
    .optional()
    .describe("Longest prompt, by an estimate; 400 above it, as providers answer what does not fit."),
  deny: z
    .array(z.string().min(1))
    .default([])
    .describe("Expressions (in linear time, in no case) that no text of a prompt may have; 400 for one that has."),
  allow: z
    .array(z.string().min(1))
    .optional()
    .describe("Expressions of which the last text of the user must have one; 400 otherwise."),
});

const redactSchema = z.strictObject({
  kinds: z
    .array(z.enum(["email", "phone", "card", "iban", "secret"]))
    .default(["email", "phone", "card", "iban", "secret"])
    .describe("What is looked for: cards and accounts with the right check digits, keys of well-known services."),
  patterns: z
    .record(name, z.string().min(1))
    .default({})
    .describe("Rules of your own: a name, which is the mark, and an expression, tried in linear time."),
  prompts: z.enum(["mark", "refuse", "off"]).default("mark").describe("Puts `[email]` and the like in place, or 400."),
  answers: z
    .boolean()
    .default(false)
    .describe("Puts marks into answers too; of streams up to 512 characters are held back where something may be one."),
});

export const llmSchema = z.strictObject({
  targets: z.array(targetSchema).min(1).max(32).describe("Providers. The first that has the model is asked first."),
  choose: z
    .enum(["order", "weight"])
    .default("order")
    .describe("Who is asked first: the first of the list, or one by chance, by `weight`."),
  fallback: z
    .strictObject({
      on: z
        .array(z.enum(["connect", "timeout", "429", "5xx"]))
        .default(["connect", "timeout", "429", "5xx"])
        .describe("What makes the next one be asked, before the first byte of an answer has left."),
      attempts: z.int().min(1).max(32).default(3).describe("Providers that are asked for one request at most."),
      cooldown: duration
        .default(millis(10_000))
        .describe("How long one that failed is asked last; its own `Retry-After` counts up to a minute."),
      translate: z
        .boolean()
        .default(true)
        .describe("Also asks providers of the other format, for chats: requests and answers are translated."),
    })
    .prefault({})
    .describe("When another provider is asked."),
  streaming: z
    .enum(["allow", "deny", "always"])
    .default("allow")
    .describe("Streams where clients ask for them; refuses that with 400; or makes every answer a stream."),
  defaults: z
    .record(z.string(), z.json())
    .default({})
    .describe("Members that requests get where they have them not, such as `temperature`."),
  maxTokens: z
    .int()
    .min(1)
    .optional()
    .describe("Longest answer in tokens: what clients ask for beyond it is lowered, and set where they say nothing."),
  reserve: z
    .int()
    .min(0)
    .default(1000)
    .describe(
      "Tokens of an answer that limits reserve where neither the client nor `maxTokens` says how long it may be.",
    ),
  prompt: promptSchema.prefault({}).describe("What prompts may be."),
  redact: redactSchema.optional().describe("Takes personal data and secrets out of prompts, and of answers."),
  limits: z
    .array(limitSchema)
    .max(16)
    .default([])
    .describe("How many tokens, or how much money, clients may use; 429 beyond it."),
  prices: z
    .record(z.string().min(1), priceSchema)
    .default({})
    .describe(
      "What a million tokens cost, by the model's name at clients; one that ends in `*` for all that begin so.",
    ),
});
export type LlmConfig = z.output<typeof llmSchema>;
export type LlmTargetConfig = LlmConfig["targets"][number];
export type LlmLimitConfig = LlmConfig["limits"][number];
