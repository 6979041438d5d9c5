// `tagging`: a gateway for analytics on the site's own address.
import { z } from "zod";
import { byteCount, millis } from "../core/units.ts";
import { duration, fieldMap, requestRate, share, size } from "./schema-values.ts";

const PURPOSES = ["analytics", "ads", "adUserData", "adPersonalization"] as const;
const purpose = z.enum(PURPOSES);
const choice = z.enum(["granted", "denied"]);
const choices = z.union([
  choice,
  z.strictObject({
    analytics: choice.default("denied").describe("Measuring, and storing for it."),
    ads: choice.default("denied").describe("Storing for advertising."),
    adUserData: choice.default("denied").describe("Handing data about the visitor to advertisers."),
    adPersonalization: choice.default("denied").describe("Choosing what to show him."),
  }),
]);

const cookieName = z
  .string()
  .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "a cookie's name has no spaces, quotes or separators");
const cookiePattern = z
  .string()
  .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "write a cookie's name, with * at the end for all that begin so");
const country = z.string().regex(/^[A-Z]{2}$/, "write a country as two capital letters (ISO 3166), such as DE");
const tagId = z
  .string()
  .regex(/^(?:G|GT|GTM|AW|DC)-[A-Z0-9]{1,30}$/, "write a tag's id as Google has it, such as G-ABC123 or GTM-XYZ");
const httpUrl = z.string().regex(/^https?:\/\/[^\s/?#@]+(?:[/?][^\s#]*)?$/, "write an http or https address");

const consentSource = z.union([
  z.strictObject({
    cookie: cookieName.describe("Name of the platform's cookie."),
    platform: z.enum(["onetrust", "cookiebot"]).describe("Who writes it."),
  }),
  z.strictObject({
    cookie: cookieName.describe("Name of a cookie."),
    granted: z
      .partialRecord(purpose, z.string().min(1))
      .describe("Text in its value by which a purpose is granted; without it, it is denied."),
  }),
  z.strictObject({
    tcf: cookieName.describe("Name of the cookie with the consent string of the IAB's framework (TCF)."),
    vendor: z.int().min(0).max(65_535).default(0).describe("Vendor that must have been agreed to as well; 0 for none."),
  }),
]);

const consentSchema = z.strictObject({
  from: z.array(consentSource).default([]).describe("Where it is known from, beside what events say themselves."),
  default: choices.default("denied").describe("What holds where nobody has chosen."),
  regions: z
    .record(country, choices)
    .default({})
    .describe("Other defaults for countries. Needs `geo`; where the country is not known, `default` holds."),
  gpc: z
    .array(purpose)
    .default(["ads", "adUserData", "adPersonalization"])
    .describe("What `Sec-GPC: 1` denies; an empty list ignores it."),
  dnt: z
    .array(purpose)
    .default([...PURPOSES])
    .describe("What `DNT: 1` denies; an empty list ignores it."),
  wait: duration
    .default(millis(0))
    .describe("How long events of those who have not chosen are kept for what they will choose; 0s for not at all."),
  mode: z
    .enum(["basic", "advanced"])
    .default("basic")
    .describe(
      "`basic` passes nothing on to vendors without consent for analytics; `advanced` passes it on without cookies and ids.",
    ),
});

const privacySchema = z.strictObject({
  ip: z
    .enum(["full", "truncated", "none"])
    .default("truncated")
    .describe("What others may know of addresses: all, the network (/24, /48), or nothing."),
  userAgent: z
    .enum(["full", "reduced", "none"])
    .default("reduced")
    .describe("What others may know of browsers: all, family and major version, or nothing."),
  redact: z
    .array(z.enum(["email", "phone", "card", "iban", "secret"]))
    .default(["email", "phone", "card", "iban", "secret"])
    .describe("What is taken out of all values, however it is encoded."),
  patterns: z.array(z.string().min(1).max(500)).max(50).default([]).describe("Own expressions for more of that."),
  parameters: z
    .array(z.string().min(1))
    .default(["email", "e-mail", "mail", "phone", "tel", "password", "passwd", "token", "secret", "name", "address"])
    .describe("Parameters of events and addresses whose values are taken out, whatever they are."),
  replacement: z.string().max(50).default("(redacted)").describe("What stands in place of it."),
  clickIds: z
    .enum(["keep", "consent", "drop"])
    .default("consent")
    .describe("Ids of clicks (`gclid`, `fbclid`, …) in addresses: kept, kept with consent for `ads`, or left out."),
  campaigns: z.boolean().default(true).describe("Keeps `utm_…` in addresses."),
  referrer: z
    .enum(["full", "origin", "none"])
    .default("origin")
    .describe("What is known of pages of other sites that led here."),
  ids: z
    .enum(["keep", "day", "week", "hash"])
    .default("keep")
    .describe(
      "Ids of browsers and users: as they are, under a pseudonym for a day or week, or under one that lasts (needs `secret`).",
    ),
  secret: z.string().min(16, "a secret has at least 16 characters").optional().describe("Key of lasting pseudonyms."),
});

const cookiesSchema = z.strictObject({
  id: z
    .union([
      z.literal(false),
      z.strictObject({
        name: cookieName.default("__Host-sid").describe("Its name."),
        maxAge: duration
          .default(millis(34_560_000_000))
          .describe("How long it holds since the last visit; 400d at most."),
      }),
    ])
    .prefault({})
    .describe("The browser's id in a cookie that scripts cannot read; with consent for analytics alone."),
  keep: z
    .array(cookieName)
    .default([])
    .describe(
      "Cookies of scripts (`_ga`) that are set again by the server, as browsers forget those of scripts early.",
    ),
  toVendor: z
    .array(cookiePattern)
    .default(["_ga*", "_gid", "_gcl*", "FP*"])
    .describe("Cookies that vendors get; all others stay here."),
  fromVendor: z
    .array(cookiePattern)
    .default(["_ga*", "_gid", "_gcl*", "FP*"])
    .describe("Cookies that vendors may set."),
});

const destinationCommon = {
  purposes: z.array(purpose).optional().describe("What must have been agreed to; by its kind when absent."),
  events: z
    .array(z.string().min(1))
    .default([])
    .describe("Names of events it gets, `*` at the end for more; all when empty."),
  except: z.array(z.string().min(1)).default([]).describe("Names of events it does not get."),
  sample: share().default(1).describe("Share of the browsers whose events it gets, always the same."),
  rename: fieldMap.default({}).describe("Other names for events."),
  params: z
    .strictObject({
      keep: z.array(z.string()).default([]).describe("These alone; all when empty."),
      remove: z.array(z.string()).default([]).describe("Not these."),
      rename: fieldMap.default({}).describe("Other names."),
      set: z
        .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
        .default({})
        .describe("More, or other values."),
    })
    .prefault({})
    .describe("Parameters as it gets them."),
  batch: z.int().min(1).max(10_000).optional().describe("Events that are sent at a time; by its kind when absent."),
  parallel: z.int().min(1).max(64).optional().describe("Batches under way at a time; by its kind when absent."),
  linger: duration.default(millis(1000)).describe("How long a batch waits for more."),
  timeout: duration.default(millis(10_000)).describe("How long an answer may take."),
};

const destinationSchema = z.union([
  z.strictObject({
    ga4: z
      .strictObject({
        measurementId: tagId.describe("The property, such as `G-ABC123`."),
        apiSecret: z.string().min(1).describe("Secret of its Measurement Protocol."),
        url: httpUrl.default("https://www.google-analytics.com").describe("Where it is."),
      })
      .describe("GA4, by its Measurement Protocol."),
    ...destinationCommon,
  }),
  z.strictObject({
    meta: z
      .strictObject({
        pixelId: z
          .string()
          .regex(/^\d{1,30}$/, "a pixel's id is a number")
          .describe("The pixel."),
        accessToken: z.string().min(1).describe("Token of its Conversions API."),
        testCode: z.string().default("").describe("Has events shown under tests."),
        url: httpUrl.default("https://graph.facebook.com/v21.0").describe("Where it is."),
      })
      .describe("Meta, by its Conversions API."),
    ...destinationCommon,
  }),
  z.strictObject({
    webhook: z
      .strictObject({
        url: httpUrl.describe("Where events are posted to."),
        headers: fieldMap.default({}).describe("More fields."),
        secret: z.string().default("").describe("Signs bodies with HMAC-SHA256 in `X-Sluice-Signature`."),
        format: z
          .enum(["json", "ndjson", "kafka"])
          .default("json")
          .describe("A list, lines, or what a Kafka REST proxy takes."),
      })
      .describe("An address that events are posted to."),
    ...destinationCommon,
  }),
  z.strictObject({
    file: z.strictObject({ path: z.string().min(1).describe("Lines of JSON are appended to it.") }).describe("A file."),
    ...destinationCommon,
  }),
  z.strictObject({
    s3: z
      .strictObject({
        endpoint: httpUrl.describe("Where the storage is."),
        bucket: z.string().min(1).describe("The bucket."),
        region: z.string().default("us-east-1").describe("Its region."),
        accessKeyId: z.string().min(1).describe("The key."),
        secretAccessKey: z.string().min(1).describe("Its secret."),
        prefix: z.string().default("events/").describe("Begins the names of objects."),
      })
      .describe("Storage that speaks S3; each batch becomes an object."),
    ...destinationCommon,
  }),
]);

const opaqueSchema = z.strictObject({
  secret: z.string().min(16, "a secret has at least 16 characters").describe("Names are made of it."),
  rotate: duration
    .default(millis(2_592_000_000))
    .refine((ms) => ms >= 3_600_000, "the least is 1h")
    .describe("How long names hold; at least 1h."),
  overlap: duration.default(millis(604_800_000)).describe("How long those of before are still known after that."),
  cloak: z.boolean().default(false).describe("Encodes the queries of hits as well, until they are here."),
});

export const taggingSchema = z.strictObject({
  preset: z
    .enum(["google-tag-gateway", "sgtm", "ga4", "plausible", "matomo", "posthog", "umami", "custom"])
    .default("custom")
    .describe("Whose scripts and hits come this way."),
  id: tagId.optional().describe("The tag's id, for `google-tag-gateway`."),
  to: z.string().optional().describe("Where the vendor is, in place of its own servers: an upstream or a URL."),
  preview: z
    .string()
    .optional()
    .describe(
      "For `sgtm`: where requests of its preview go, and only they: an upstream or a URL. As `to` when absent.",
    ),
  opaque: opaqueSchema
    .optional()
    .describe("Gives scripts and what takes events names that say nothing, beside the usual ones."),
  scripts: z
    .array(
      z.strictObject({
        path: z.string().min(1).describe("Its path below that of the route."),
        from: httpUrl.describe("Where it is fetched from."),
      }),
    )
    .default([])
    .describe("For `custom`: scripts that are fetched from elsewhere and given out below the route's path."),
  token: z.string().optional().describe("For `matomo`: `token_auth` with write access, added here."),
  consent: consentSchema.prefault({}).describe("What somebody has agreed to, and what that means."),
  privacy: privacySchema.prefault({}).describe("What is taken out before anything is written down or passed on."),
  cookies: cookiesSchema.prefault({}).describe("Cookies of this gateway and of vendors."),
  origins: z
    .array(z.string().min(1))
    .default([])
    .describe("Other origins whose pages may send events, such as `https://shop.example.com`."),
  geo: z.string().min(1).optional().describe("File in MaxMind's format (`.mmdb`) by which places are found; followed."),
  bots: z
    .enum(["drop", "mark", "keep"])
    .default("drop")
    .describe("What becomes of events of programs: dropped, marked (`bot: true`), or taken like others."),
  limits: z
    .strictObject({
      body: size.default(byteCount(65_536)).describe("Longest body; 413 above it."),
      rate: requestRate.optional().describe("Requests of one address; 429 beyond it. 600/m when absent."),
    })
    .prefault({})
    .describe("How much one sender may send."),
  queue: z
    .strictObject({
      size: size.default(byteCount(1_073_741_824)).describe("Room for events that wait."),
      whenFull: z.enum(["oldest", "newest"]).default("oldest").describe("Which are dropped then."),
      flush: duration.default(millis(50)).describe("How long events may be in memory alone: so much a crash loses."),
      sync: z.boolean().default(true).describe("Forces them to the disk, so that the loss of power loses no more."),
    })
    .prefault({})
    .describe("Events that wait for their destinations; kept in `storage`."),
  destinations: z
    .record(z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/i), destinationSchema)
    .default({})
    .describe("Who gets the events."),
});

export type TaggingConfig = z.output<typeof taggingSchema>;
export type DestinationConfig = TaggingConfig["destinations"][string];
export type ConsentConfig = TaggingConfig["consent"];
export type PrivacyConfig = TaggingConfig["privacy"];
