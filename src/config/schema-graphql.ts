// `graphql`: what requests to a GraphQL service may ask for.
import { z } from "zod";
import { byteCount } from "../core/units.ts";
import { oneOrMany, size } from "./schema-values.ts";

const name = z.string().regex(/^[_A-Za-z][_0-9A-Za-z]{0,199}\*?$/, "write a name, or one that ends in *");
const field = z
  .string()
  .regex(
    /^(?:\*|[_A-Za-z][_0-9A-Za-z]{0,199})\.(?:\*|[_A-Za-z][_0-9A-Za-z]{0,199}\*?)$/,
    "write a field as Type.field; either may be *, and the field may end in one",
  );
const weight = z.number().min(0).max(1_000_000);

const costSchema = z.strictObject({
  field: weight.default(1).describe("What a field costs that nothing else is said of."),
  weights: z
    .record(
      z
        .string()
        .regex(
          /^(?:\*\.)?[_A-Za-z][_0-9A-Za-z]{0,199}(?:\.[_A-Za-z][_0-9A-Za-z]{0,199})?$/,
          "write Type.field, *.field or Type",
        ),
      weight,
    )
    .default({})
    .describe(
      "What single fields cost (`Query.search`, `*.friends`), and each item of a type (`User`). Without a `schema`, fields of Query, Mutation and Subscription, and `*.field`.",
    ),
  sizeArguments: z
    .array(z.string().regex(/^[_A-Za-z][_0-9A-Za-z]*(?:\.[_A-Za-z][_0-9A-Za-z]*){0,3}$/, "write first, or page.size"))
    .max(20)
    .default(["first", "last", "limit"])
    .describe("Arguments that say how long a list is: all below it is counted so often."),
  listSize: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10)
    .describe("How long lists are taken for where no argument says so; without a `schema`, where one says nothing."),
});

const operationsSchema = z.strictObject({
  types: z
    .array(z.enum(["query", "mutation", "subscription"]))
    .min(1)
    .default(["query", "mutation", "subscription"])
    .describe("Kinds of operations that are let through."),
  allow: z
    .array(name)
    .min(1)
    .optional()
    .describe("Names of the only operations that are let through. Clients choose names."),
  deny: z.array(name).default([]).describe("Names of operations that are refused."),
  anonymous: z.boolean().default(true).describe("Whether operations need no name."),
});

const fieldsSchema = z.strictObject({
  allow: z
    .array(field)
    .min(1)
    .optional()
    .describe("The only fields of operations that may be asked for: `Query.*`, `Mutation.addToCart`."),
  deny: z
    .array(field)
    .default([])
    .describe("Fields that may not be asked for: `Mutation.delete*`; of other types (`User.email`) with a `schema`."),
});

const persistedSchema = z.strictObject({
  files: oneOrMany(z.string().min(1))
    .optional()
    .describe("Documents: files, or folders with `.graphql` files, manifests of Apollo, or maps of ids (`.json`)."),
  only: z
    .union([z.boolean(), z.literal("id")])
    .default(false)
    .describe("Lets no other documents through; `id` none but those that are named by their hash or id."),
  apq: z
    .union([
      z.boolean(),
      z.strictObject({
        memory: size.default(byteCount(4_194_304)).describe("What documents may take, in all workers together."),
      }),
    ])
    .default(false)
    .describe("Remembers documents that clients send with their hash (automatically persisted queries)."),
});

const graphqlErrorsSchema = z.strictObject({
  form: z
    .enum(["graphql", "problem"])
    .default("graphql")
    .describe("Errors as clients of GraphQL read them, or as problem details (RFC 9457)."),
  status: z
    .enum(["negotiated", "always"])
    .default("negotiated")
    .describe(
      "Whether clients that accept `application/json` alone get 200, as GraphQL over HTTP has it, or the status as well.",
    ),
});

export const graphqlSchema = z
  .strictObject({
    mode: z
      .enum(["enforce", "log"])
      .default("enforce")
      .describe("Whether requests are refused, or only counted and logged."),
    schema: z.string().min(1).optional().describe("File with the schema; documents are held against it."),
    maxDepth: z.int().min(1).max(1000).default(12).describe("How deep fields may lie in each other."),
    maxAliases: z.int().min(0).max(100_000).default(15).describe("How many fields of an operation may have an alias."),
    maxDirectives: z.int().min(0).max(100_000).default(50).describe("How many directives an operation may have."),
    maxTokens: z.int().min(1).max(50_000).default(2000).describe("How many words and signs a document may have."),
    maxCost: z.number().min(0).optional().describe("What a request may cost; not limited when absent."),
    maxBatch: z.int().min(1).max(100).default(1).describe("Operations in one request; 1 for no batches."),
    maxBody: size
      .default(byteCount(262_144)) // bodies are in memory while they are looked at
      .describe("Longest body; 413 above it."),
    cost: costSchema.prefault({}).describe("How the cost of an operation is reckoned."),
    introspection: z
      .union([z.boolean(), z.strictObject({ groups: z.array(z.string().min(1)).min(1).describe("Groups of `auth`.") })])
      .default(false)
      .describe("Whether the schema may be asked for (`__schema`, `__type`), or by whom. `__typename` always may."),
    operations: operationsSchema.prefault({}).describe("Which operations are let through."),
    fields: fieldsSchema.prefault({}).describe("Which fields are let through."),
    persisted: persistedSchema
      .optional()
      .describe("Documents that are known, and may be named in place of being sent."),
    methods: z
      .array(z.enum(["GET", "POST"]))
      .min(1)
      .default(["GET", "POST"])
      .describe("Methods that are taken; GET is for queries alone."),
    websocket: z.boolean().default(false).describe("Lets WebSockets through. What is sent over them is not looked at."),
    uploads: size
      .optional()
      .describe(
        "Longest body with files (`multipart/form-data`), which is held until it was looked at; 415 when absent.",
      ),
    preflight: z
      .strictObject({
        headers: z
          .array(z.string().regex(/^[A-Za-z0-9-]{1,100}$/, "write the name of a field"))
          .min(1)
          .default([
            "x-requested-with",
            "graphql-require-preflight",
            "apollo-require-preflight",
            "x-apollo-operation-name",
          ])
          .describe("One of these must be there: pages of other origins cannot send them without asking first."),
        get: z.boolean().default(false).describe("Whether GET needs one too; bodies with files always do."),
      })
      .prefault({})
      .describe("Against requests that pages of other sites have browsers send."),
    members: z.array(z.string().min(1)).max(20).default([]).describe("Other members of requests that are let through."),
    errors: graphqlErrorsSchema.prefault({}).describe("How refusals are told."),
  })
  .refine(({ persisted }) => persisted === undefined || persisted.files !== undefined || persisted.apq !== false, {
    error: "name `files` with documents, or turn `apq` on",
    path: ["persisted"],
  })
  .refine(({ persisted }) => persisted === undefined || persisted.only === false || persisted.files !== undefined, {
    error: "`only` needs `files` with the documents that are meant",
    path: ["persisted", "only"],
  });
export type GraphqlConfig = z.output<typeof graphqlSchema>;
