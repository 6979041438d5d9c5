// `portal`: pages on which consumers read about APIs, try them, manage their own keys and see what they have used.
import { z } from "zod";
import { PORTAL_KEYS } from "./defaults.ts";
import { CREDENTIALS_MAX } from "./schema-consumers.ts";
import type { ApiSource } from "./schema-openapi.ts";
import { duration } from "./schema-values.ts";

const keysSchema = z.strictObject({
  max: z
    .int()
    .min(1)
    .max(CREDENTIALS_MAX)
    .default(PORTAL_KEYS.max)
    .describe("Keys that a consumer may have made here at a time."),
  expiry: duration
    .default(PORTAL_KEYS.expiry)
    .describe("Longest time until a key that is made here ends; all of them end."),
  scopes: z
    .array(z.string().min(1))
    .optional()
    .describe("Scopes that keys made here may have, of those that the consumer has; all of these when absent."),
  perDay: z
    .int()
    .min(1)
    .max(1000)
    .default(PORTAL_KEYS.perDay)
    .describe("Keys that a consumer may make or rotate within 24 hours."),
  overlap: duration
    .default(PORTAL_KEYS.overlap)
    .describe("Longest time that a key goes on beside the one in its place."),
});

export const portalSchema = z.strictObject({
  path: z
    .string()
    .regex(/^(?:\/[A-Za-z0-9._~-]+)+$/, "a path such as /portal, without a slash at its end, was expected")
    .default("/portal")
    .describe("Path that the portal is at, on the hosts of the route."),
  title: z.string().min(1).max(200).default("Developer portal").describe("Title of the page."),
  apis: z
    .array(z.string().min(1))
    .max(50)
    .default([])
    .describe("Names of routes with `openapi`, whose operations are shown and can be tried."),
  keys: z
    .union([z.boolean(), keysSchema])
    .default(false)
    .describe("Lets consumers make, rotate and revoke keys of their own; `true` for the defaults."),
  usage: z.boolean().default(true).describe("Shows consumers what they have used, and what is left of their plan."),
});
export type PortalConfig = z.output<typeof portalSchema>;

/** How somebody can sign in on the page itself, or be sent to do so. */
export type SignIn =
  | { readonly kind: "apiKey"; readonly header: string }
  | { readonly kind: "basic" }
  | { readonly kind: "session" };

/** What a route of a portal was made of. Threads send it to each other. */
export interface PortalSource {
  /** `page` is what everybody may see, which says nothing; all else is behind the route's `auth`. */
  readonly part: "page" | "rest";
  /** Documents to show, in their order. */
  readonly apis: readonly ApiSource[];
  readonly ways: readonly SignIn[];
}
