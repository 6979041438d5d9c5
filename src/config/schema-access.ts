// `access`: who may ask, from where, and when.
import { z } from "zod";

const networks = (what: string) => z.array(z.string()).optional().describe(what);
const files = (what: string) => z.array(z.string().min(1)).optional().describe(what);

/** Addresses, for routes and for listeners. The most specific entry decides; `deny` where two are alike. */
const addressKeys = {
  allow: networks("Addresses and networks that may; where it is there, all others may not."),
  deny: networks("Addresses and networks that may not."),
  allowFiles: files("Files with more of `allow`, one on each line; followed."),
  denyFiles: files("Files with more of `deny`, one on each line; followed."),
};

const countryCode = z.string().regex(/^[A-Z]{2}$/, "write a country as two capital letters (ISO 3166), such as DE");
const database = z.string().min(1).describe("File in MaxMind's format (`.mmdb`); followed.");

const time = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/, "write a time like 08:00 or 17:30");
const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

export const accessSchema = z.strictObject({
  ...addressKeys,
  countries: z
    .strictObject({
      database,
      allow: z.array(countryCode).min(1).optional().describe("Countries that may; all others may not."),
      deny: z.array(countryCode).min(1).optional().describe("Countries that may not."),
    })
    .optional()
    .describe("Countries of clients."),
  networks: z
    .strictObject({
      database,
      allow: z.array(z.int().min(1)).min(1).optional().describe("Numbers of autonomous systems that may."),
      deny: z.array(z.int().min(1)).min(1).optional().describe("Numbers of autonomous systems that may not."),
    })
    .optional()
    .describe("Networks of clients, by the number of their autonomous system (ASN)."),
  methods: z.array(z.string()).min(1).optional().describe("Methods that may; 405 for others."),
  times: z
    .array(
      z.strictObject({
        days: z.array(z.enum(WEEKDAYS)).min(1).optional().describe("Days of the week; all when absent."),
        from: time.default("00:00").describe("When it begins."),
        to: time.default("24:00").describe("When it ends; before `from`, on the next day."),
        zone: z.string().default("UTC").describe("Time zone, such as `Europe/Berlin`."),
      }),
    )
    .min(1)
    .optional()
    .describe("When it is open; at all other times nobody may."),
});

/** Of a listener: before a byte is read. */
export const listenerAccessSchema = z.strictObject({
  ...addressKeys,
  drop: z
    .enum(["close", "tarpit"])
    .default("close")
    .describe("What becomes of the connections of others, those denied at run time included: closed, or kept waiting."),
});

export type AccessConfig = z.output<typeof accessSchema>;
export type ListenerAccessConfig = z.output<typeof listenerAccessSchema>;
