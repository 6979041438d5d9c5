// The endpoints that show and change consumers. A change is answered when all workers act on it and other machines have
// been told, or cannot be now. Secrets are shown once, when they are made.
import { z } from "zod";
import {
  CREDENTIALS_MAX,
  consumerKeys,
  consumerName,
  credentialKeys,
  credentialKinds,
  KEY_HASH,
  kindsIn,
  ONE_KIND,
} from "../config/schema-consumers.ts";
import { wallClock } from "../core/clock.ts";
import type { PlanLimits } from "../core/plan-limits.ts";
import { parseDuration } from "../core/units.ts";
import type { ConsumerChange } from "../pipeline/events.ts";
import { json, problem, readBody } from "./admin-answers.ts";
import type { AdminCall, Endpoint } from "./admin-call.ts";
import type { Change, Edit } from "./consumer-book.ts";
import {
  changed,
  created,
  credentialAdded,
  credentialChanged,
  credentialRevoked,
  credentialRotated,
  type Made,
  newCredential,
  removed,
  successorOf,
  type Wanted,
} from "./consumer-changes.ts";
import type { ConsumerRecord, Settings } from "./consumer-record.ts";
import { type ConsumerReport, consumerReport } from "./consumer-report.ts";

const PAGE_DEFAULT = 100;
const PAGE_MAX = 1000;
/** How long the old key goes on beside the new one: a day for all programs to get it. */
const OVERLAP_DEFAULT = "24h";
const OVERLAP_MAX_MS = 365 * 86_400_000;

export const CONSUMER_ENDPOINTS: readonly Endpoint[] = [
  { method: "GET", path: "/api/consumers", handle: list },
  { method: "POST", path: "/api/consumers", handle: create },
  { method: "GET", path: "/api/consumers/:name", handle: show },
  { method: "PATCH", path: "/api/consumers/:name", handle: change },
  { method: "DELETE", path: "/api/consumers/:name", handle: remove },
  { method: "GET", path: "/api/consumers/:name/credentials", handle: credentials },
  { method: "POST", path: "/api/consumers/:name/credentials", handle: addCredential },
  { method: "PATCH", path: "/api/consumers/:name/credentials/:id", handle: changeCredential },
  { method: "DELETE", path: "/api/consumers/:name/credentials/:id", handle: revokeCredential },
  { method: "POST", path: "/api/consumers/:name/credentials/:id/rotate", handle: rotateCredential },
];

const wantedSchema = z
  .strictObject({ ...credentialKeys, ...credentialKinds, apiKey: KEY_HASH.or(z.literal(true)).optional() })
  .refine((credential) => kindsIn(credential).length === 1, ONE_KIND);

const newConsumerSchema = z.strictObject({
  name: consumerName,
  ...consumerKeys,
  credentials: z.array(wantedSchema).max(CREDENTIALS_MAX).default([]),
});

const settingsSchema = z.strictObject(consumerKeys);
/** Each key is checked where it is there; `null` takes it back. */
const orNull = (shape: Readonly<Record<string, z.ZodType>>) =>
  z.strictObject(Object.fromEntries(Object.keys(shape).map((key) => [key, z.unknown().optional()])));
const patchSchema = orNull(consumerKeys);
const credentialPatchSchema = orNull(credentialKeys);
const credentialKeysSchema = z.strictObject(credentialKeys);

const rotateSchema = z.strictObject({
  overlap: z
    .string()
    .refine(
      (text) => (parseDuration(text) ?? Number.POSITIVE_INFINITY) <= OVERLAP_MAX_MS,
      "write it like 0s, 1h or 7d, up to 365d",
    )
    .default(OVERLAP_DEFAULT),
});

// ——— what there is

function reportOf({ backend }: AdminCall, name: string): ConsumerReport | null {
  const { consumers } = backend.commons;
  return consumerReport(name, configuredOf(backend, name), consumers.find(name), wallClock());
}

function configuredOf({ commons }: AdminCall["backend"], name: string) {
  const { configured } = commons.consumers;
  return Object.hasOwn(configured, name) ? configured[name] : undefined;
}

const etagOf = ({ version }: { readonly version: number }): string => `"${version}"`;

function list(call: AdminCall): Response {
  const { consumers } = call.backend.commons;
  const { searchParams } = new URL(call.request.url, "http://localhost");
  const after = searchParams.get("after") ?? "";
  const prefix = searchParams.get("prefix") ?? "";
  const text = searchParams.get("limit") ?? String(PAGE_DEFAULT);
  const limit = /^\d{1,6}$/.test(text) ? Math.min(Number(text), PAGE_MAX) : 0;
  if (limit === 0) return problem(400, `"limit" is a number from 1 to ${PAGE_MAX}.`);
  const kept = consumers.page(after, prefix, limit + 1);
  const configured = Object.keys(consumers.configured).filter((name) => name > after && name.startsWith(prefix));
  const names = [...new Set([...kept.map(({ name }) => name), ...configured])].sort().slice(0, limit + 1);
  const byName = new Map<string, ConsumerRecord>(kept.map((record) => [record.name, record]));
  const now = wallClock();
  const reports = names
    .slice(0, limit)
    .flatMap((name) => consumerReport(name, configuredOf(call.backend, name), byName.get(name) ?? null, now) ?? []);
  const next = names.length > limit ? names[limit - 1] : null;
  return json({ consumers: reports, next, kept: consumers.size });
}

function show(call: AdminCall): Response {
  const report = reportOf(call, call.params[0]!);
  return report === null ? NOBODY() : json(report, 200, { etag: etagOf(report) });
}

function credentials(call: AdminCall): Response {
  const report = reportOf(call, call.params[0]!);
  return report === null ? NOBODY() : json({ credentials: report.credentials }, 200, { etag: etagOf(report) });
}

const NOBODY = (): Response => problem(404, "There is no consumer of that name.");

// ——— what changes it

interface Told {
  readonly change: ConsumerChange;
  readonly credential: string;
  readonly status: 200 | 201;
  /** What was made, and is shown this once. */
  readonly made?: Made | undefined;
}

async function edit(call: AdminCall, name: string, how: Change, told: Told): Promise<Response> {
  const { backend, log, request } = call;
  const { consumers } = backend.commons;
  if (!consumers.isOpen)
    return problem(409, "Nothing asks for consumers: write `consumers: {}` into the configuration.");
  const version = versionOf(request.headers.get("if-match"));
  if (version === "malformed") return problem(400, 'If-Match is the ETag of the consumer, such as "3".');
  const result = await consumers.edit(name, version, how);
  if (result.kind !== "done") return refusal(result, told.credential);
  await backend.heard();
  const { change, credential } = told;
  log.info(`admin: consumer ${change.replace("-", " ")}`, {
    consumer: name,
    ...(credential === "" ? {} : { credential }),
  });
  backend.events.publish({ kind: "consumer", consumer: name, change, credential });
  return answer(call, result, told);
}

function answer(call: AdminCall, { record, others }: Extract<Edit, { kind: "done" }>, told: Told): Response {
  const report = reportOf(call, record.name);
  const more = others === "none" ? {} : { others };
  if (report === null || record.content === null) return json({ name: record.name, removed: true, ...more });
  const path = `/api/consumers/${encodeURIComponent(record.name)}`;
  const { credential, status, made = {} } = told;
  const headers = { etag: etagOf(report), ...(status === 201 ? { location: path } : {}) };
  if (credential === "") return json({ ...report, ...made, ...more }, status, headers);
  const one = report.credentials.find(({ id, source }) => id === credential && source === "api");
  const body = one === undefined ? { id: credential, revoked: true } : { credential: one };
  return json({ consumer: record.name, ...body, ...made, ...more }, status, headers);
}

/** The version that a change is for; null for whatever there is. */
function versionOf(ifMatch: string | null): number | null | "malformed" {
  if (ifMatch === null || ifMatch === "*") return null;
  const digits = /^(?:W\/)?"(\d{1,15})"$/.exec(ifMatch)?.[1];
  return digits === undefined ? "malformed" : Number(digits);
}

function refusal(edit: Exclude<Edit, { kind: "done" }>, credential: string): Response {
  if (edit.kind === "absent")
    return credential === "" ? NOBODY() : problem(404, "There is no such consumer, or no such credential of his.");
  if (edit.kind === "stale") {
    const detail = "Somebody else has changed the consumer: look at it again.";
    return problem(412, detail, { version: edit.version }, { etag: etagOf(edit) });
  }
  const errors = edit.path === "" ? {} : { errors: [{ path: edit.path, message: edit.why }] };
  return problem(edit.status, `This cannot be: ${edit.why}.`, errors);
}

/** What is said of a consumer, as it is kept and as it is counted by. */
function settingsOf(raw: Readonly<Record<string, unknown>>): readonly [Settings, PlanLimits | null] {
  const { limits, ...settings } = settingsSchema.parse(raw);
  return [{ ...settings, ...(raw.limits === undefined ? {} : { limits: raw.limits }) }, limits ?? null];
}

async function create(call: AdminCall): Promise<Response> {
  const raw = await readBody(call.request, z.record(z.string(), z.unknown()), 422, "The body is no consumer.");
  if (raw instanceof Response) return raw;
  const body = parsed(newConsumerSchema, raw.value, "The body is no consumer.");
  if (body instanceof Response) return body;
  const { name } = body;
  const { name: _name, credentials: wanted, ...rest } = raw.value;
  if (configuredOf(call.backend, name) !== undefined)
    return problem(409, "The configuration has a consumer of that name already.");
  const now = wallClock();
  const made = await Promise.all(body.credentials.map((one) => newCredential(wantedOf(one), now)));
  const [settings, limits] = settingsOf(rest);
  const all = made.map(({ credential }) => credential);
  const secrets = made.flatMap(({ credential, made: one }) =>
    Object.keys(one).length === 0 ? [] : [{ credential: credential.id, ...one }],
  );
  const shown = secrets.length === 0 ? {} : ({ made: secrets } as Made);
  return edit(call, name, created(settings, limits, all, now), {
    change: "created",
    credential: "",
    status: 201,
    made: shown,
  });
}

const wantedOf = (one: z.output<typeof wantedSchema>): Wanted => one as Wanted;

function parsed<T>(schema: z.ZodType<T>, value: unknown, detail: string): T | Response {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  return problem(422, detail, { errors });
}

async function change(call: AdminCall): Promise<Response> {
  const body = await readBody(call.request, patchSchema, 422, "The body does not say what is to be changed.");
  if (body instanceof Response) return body;
  const given = Object.fromEntries(Object.entries(body.value).filter(([, value]) => value !== null));
  const wrong = parsed(settingsSchema, given, "The body does not say what is to be changed.");
  if (wrong instanceof Response) return wrong;
  const name = call.params[0]!;
  if (configuredOf(call.backend, name) !== undefined && call.backend.commons.consumers.find(name) === null)
    return problem(409, "The configuration says who this consumer is: change it there.");
  const how = changed(body.value, (merged) => settingsOf(merged as Record<string, unknown>));
  return edit(call, name, how, { change: "changed", credential: "", status: 200 });
}

async function remove(call: AdminCall): Promise<Response> {
  const name = call.params[0]!;
  const how = removed(configuredOf(call.backend, name) !== undefined);
  return edit(call, name, how, { change: "removed", credential: "", status: 200 });
}

async function addCredential(call: AdminCall): Promise<Response> {
  const body = await readBody(call.request, wantedSchema, 422, "The body is no credential.");
  if (body instanceof Response) return body;
  const name = call.params[0]!;
  const now = wallClock();
  const { credential, made } = await newCredential(wantedOf(body.value), now);
  const how = credentialAdded(credential, configuredOf(call.backend, name) !== undefined, now);
  const response = await edit(call, name, how, {
    change: "credential-added",
    credential: credential.id,
    status: 201,
    made,
  });
  return response;
}

async function changeCredential(call: AdminCall): Promise<Response> {
  const body = await readBody(call.request, credentialPatchSchema, 422, "The body does not say what is to be changed.");
  if (body instanceof Response) return body;
  const given = Object.fromEntries(Object.entries(body.value).filter(([, value]) => value !== null));
  const wrong = parsed(credentialKeysSchema, given, "The body does not say what is to be changed.");
  if (wrong instanceof Response) return wrong;
  const [name = "", id = ""] = call.params;
  const patch = body.value.disabled === null ? { ...body.value, disabled: false } : body.value;
  const how = credentialChanged(id, patch, wallClock());
  return edit(call, name, how, { change: "credential-changed", credential: id, status: 200 });
}

async function revokeCredential(call: AdminCall): Promise<Response> {
  const [name = "", id = ""] = call.params;
  const how = credentialRevoked(id, wallClock());
  return edit(call, name, how, { change: "credential-revoked", credential: id, status: 200 });
}

async function rotateCredential(call: AdminCall): Promise<Response> {
  const body = await readBody(call.request, rotateSchema, 422, "The body does not say how.");
  if (body instanceof Response) return body;
  const [name = "", id = ""] = call.params;
  const old = call.backend.commons.consumers.find(name)?.content?.credentials.find((one) => one.id === id);
  if (old === undefined) return refusal({ kind: "absent" }, id);
  const now = wallClock();
  const next = await successorOf(old, now);
  if (next === null)
    return problem(
      422,
      "Only keys, and secrets that requests are signed with, can be made anew: add another credential.",
    );
  const how = credentialRotated(id, next.credential, parseDuration(body.value.overlap)!, now);
  return edit(call, name, how, {
    change: "credential-rotated",
    credential: next.credential.id,
    status: 201,
    made: next.made,
  });
}
