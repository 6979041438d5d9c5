// `aggregate`: one answer made of several requests to servers.
import { z } from "zod";
import { byteCount, millis } from "../core/units.ts";
import { FORWARDING, HOP_BY_HOP, isFieldName } from "../http/header-block.ts";
import { ID, idOf } from "../http/header-names.ts";
import { duration, fieldMap, size } from "./schema-values.ts";

/** More calls for one request would multiply what every client may ask of servers. */
const CALLS_MAX = 32;

/** What frames a message, belongs to one connection, or is what proxies say of each other: only Sluice writes it. */
const OWN: ReadonlySet<number> = new Set([
  ID["content-length"],
  ID.expect,
  ID.host,
  ID["accept-encoding"],
  ID.via,
  ...HOP_BY_HOP,
  ...FORWARDING,
]);
const isOwn = (name: string): boolean => OWN.has(idOf(name.toLowerCase()));

const fields = fieldMap.superRefine((map, issue) => {
  for (const name of Object.keys(map))
    if (!isFieldName(name) || isOwn(name))
      issue.addIssue({ code: "custom", path: [name], message: `"${name}" is no field that can be set here` });
});

const fieldNames = z.array(
  z.string().refine((name) => isFieldName(name) && !isOwn(name), {
    error: "the name of a field that may be passed on was expected",
  }),
);

const json = z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())]);

const callSchema = z.strictObject({
  to: z.string().describe("An upstream's name, or a URL."),
  path: z
    .string()
    .regex(/^[/{]/, "a path begins with a slash")
    .describe("Path and query; may use placeholders, also `{call.NAME.PATH}` of what another call has answered."),
  method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]).default("GET").describe("Method of the request."),
  headers: fields.default({}).describe("Fields of the request; may use placeholders. One without a value is not sent."),
  passHeaders: fieldNames.optional().describe("Fields of the client's request that it gets, in place of those of all."),
  body: z
    .union([z.literal("request"), json])
    .optional()
    .describe("JSON to send, whose texts may use placeholders; `request` for what the client has sent."),
  when: z
    .string()
    .optional()
    .describe(
      "The call is made only where this text, a placeholder in most cases, is not empty, `0`, `false` or `null`.",
    ),
  timeout: duration.optional().describe("Longest time of this call, all tries included; that of the whole without it."),
  statuses: z
    .string()
    .default("200-299")
    .describe("Statuses of an answer that counts (`200-299, 404`); others are failures."),
  pass: z
    .array(z.int().min(400).max(499))
    .default([])
    .describe("Statuses that become the client's answer, with what the server says to them: `[404]`."),
  select: z.string().min(1).optional().describe("The part of the answer that counts: `data.items`, `rows[0]`."),
  default: z
    .unknown()
    .optional()
    .describe("JSON in place of an answer that fails; without it the whole fails. `null` is one too."),
});

export const aggregateSchema = z.strictObject({
  calls: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/, "a name of letters, digits, _ and -"), callSchema)
    .refine((calls) => Object.keys(calls).length > 0, { error: "there are no calls" })
    .refine((calls) => Object.keys(calls).length <= CALLS_MAX, { error: `at most ${CALLS_MAX} calls` })
    .describe("Requests to servers by name, made at the same time unless one uses what another has answered."),
  merge: z
    .union([z.enum(["object", "list", "flat"]), json])
    .default("object")
    .describe(
      "What becomes of the answers: `object`, members by the names of the calls; `list`, items in their order; `flat`, the members of all of them in one object; or JSON whose texts are placeholders, `{call.NAME.PATH}` for values.",
    ),
  missing: z
    .string()
    .min(1)
    .optional()
    .describe("Member of the answer that lists the calls which have failed and why; `x-missing` always names them."),
  status: z.int().min(200).max(299).default(200).describe("Status of the answer."),
  headers: fields.default({}).describe("Fields of the answer; may use placeholders."),
  passHeaders: fieldNames
    .default(["accept-language", "authorization", "traceparent", "tracestate", "baggage"])
    .describe("Fields of the client's request that all calls get."),
  timeout: duration.default(millis(10_000)).describe("Longest time of all calls together."),
  maxBody: size
    .default(byteCount(1_048_576)) // held in memory until all calls are over
    .describe("Longest answer of a call, and longest body of a request where one is used."),
  maxTotal: size
    .default(byteCount(4_194_304)) // the same for all of them, and for what is made of them
    .describe("Most bytes of all answers together, and of the client's."),
});
export type AggregateConfig = z.output<typeof aggregateSchema>;
export type AggregateCallConfig = AggregateConfig["calls"][string];
