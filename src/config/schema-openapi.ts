// `openapi` of a route: a document from which the routes of an API are made. The policies of a route are given by
// schema.ts, which has them.
import { z } from "zod";
import { byteCount } from "../core/units.ts";
import { size } from "./schema-values.ts";

/**
 * What `x-sluice` in a document may hold at all: policies that cannot name files, servers or secrets, and that say
 * nothing of who may ask.
 */
const EXTENSION_POLICIES = [
  "limits",
  "rateLimit",
  "timeouts",
  "retry",
  "cache",
  "compress",
  "cors",
  "deprecation",
] as const;
const EXTENSION_KEYS = [...EXTENSION_POLICIES, "mock", "hidden"] as const;

const effect = z.enum(["enforce", "log", "off"]);

const mock = z
  .union([z.boolean(), z.literal("fallback")])
  .describe(
    "Answers from the document's examples: `true` for all requests, `fallback` where no server can be reached or one answers 501.",
  );
const hidden = z.boolean().describe("Leaves the operation out: it is answered 404, and not documented.");

const validation = z.strictObject({
  requests: effect
    .default("enforce")
    .describe("What becomes of requests that are not as described: refused, or only logged and counted."),
  responses: effect.default("off").describe("The same for answers, as in `validate`."),
  maxBody: size
    .default(byteCount(1_048_576)) // as in `validate`
    .describe("Longest body that is checked; longer requests get 413."),
});
export type ApiValidation = z.output<typeof validation>;

const docsSchema = z.strictObject({
  path: z
    .string()
    .regex(/^(?:\/[A-Za-z0-9._~-]+)+$/, "a path such as /docs, without a slash at its end, was expected")
    .default("/docs")
    .describe("Path of the page, on the same hosts. Below it, `openapi.json` and `openapi.yaml` are the document."),
  title: z.string().min(1).max(200).optional().describe("Title of the page; that of the document when absent."),
  tryIt: z.boolean().default(true).describe("Lets readers of the page send requests from it."),
  document: z.boolean().default(true).describe("Gives out the document too."),
  public: z.boolean().default(false).describe("Shows it to everybody: the route's `auth` does not hold for it."),
});
export type DocsConfig = z.output<typeof docsSchema>;

/** What an operation may have of its own, besides policies and `to`. */
export const operationFields = {
  mock: mock.optional(),
  hidden: hidden.optional(),
  checks: z
    .union([z.literal(false), validation])
    .optional()
    .describe("Instead of the `checks` of all operations."),
};

/** `x-sluice`, besides policies. */
export const extensionFields = {
  mock: mock.optional(),
  hidden: hidden.optional(),
  to: z.string().optional().describe("Name of an upstream that the configuration lets the document choose."),
};

/** The schema of `openapi`, whose operations have these settings. */
export const openapiSchemaOf = <T extends z.ZodType>(operation: T) =>
  z.strictObject({
    document: z
      .string()
      .min(1)
      .describe("File with an OpenAPI document, version 3.0 or 3.1, in YAML or JSON. Each operation becomes a route."),
    base: z
      .string()
      .regex(/^(?:\/[^?#]*[^?#/])?$/, "a path such as /v1, without a slash at its end, was expected")
      .optional()
      .describe("Path that those of the document begin below; that of its first server when absent."),
    checks: z
      .union([z.literal(false), validation])
      .prefault({})
      .describe("Holds requests and answers against the document, as `validate` does; on unless it is `false`."),
    unknown: z
      .enum(["refuse", "forward", "next"])
      .default("refuse")
      .describe(
        "What becomes of other requests below `base`: 404, or 405 with `Allow`; forwarded; or left to the next routes.",
      ),
    security: z
      .enum(["check", "follow", "off"])
      .default("check")
      .describe(
        "`check`: what the document demands (`security`) has to be in `auth`, and its scopes are demanded. `follow`: and operations that it says are open need no `auth`. `off`: it is not looked at.",
      ),
    mock: mock.default(false),
    docs: z
      .union([z.boolean(), docsSchema])
      .default(false)
      .describe("A page that documents the API, made of the document; `true` for the defaults."),
    only: z
      .strictObject({
        tags: z.array(z.string().min(1)).min(1).optional().describe("Tags."),
        operations: z.array(z.string().min(1)).min(1).optional().describe("Operations by their `operationId`."),
      })
      .optional()
      .describe("Takes operations of these tags or names alone; others are as if they were not there."),
    internal: z
      .boolean()
      .default(false)
      .describe("Takes operations too that the document marks as `x-internal`; they are never documented."),
    operations: z
      .record(z.string().min(1), operation)
      .default({})
      .describe("What holds for single operations, by `operationId`: policies in place of the route's, and `to`."),
    extensions: z
      .array(z.enum(EXTENSION_KEYS))
      .default(["limits", "rateLimit", "timeouts", "deprecation", "mock", "hidden"])
      .describe("What the document itself may set, as `x-sluice` of an operation, of a path or of all of it."),
    upstreams: z
      .array(z.string().min(1))
      .default([])
      .describe("Upstreams that the document may choose by `x-sluice: { to: NAME }`."),
  });

/** What a route that was made of a document comes from. Threads send it to each other. */
export interface ApiSource {
  /** Name of the route with `openapi`. */
  readonly api: string;
  /** Absolute path of the document. */
  readonly document: string;
  /** What its paths begin below. */
  readonly base: string;
  readonly kind: "operation" | "rest" | "docs";
  /** Method and path template of an operation, as in the document; "" for others. */
  readonly method: string;
  readonly template: string;
  readonly mock: boolean | "fallback";
  /** Policies that are this route's alone, and `to` where it is; others are shared by all routes of the API. */
  readonly own: readonly string[];
  /** Operations that are there for clients, for what is known of the whole API: `GET /pets`. Empty for operations. */
  readonly operations: readonly string[];
  /** What the page shows; null for others. */
  readonly docs: DocsConfig | null;
}
