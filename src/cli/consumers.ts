// `sluice consumers`: who uses the API of a running proxy, with their keys. What is made is shown once, on stdout.
import type { Command } from "commander";
import type { ConsumerReport, CredentialReport } from "../control/consumer-report.ts";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";

interface ListFlags extends AdminFlags {
  readonly prefix?: string;
  readonly after?: string;
  readonly limit: string;
}

interface AddFlags extends AdminFlags {
  readonly group?: readonly string[];
  readonly scope?: readonly string[];
  readonly plan?: string;
  readonly expires?: string;
  readonly claim?: readonly string[];
  readonly rate?: string;
  readonly quota?: readonly string[];
  readonly concurrent?: string;
  readonly key?: true;
}

interface KeyFlags extends AdminFlags {
  readonly name?: string;
  readonly expires?: string;
  readonly scope?: readonly string[];
}

interface RotateFlags extends AdminFlags {
  readonly overlap?: string;
}

const EXIT_USAGE = 2;

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value];
const pathOf = (name: string, ...more: readonly string[]): string =>
  ["/api/consumers", name, ...more].map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join("/");

export function register(program: Command): void {
  const consumers = program.command("consumers").description("who uses the API of a running proxy, and their keys");
  withAdminFlags(
    consumers
      .command("list")
      .description("list them by name")
      .option("--prefix <text>", "those whose names begin so")
      .option("--after <name>", "those behind this name")
      .option("--limit <count>", "how many at most", "100"),
  ).action(list);
  withAdminFlags(
    consumers
      .command("add")
      .description("add a consumer")
      .argument("<name>", "what the consumer is called")
      .option("--group <group>", "a group that the consumer is in; may be given again", collect)
      .option("--scope <scope>", "what the keys are for; may be given again", collect)
      .option("--plan <plan>", "the plan")
      .option("--expires <date>", "when it ends, such as 2027-01-31")
      .option("--claim <name=value>", "more about the consumer; may be given again", collect)
      .option("--rate <rate>", "requests in the long run, in place of the plan's, such as 100/s")
      .option(
        "--quota <quota>",
        "requests in a period, in place of the plan's, such as 100000/d; again for another",
        collect,
      )
      .option("--concurrent <count>", "requests under way at a time, in place of the plan's")
      .option("--key", "make a first key, and show it"),
  ).action(add);
  const one = (command: string, text: string): Command =>
    withAdminFlags(consumers.command(command).description(text).argument("<name>", "the consumer"));
  one("show", "show a consumer").action((name: string, flags: AdminFlags) =>
    ask(flags, "GET", pathOf(name), ({ body }) => console.log(consumerText(body as ConsumerReport))),
  );
  one("disable", "refuse a consumer, until he is enabled again").action((name: string, flags: AdminFlags) =>
    change(flags, name, true),
  );
  one("enable", "let a consumer in again").action((name: string, flags: AdminFlags) => change(flags, name, false));
  one("remove", "remove a consumer with all credentials").action((name: string, flags: AdminFlags) =>
    ask(flags, "DELETE", pathOf(name), ({ status, body }) => told(status, body, () => `${name} is removed`)),
  );
  registerKeys(consumers);
}

function registerKeys(consumers: Command): void {
  const keys = consumers.command("key").description("the keys of a consumer");
  const named = (command: string, text: string): Command =>
    withAdminFlags(keys.command(command).description(text).argument("<name>", "the consumer"));
  named("add", "make a key, and show it")
    .option("--name <name>", "what it is called")
    .option("--expires <date>", "when it ends, such as 2027-01-31")
    .option("--scope <scope>", "what it is for, in place of all of the consumer's; may be given again", collect)
    .action((name: string, { name: called, expires, scope: scopes, ...flags }: KeyFlags) =>
      ask(flags, "POST", pathOf(name, "credentials"), ({ status, body }) => told(status, body, madeText), {
        apiKey: true,
        ...{ name: called, expires, scopes },
      }),
    );
  named("rotate", "make a key in place of one, which goes on for a while")
    .argument("<id>", "the id of the key, as `show` prints it")
    .option("--overlap <duration>", "how long the old one goes on (default: 24h)")
    .action((name: string, id: string, { overlap, ...flags }: RotateFlags) =>
      ask(
        flags,
        "POST",
        pathOf(name, "credentials", id, "rotate"),
        ({ status, body }) => told(status, body, madeText),
        {
          overlap,
        },
      ),
    );
  named("revoke", "refuse a key, or another credential, from now on")
    .argument("<id>", "its id, as `show` prints it")
    .action((name: string, id: string, flags: AdminFlags) =>
      ask(flags, "DELETE", pathOf(name, "credentials", id), ({ status, body }) =>
        told(status, body, () => `${id} of ${name} is revoked`),
      ),
    );
}

function list({ prefix, after, limit, ...flags }: ListFlags): Promise<void> {
  const query = new URLSearchParams({ limit });
  if (prefix !== undefined) query.set("prefix", prefix);
  if (after !== undefined) query.set("after", after);
  return ask(flags, "GET", `/api/consumers?${query}`, ({ body }) => {
    const { consumers, next } = body as { consumers: ConsumerReport[]; next: string | null };
    for (const consumer of consumers) console.log(lineOf(consumer));
    if (consumers.length === 0) console.log("there are no consumers");
    if (next !== null) console.log(`there are more: --after ${next}`);
  });
}

async function add(name: string, options: AddFlags): Promise<void> {
  const { group: groups, scope: scopes, plan, expires, claim = [], rate, quota, concurrent, key, ...flags } = options;
  const claims = claimsOf(claim);
  if (claims === null) {
    console.error("sluice: write a claim as name=value");
    process.exitCode = EXIT_USAGE;
    return;
  }
  const own = { rate, quota, ...(concurrent === undefined ? {} : { concurrent: Number(concurrent) }) };
  const limits = Object.values(own).some((value) => value !== undefined) ? own : undefined;
  const credentials = key === undefined ? undefined : [{ apiKey: true }];
  const body = { name, groups, scopes, plan, expires, claims, limits, credentials };
  await ask(flags, "POST", "/api/consumers", ({ status, body: answer }) => told(status, answer, addedText), body);
}

function claimsOf(texts: readonly string[]): Record<string, string> | null {
  const claims: Record<string, string> = {};
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals < 1) return null;
    claims[text.slice(0, equals)] = text.slice(equals + 1);
  }
  return claims;
}

function change(flags: AdminFlags, name: string, disabled: boolean): Promise<void> {
  const text = (): string => `${name} is ${disabled ? "disabled" : "enabled"}`;
  return ask(flags, "PATCH", pathOf(name), ({ status, body }) => told(status, body, text), { disabled });
}

/** What has come of a change, or what was wrong with it. */
function told(status: number, body: unknown, text: (body: unknown) => string): void {
  if (status === 422) {
    const { detail, errors = [] } = body as { detail: string; errors?: { path: string; message: string }[] };
    console.error(`sluice: ${detail}`);
    for (const { path, message } of errors) console.error(`  ${path}: ${message}`);
    return;
  }
  console.log(text(body));
  if ((body as { others?: string }).others === "later")
    console.error("sluice: other machines cannot be told now, and will be as soon as they can");
}

const ONCE = "it is shown this once: keep it where only its owner can read it";

function madeText(body: unknown): string {
  const { credential, key, secret } = body as { credential: CredentialReport; key?: string; secret?: string };
  const made = key ?? secret ?? "";
  return `${key === undefined ? "secret" : "key"}: ${made}\nid:  ${credential.id}\n${ONCE}`;
}

function addedText(body: unknown): string {
  const { name, made = [] } = body as ConsumerReport & { made?: { credential: string; key?: string }[] };
  const keys = made.map(({ credential, key }) => `key: ${key}\nid:  ${credential}\n${ONCE}`);
  return [`${name} is added`, ...keys].join("\n");
}

function lineOf({ name, state, source, plan, groups, credentials }: ConsumerReport): string {
  const about = [
    ...(state === "active" ? [] : [state]),
    ...(plan === undefined ? [] : [`plan ${plan}`]),
    ...(groups.length === 0 ? [] : [`groups ${groups.join(", ")}`]),
    `${credentials.length} credentials`,
    ...(source === "configuration" ? ["in the configuration"] : []),
  ];
  return `${name}: ${about.join("; ")}`;
}

function consumerText(consumer: ConsumerReport): string {
  const { scopes, expires, claims, limits, credentials } = consumer;
  const lines = [lineOf(consumer)];
  if (scopes.length > 0) lines.push(`  scopes ${scopes.join(", ")}`);
  if (expires !== undefined) lines.push(`  ends ${expires}`);
  if (Object.keys(claims).length > 0) lines.push(`  claims ${JSON.stringify(claims)}`);
  if (limits !== undefined) lines.push(`  limits ${JSON.stringify(limits)}`);
  for (const credential of credentials) lines.push(`  ${credentialText(credential)}`);
  return lines.join("\n");
}

function credentialText(credential: CredentialReport): string {
  const { id, kind, source, state, name, expires, scopes, hint, self } = credential;
  const details = credential[kind];
  const about = [
    ...(name === undefined ? [] : [name]),
    ...(hint === undefined ? [] : [`…${hint}`]),
    ...(details === undefined ? [] : [JSON.stringify(details)]),
    ...(scopes === undefined ? [] : [`scopes ${scopes.join(", ")}`]),
    ...(expires === undefined ? [] : [`ends ${expires}`]),
    ...(state === "active" ? [] : [state]),
    ...(source === "configuration" ? ["in the configuration"] : []),
    ...(self === true ? ["made by its owner"] : []),
  ];
  return `${source === "configuration" ? "-" : id} ${kind}${about.length === 0 ? "" : ` ${about.join("; ")}`}`;
}
