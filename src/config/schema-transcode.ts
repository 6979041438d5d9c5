// `transcode`: HTTP with JSON for clients, gRPC for servers.
import { z } from "zod";
import { byteCount } from "../core/units.ts";
import { size } from "./schema-values.ts";

export const transcodeSchema = z.strictObject({
  descriptors: z
    .string()
    .min(1)
    .describe("File with a set of descriptors: what `protoc --include_imports --descriptor_set_out` writes."),
  services: z
    .array(z.string().min(1))
    .default([])
    .describe("Full names of the services that clients may use (`package.Service`); all of the file without it."),
  unbound: z
    .boolean()
    .default(false)
    .describe("Methods without `google.api.http` too, as `POST /package.Service/Method` with the message as body."),
  base: z
    .string()
    .regex(/^(?:\/[^?#{}*]*[^?#{}*/])?$/, "a path such as /api, without a slash at its end, was expected")
    .default("")
    .describe("Path that those of the descriptors begin below."),
  streams: z
    .enum(["ndjson", "sse", "array"])
    .default("ndjson")
    .describe("What answers of many messages are, where `Accept` names neither NDJSON nor events."),
  unknownPaths: z
    .enum(["refuse", "pass"])
    .default("refuse")
    .describe("What becomes of requests that no method is bound to: 404 and 405, or forwarded as they are."),
  unknownFields: z
    .enum(["refuse", "ignore"])
    .default("refuse")
    .describe("What becomes of members of bodies that are no fields of the message: 400, or they are left out."),
  ignoreQuery: z
    .array(z.string().min(1))
    .default([])
    .describe("Parameters of queries that may be there though they are no fields; `*` for any. 400 for others."),
  names: z
    .enum(["json", "proto"])
    .default("json")
    .describe("Names of fields in answers: as JSON has them (`userId`), or as the file has them (`user_id`)."),
  enums: z.enum(["names", "numbers"]).default("names").describe("How answers write values of enums."),
  defaults: z
    .boolean()
    .default(false)
    .describe("Answers have fields with their default values too, which proto3 leaves out."),
  maxBody: size
    .default(byteCount(1_048_576)) // held in memory until it is translated
    .describe("Longest body of a request; 413 above it."),
  maxMessage: size
    .default(byteCount(4_194_304)) // what clients of gRPC take unless they are told otherwise
    .describe("Longest message of an answer; 502 above it."),
});
export type TranscodeConfig = z.output<typeof transcodeSchema>;

/** `grpc`: which calls may be made, and how long their messages may be. */
const methodPatterns = z.array(
  z
    .string()
    .regex(
      /^(?:\*|[A-Za-z_][\w.]*\*?)\/(?:\*|[A-Za-z_]\w*\*?)$/,
      "write it like package.Service/Method, package.Service/Get* or package.*/*",
    ),
);

export const grpcSchema = z
  .strictObject({
    allow: methodPatterns
      .min(1)
      .optional()
      .describe("Methods that may be called: `package.Service/Get*`; others do not exist (12, `UNIMPLEMENTED`)."),
    deny: methodPatterns
      .default([])
      .describe("Methods that may not be called, whatever `allow` says (7, `PERMISSION_DENIED`)."),
    only: z.boolean().default(false).describe("Refuses requests that are no gRPC (415)."),
    maxMessage: size.optional().describe("Longest message that clients may send (8, `RESOURCE_EXHAUSTED`, above it)."),
  })
  .describe("Which gRPC methods may be called.");
