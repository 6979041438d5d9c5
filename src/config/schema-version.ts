// Versions of an API: which one a request is for, and that one is about to end.
import { z } from "zod";
import { oneOrMany } from "./schema-values.ts";

const place = z.string().regex(/^(?:header:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|query:[^&=#\s]+|path|mediaType)$/, {
  error: "write header:NAME, query:NAME, path or mediaType",
});
const version = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "a version such as 2, 1.3 or 2026-01-31 was expected");

export const versionMatch = z
  .strictObject({
    from: oneOrMany(place).describe(
      "Where requests say it: `header:NAME`, `query:NAME`, `path` (a segment such as `v2`) or `mediaType` (of Accept or Content-Type). Of a list, the first place that says one.",
    ),
    is: oneOrMany(
      z.string().regex(/^[A-Za-z0-9._-]{1,130}$/, "write 2, 2.x, 2..3, 2026-01-31 or 2026-01-31.."),
    ).describe(
      "The version: `2`, `2.x` for all that begin so, `2..3` or `2026-01-31..` for a range; a list means any of.",
    ),
    default: version.optional().describe("What requests are for that say none."),
    aliases: z
      .record(z.string().min(1).max(64), version)
      .default({})
      .describe("Other names of versions, such as `latest`."),
  })
  .describe("The version of an API that a request is for.");
export type VersionMatch = z.output<typeof versionMatch>;

const DATE = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d))?$/;

/** A day or a moment, in milliseconds since 1970 once parsed. */
const date = z.string().transform((text, issue) => {
  const ms = DATE.test(text) ? Date.parse(text) : Number.NaN;
  // 2026-02-30 would become the 2nd of March.
  if (!Number.isNaN(ms) && new Date(Date.parse(text.slice(0, 10))).toISOString().startsWith(text.slice(0, 10)))
    return ms;
  issue.addIssue({ code: "custom", message: `"${text}" is no date: write it like 2026-01-31 or 2026-01-31T12:00:00Z` });
  return z.NEVER;
});

export const deprecationSchema = z
  .strictObject({
    date: date.describe("Since when, or from when on, it is deprecated: a day (UTC) or a moment."),
    sunset: date.optional().describe("When it is expected to be gone."),
    afterSunset: z
      .enum(["serve", "gone"])
      .default("serve")
      .describe("What becomes of requests from then on: served as before, or 410."),
    link: z.string().min(1).optional().describe("A page about the deprecation; may use placeholders."),
    sunsetLink: z.string().min(1).optional().describe("A page about the sunset; may use placeholders."),
    successor: z.string().min(1).optional().describe("Where the next version is; may use placeholders."),
    latest: z.string().min(1).optional().describe("Where the latest version is; may use placeholders."),
  })
  .refine(({ date: from, sunset }) => sunset === undefined || sunset >= from, {
    error: "nothing ends before it is deprecated",
    path: ["sunset"],
  })
  .refine(({ sunset, afterSunset }) => sunset !== undefined || afterSunset === "serve", {
    error: "without a `sunset` there is nothing behind it",
    path: ["afterSunset"],
  });
export type DeprecationConfig = z.output<typeof deprecationSchema>;
