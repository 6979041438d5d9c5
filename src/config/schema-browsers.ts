// What browsers are told: `cors`, `securityHeaders` and `cookies`.
import { z } from "zod";
import { millis } from "../core/units.ts";
import { SECURITY_DEFAULTS } from "./defaults.ts";
import { duration } from "./schema-values.ts";

const hstsSchema = z.strictObject({
  maxAge: duration.default(millis(31_536_000_000)).describe("How long browsers remember it; `0s` has them forget it."),
  includeSubDomains: z.boolean().default(false).describe("Whether it holds for all names below the host's as well."),
  preload: z
    .boolean()
    .default(false)
    .describe("Agrees that browsers bring the name along; hard to take back. Needs a year and `includeSubDomains`."),
});

const cspSchema = z.strictObject({
  policy: z.string().min(1).describe("The policy, such as `default-src 'self'`."),
  reportOnly: z.boolean().default(false).describe("Only reports what it would forbid."),
  report: z
    .string()
    .regex(/^\/[!-~]*$/, "write a path such as /csp-reports")
    .optional()
    .describe("Path of this route at which Sluice takes reports: they are logged and counted."),
});

export const securityHeadersSchema = z.strictObject({
  hsts: z
    .union([z.boolean(), hstsSchema])
    .default(true)
    .describe("Browsers come by HTTPS only from then on (HSTS, RFC 6797). Sent with answers over HTTPS."),
  nosniff: z
    .boolean()
    .default(SECURITY_DEFAULTS.nosniff)
    .describe("Browsers take the media type of an answer at its word (`X-Content-Type-Options`)."),
  frameAncestors: z
    .union([z.literal(false), z.string().min(1)])
    .default(SECURITY_DEFAULTS.frameAncestors)
    .describe("Who may show the page in a frame (CSP `frame-ancestors`), where the server says nothing of it."),
  referrerPolicy: z
    .union([z.literal(false), z.string().regex(/^[a-z-]+(?:, ?[a-z-]+)*$/, "write it like strict-origin")])
    .default(SECURITY_DEFAULTS.referrerPolicy)
    .describe("What other sites hear of where a visitor came from, where the server does not say."),
  permissionsPolicy: z.string().min(1).optional().describe("What pages may use (`Permissions-Policy`)."),
  openerPolicy: z
    .enum(["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"])
    .optional()
    .describe("Who may hold on to the window (`Cross-Origin-Opener-Policy`)."),
  resourcePolicy: z
    .enum(["same-origin", "same-site", "cross-origin"])
    .optional()
    .describe("Who may load the answer (`Cross-Origin-Resource-Policy`)."),
  csp: cspSchema.optional().describe("Content security policy."),
  hideServer: z
    .boolean()
    .default(SECURITY_DEFAULTS.hideServer)
    .describe("Takes `Server`, `X-Powered-By` and `X-AspNet-Version` out of answers."),
});

export const corsSchema = z.strictObject({
  origins: z
    .array(z.string())
    .min(1)
    .describe("Origins that may: `https://example.com`, `https://*.example.com`, `null`, or `*` for all."),
  methods: z.array(z.string()).min(1).default(["GET", "HEAD", "POST"]).describe("Methods that they may use."),
  headers: z.array(z.string()).default([]).describe("Request fields that they may send; `*` for any."),
  exposeHeaders: z.array(z.string()).default([]).describe("Fields of answers that they may read."),
  credentials: z.boolean().default(false).describe("Whether they may come with cookies and the like."),
  maxAge: duration.optional().describe("How long browsers may remember the answer to a preflight."),
  strict: z.boolean().default(false).describe("Refuses requests of all other origins with 403, preflight or not."),
});

export const cookiesSchema = z.strictObject({
  secure: z.boolean().default(true).describe("`Secure`, over HTTPS."),
  httpOnly: z.boolean().default(true).describe("`HttpOnly`: scripts of the page cannot read them."),
  sameSite: z
    .union([z.literal(false), z.enum(["lax", "strict", "none"])])
    .default("lax")
    .describe("`SameSite`, where the cookie has none."),
  except: z.array(z.string()).default([]).describe("Names of cookies that are left as they are."),
});
