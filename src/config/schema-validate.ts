// `validate`: requests and answers against an OpenAPI document, or bodies against a JSON Schema.
import { z } from "zod";
import { byteCount } from "../core/units.ts";
import { size } from "./schema-values.ts";

const effect = z.enum(["enforce", "log", "off"]);

export const validateSchema = z
  .strictObject({
    openapi: z
      .string()
      .min(1)
      .optional()
      .describe("File with an OpenAPI document, version 3.0 or 3.1, in YAML or JSON."),
    base: z
      .string()
      .regex(/^(?:\/[^?#]*[^?#/])?$/, "a path such as /v1, without a slash at its end, was expected")
      .optional()
      .describe("Path that those of the document begin below; that of its first server when absent."),
    body: z
      .strictObject({
        jsonSchema: z
          .union([z.string().min(1), z.record(z.string(), z.unknown())])
          .describe("A JSON Schema (draft 6 to 2020-12), or the name of a file with one."),
      })
      .optional()
      .describe("In place of `openapi`: what the bodies of all requests are to be."),
    requests: effect
      .default("enforce")
      .describe("What becomes of requests that are not as described: refused, or only logged and counted."),
    responses: effect
      .default("off")
      .describe(
        "The same for answers: `enforce` puts a 502 in their place. Bodies are held back until they are checked.",
      ),
    unknownPaths: effect.default("enforce").describe("What becomes of requests for paths that are not there: 404."),
    unknownMethods: effect.default("enforce").describe("And of those with a method that a path has not: 405."),
    maxBody: size
      .default(byteCount(1_048_576)) // as bodies are in memory while they are checked
      .describe("Longest body that is checked; longer requests get 413."),
  })
  .refine(({ openapi, body }) => (openapi === undefined) !== (body === undefined), {
    error: "name a document by `openapi`, or a schema by `body.jsonSchema`",
  })
  .refine(({ openapi, responses }) => openapi !== undefined || responses === "off", {
    error: "answers are checked against an `openapi` document only",
    path: ["responses"],
  });
export type ValidateConfig = z.output<typeof validateSchema>;
