// What is done against abuse: `bans`, `bots`, `challenge`.
import { z } from "zod";
import { millis } from "../core/units.ts";
import { CHALLENGE_DEFAULTS } from "./defaults.ts";
import { duration, oneOrMany, requestRate } from "./schema-values.ts";

const banRule = z.strictObject({
  on: oneOrMany(z.union([z.int().min(200).max(599), z.literal("waf")])).describe(
    "Statuses of answers that count, such as 401 or 404, and `waf` for what the firewall has found.",
  ),
  location: z
    .string()
    .regex(/^\/[!-~]*$/, "write a path such as /login, or /login* for all that begin so")
    .optional()
    .describe("Of redirects, only those that lead to this path count; `*` at its end for all that begin so."),
  count: z.int().min(1).max(100_000).describe("So many of them are one too many."),
  within: duration.default(millis(60_000)).describe("In which time."),
  for: duration.default(millis(600_000)).describe("How long the ban holds."),
  scope: z
    .enum(["everywhere", "route"])
    .default("everywhere")
    .describe("`everywhere` bans the address on all routes (403); `route` refuses the key on this one (429)."),
  key: oneOrMany(z.string())
    .default("ip")
    .describe("What is counted by with `scope: route`, as in `rateLimit`: `[ip, cookie:user]`."),
});

export const bansSchema = z.strictObject({
  rules: z.array(banRule).default([]).describe("What is counted, and what becomes of it."),
  honeypots: z
    .array(z.string().regex(/^\/[!-~]*$/, "write a path such as /wp-login.php"))
    .default([])
    .describe("Paths that nobody honest asks for; `*` at the end for all below. Whoever does is banned at once."),
  for: duration.default(millis(3_600_000)).describe("How long the ban of a honeypot holds."),
  except: z.array(z.string()).default([]).describe("Addresses and networks that are never banned."),
});

const agents = (what: string) => z.array(z.string().min(1)).default([]).describe(what);

export const botsSchema = z.strictObject({
  deny: agents("Parts of `User-Agent` that may not (any case), or `~regex`; 403."),
  allow: agents("The same for those that may in spite of it."),
  empty: z.enum(["allow", "deny"]).default("allow").describe("What becomes of requests without a `User-Agent`."),
  verifyCrawlers: z
    .boolean()
    .default(true)
    .describe("Denies clients that claim to be a known crawler, and whose address is another's (reverse DNS)."),
  crawlers: z
    .record(z.string().min(1), z.array(z.string().min(1)).min(1))
    .default({})
    .describe("More crawlers: a part of their `User-Agent`, and the domains that their addresses belong to."),
});

export const challengeSchema = z.strictObject({
  difficulty: z
    .int()
    .min(8)
    .max(24)
    .default(CHALLENGE_DEFAULTS.difficulty)
    .describe("Bits of work: each one more doubles it."),
  ttl: duration.default(CHALLENGE_DEFAULTS.ttl).describe("How long a solution holds."),
  over: requestRate.optional().describe("Only addresses that ask more often than this have to; all when absent."),
  cookie: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "a name of letters, digits, - and _ was expected")
    .default(CHALLENGE_DEFAULTS.cookie)
    .describe("Name of the cookie that holds the solution."),
  secret: z
    .string()
    .min(16, "a secret has at least 16 characters")
    .optional()
    .describe("Signs the tasks. Without it they hold until the proxy is restarted, and for this machine only."),
});

export type BansConfig = z.output<typeof bansSchema>;
export type BotsConfig = z.output<typeof botsSchema>;
export type ChallengeConfig = z.output<typeof challengeSchema>;
