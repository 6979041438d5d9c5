// Who may of those that are known: `allow` and `require`, which every kind of `auth` can have.
import { z } from "zod";

/** What an entry of `auth` says of consumers. */
export const consumersMode = z
  .enum(["required", "optional"])
  .optional()
  .describe("Finds the consumer whose credentials these are. `required`: 403 for those who are none.");

export const takesConsumers = (what: string) =>
  z.boolean().default(false).describe(`Takes the ${what} of \`consumers\` as well, those of the admin API included.`);

const text = z.string().min(1);
const claimValue = z.union([text, z.number(), z.boolean()]);

const members = {
  users: z.array(text).optional().describe("Names of users, keys or machines."),
  emails: z
    .array(z.string().regex(/^(?:\*|[^\s@*]+)@[^\s@*]+$/, "write ann@example.com, or *@example.com for a whole domain"))
    .optional()
    .describe("Addresses that are verified; `*@example.com` for all of a domain."),
  domains: z
    .array(z.string().regex(/^(?:\*\.)?[^\s@*]+$/, "write example.com, or *.example.com for all below"))
    .optional()
    .describe("Domains of verified addresses; `*.example.com` for all below."),
  groups: z.array(text).optional().describe("Groups."),
  consumers: z.array(text).optional().describe("Names of consumers."),
  plans: z.array(text).optional().describe("Plans of consumers."),
  scopes: z.array(text).optional().describe("Scopes."),
  scopeSets: z.array(z.array(text)).optional().describe("Sets of scopes: all of one of them are needed."),
  claims: z
    .record(text, z.union([claimValue, z.array(claimValue)]))
    .optional()
    .describe("Claims by name: a value, or a list for any of them. Of a claim that is a list, one has to be it."),
};

const notEmpty = (rule: object): boolean => Object.keys(rule).length > 0;
const EMPTY =
  "it holds no rule: name users, emails, domains, groups, consumers, plans, scopes or claims, or leave it out";

/** One of the rules is enough; an empty list lets nobody in. */
export const allowSchema = z
  .strictObject(members)
  .refine(notEmpty, EMPTY)
  .describe("Who may: whoever is in one of these lists. An empty list has nobody in it.");

/** All of the rules have to hold, each by one member of its list. */
export const requireSchema = z
  .strictObject(members)
  .refine(notEmpty, EMPTY)
  .describe("What has to hold besides: each of these lists has to have one that fits.");

export type RulesConfig = z.output<typeof allowSchema>;
