// `transform`: other bodies than clients and servers send, and what is taken from them.
import { z } from "zod";
import { byteCount } from "../core/units.ts";
import { fieldMap, oneOrMany, size } from "./schema-values.ts";

const paths = z.array(z.string().min(1)).default([]);
/** Values of JSON; texts in them may use placeholders. */
const values = z.record(z.string(), z.unknown()).default({});

const jsonSchema = z
  .strictObject({
    keep: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Paths of what is kept; everything else is removed. Done first."),
    remove: paths.describe("Paths of what is removed: `meta.tenant`, `items[*].id`, `**.internal`."),
    rename: fieldMap.default({}).describe("Paths of members, and the name that each gets in its object."),
    move: fieldMap.default({}).describe("Paths of what is moved, and the path that each is moved to."),
    add: values.describe("Paths, and the value that each gets where there is none; values may use placeholders."),
    set: values.describe("Paths, and the value that each gets whatever is there; values may use placeholders."),
  })
  .describe("Changes of a JSON body, in the order of these keys.");

const xmlToJson = z
  .union([
    z.boolean(),
    z.strictObject({
      lists: paths.describe("Paths of elements that become lists also where they are there once: `orders.order`."),
    }),
  ])
  .default(false)
  .describe("Makes XML bodies JSON, before anything else.");

const root = z.string().min(1).default("root").describe("Name of the element around what has not one member alone.");

const template = z
  .unknown()
  .optional()
  .describe("A whole new JSON body; texts in it may use placeholders, `{body.PATH}` among them. Done after `json`.");

const maxBody = (bytes: number) => size.default(byteCount(bytes));

export const transformSchema = z
  .strictObject({
    request: z
      .strictObject({
        xmlToJson,
        json: jsonSchema.optional(),
        template,
        jsonToXml: z
          .union([z.boolean(), z.strictObject({ root })])
          .default(false)
          .describe("Makes JSON bodies XML, after everything else."),
        headers: fieldMap
          .default({})
          .describe("Fields that are set; values may use placeholders, `{body.PATH}` among them."),
        query: fieldMap
          .default({})
          .describe("Query parameters that are set; values may use placeholders, `{body.PATH}` among them."),
        path: z.string().optional().describe("A whole new path; may use placeholders, `{body.PATH}` among them."),
        otherTypes: z
          .enum(["refuse", "pass"])
          .default("refuse")
          .describe("What becomes of bodies that are not of the type that is changed: 415, or passed as they are."),
        maxBody: maxBody(1_048_576) // as bodies are in memory while they are changed
          .describe("Longest body that is changed; longer requests get 413."),
      })
      .optional()
      .describe("What servers get in place of what clients send."),
    response: oneOrMany(
      z.strictObject({
        for: z
          .array(z.union([z.int().min(200).max(599), z.string().regex(/^[2-5]xx$/, "write statuses like 200 or 4xx")]))
          .min(1)
          .optional()
          .describe("Statuses of the answers that this is for (`200`, `4xx`); all when absent."),
        xmlToJson,
        json: jsonSchema.optional(),
        template,
        jsonToXml: z
          .union([
            z.boolean(),
            z.strictObject({
              root,
              negotiate: z
                .boolean()
                .default(false)
                .describe("Only for clients that would rather have XML than JSON by their Accept field."),
            }),
          ])
          .default(false)
          .describe("Makes JSON bodies XML, after everything else."),
        status: z
          .record(
            z.string().regex(/^(?:[2-5]\d\d|[2-5]xx)$/, "write statuses like 404 or 5xx"),
            z.int().min(200).max(599),
          )
          .default({})
          .describe("Statuses of servers (`404`, `5xx`), and what clients get in place of each."),
        maxBody: maxBody(4_194_304) // a page of a list; each is in memory as long as it takes to come
          .describe("Longest body that is changed, decompressed; in place of longer answers there is a 502."),
      }),
    )
      .optional()
      .describe("What clients get in place of what servers send. Of a list, the first that is for the status."),
  })
  .refine(({ request, response }) => request !== undefined || response !== undefined, {
    error: "say what becomes of requests by `request`, or of answers by `response`",
  });
export type TransformConfig = z.output<typeof transformSchema>;
export type RequestTransform = NonNullable<TransformConfig["request"]>;
export type ResponseTransform = Exclude<NonNullable<TransformConfig["response"]>, readonly unknown[]>;
export type JsonEdits = z.output<typeof jsonSchema>;
