// Who may of those that are known: the `allow` and `require` of an entry of `auth`.
import type { RulesConfig } from "../config/schema-auth-rules.ts";
import type { Identity } from "../pipeline/identity.ts";

type Test = (identity: Identity) => boolean;

/** One key of a rule, and who fits it. */
interface Rule {
  readonly name: string;
  readonly test: Test;
}

export class Rules {
  readonly #allow: readonly Rule[] | null;
  readonly #require: readonly Rule[];

  constructor(allow: RulesConfig | undefined, require: RulesConfig | undefined) {
    this.#allow = allow === undefined ? null : rulesOf(allow);
    this.#require = require === undefined ? [] : rulesOf(require);
  }

  /** Why somebody may not, in words for the log; null for those who may. */
  refusal(identity: Identity): string | null {
    if (this.#allow !== null && !this.#allow.some(({ test }) => test(identity))) return "in no list of `allow`";
    const failed = this.#require.find(({ test }) => !test(identity));
    return failed === undefined ? null : `\`require.${failed.name}\` does not hold`;
  }
}

function rulesOf(config: RulesConfig): readonly Rule[] {
  const { users, emails, domains, groups, consumers, plans, scopes, scopeSets, claims } = config;
  const rules: Rule[] = [];
  const add = (name: string, test: Test): void => void rules.push({ name, test });
  if (users !== undefined)
    add(
      "users",
      memberOf(users, ({ user }) => [user]),
    );
  if (emails !== undefined) add("emails", emailTest(emails));
  if (domains !== undefined) add("domains", domainTest(domains));
  if (groups !== undefined)
    add(
      "groups",
      memberOf(groups, (identity) => identity.groups),
    );
  if (consumers !== undefined)
    add(
      "consumers",
      memberOf(consumers, ({ consumer }) => [consumer]),
    );
  if (plans !== undefined)
    add(
      "plans",
      memberOf(plans, ({ plan }) => [plan]),
    );
  if (scopes !== undefined)
    add(
      "scopes",
      memberOf(scopes, (identity) => identity.scopes),
    );
  if (scopeSets !== undefined)
    add("scopeSets", (identity) => scopeSets.some((set) => set.every((scope) => identity.scopes.includes(scope))));
  for (const [name, wanted] of Object.entries(claims ?? {})) add(`claims.${name}`, claimTest(name, [wanted].flat()));
  return rules;
}

function memberOf(list: readonly string[], of: (identity: Identity) => readonly string[]): Test {
  const wanted = new Set(list);
  return (identity) => of(identity).some((one) => wanted.has(one));
}

/**
 * The address of somebody in lower case. Null where it is not verified, and where it is none that means one mailbox: of
 * `a@evil.example@corp.example` programs make different things.
 */
function verifiedEmail({ claims }: Identity): string | null {
  const { email, email_verified: verified } = claims;
  if (typeof email !== "string" || verified !== true) return null;
  const at = email.indexOf("@");
  if (at < 1 || at === email.length - 1 || email.indexOf("@", at + 1) >= 0) return null;
  return email.toLowerCase();
}

const domainOf = (email: string): string => email.slice(email.indexOf("@") + 1);

function emailTest(emails: readonly string[]): Test {
  const whole = new Set(emails.filter((one) => !one.startsWith("*@")).map((one) => one.toLowerCase()));
  const domains = new Set(emails.filter((one) => one.startsWith("*@")).map((one) => one.slice(2).toLowerCase()));
  return (identity) => {
    const email = verifiedEmail(identity);
    return email !== null && (whole.has(email) || domains.has(domainOf(email)));
  };
}

function domainTest(list: readonly string[]): Test {
  const exact = new Set(list.filter((one) => !one.startsWith("*.")).map((one) => one.toLowerCase()));
  const below = list.filter((one) => one.startsWith("*.")).map((one) => one.slice(1).toLowerCase());
  return (identity) => {
    const email = verifiedEmail(identity);
    if (email === null) return false;
    const domain = domainOf(email);
    return exact.has(domain) || below.some((end) => domain.length > end.length && domain.endsWith(end));
  };
}

function claimTest(name: string, wanted: readonly unknown[]): Test {
  const values = new Set(wanted);
  return ({ claims }) => {
    if (!Object.hasOwn(claims, name)) return false;
    const value = claims[name];
    return Array.isArray(value) ? value.some((one) => values.has(one)) : values.has(value);
  };
}
