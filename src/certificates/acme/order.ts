// One order from the first request to the certificate (RFC 8555 §7.4), or the rest of one that a crash cut short.
import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import type { Authorization, Client, Order } from "acme-client";
import { readCertificate } from "../certificate.ts";
import { keyToPem } from "../issue.ts";
import type { Directory } from "./directory.ts";
import { pause } from "./pauses.ts";
import { AcmeProblem, problemOf } from "./problem.ts";
import type { AcmeKeyType, ChallengeKind } from "./settings.ts";
import type { OrderRecord, Vault } from "./vault.ts";

export interface OrderJob {
  readonly name: string;
  readonly keyType: AcmeKeyType;
  readonly challenge: ChallengeKind;
  readonly directory: Directory;
  /** The certificate that the new one replaces (RFC 9773 §5), if it came from there. */
  readonly replaces: string | null;
  readonly signal: AbortSignal;
}

/** Makes the answer to a challenge visible, and takes it away again. */
export interface Solver {
  present(challenge: ChallengeToSolve, signal: AbortSignal): Promise<void>;
  cleanUp(challenge: ChallengeToSolve): Promise<void>;
}

export interface ChallengeToSolve {
  readonly kind: ChallengeKind;
  /** Without `*.`. */
  readonly name: string;
  readonly token: string;
  /** RFC 8555 §8.1; for dns-01 its digest, which is the value of the record. */
  readonly keyAuthorization: string;
}

export interface OrderTools {
  readonly vault: Vault;
  readonly solver: Solver;
}

/** How often we look at something that the authority works on: slower each time, or as it says itself. */
const LOOK_FIRST_MS = 250;
const LOOK_LONGEST_MS = 5000;
const LOOK_GROWTH = 1.5;
/** How long an authority may work on one challenge or order. */
const WORK_MS = 180_000;

const newKeyPair = promisify(generateKeyPair);

/**
 * Orders a certificate for one name, or goes on with an order that is known from before. It stays noted in the vault
 * until `finishOrder`, so that nothing is lost if we die before the certificate is stored.
 *
 * @throws AcmeProblem when the authority refuses, the challenge fails, or what comes back cannot be used; the reason of
 *   the signal when that called it off
 */
export async function obtain(job: OrderJob, tools: OrderTools): Promise<{ chainPem: string; keyPem: string }> {
  const { directory, name, signal } = job;
  const { client, library } = await directory.session(signal);
  const { order: begun, keyPem } = (await resume(client, job, tools.vault)) ?? (await begin(client, job, tools.vault));
  try {
    let order = begun;
    if (order.status === "pending") {
      await authorize(client, order, job, tools.solver);
      order = await follow(directory, signal, () => client.getOrder(order), "pending");
    }
    if (order.status === "ready") {
      const [, csr] = await library.crypto.createCsr({ altNames: [name] }, keyPem);
      await directory.call(signal, () => client.finalizeOrder(order, csr));
    }
    order = await follow(directory, signal, () => client.getOrder(order), "pending", "ready", "processing");
    const chainPem = await directory.call(signal, () => client.getCertificate(order));
    return checked(chainPem, keyPem, name);
  } catch (error) {
    if (isFinal(error)) await finishOrder(job, tools.vault);
    throw error;
  }
}

/** After a broken line or an outage an order can be gone on with; after a no it cannot. */
const isFinal = (error: unknown): boolean =>
  error instanceof AcmeProblem && error.type !== "unreachable" && error.status < 500 && error.status !== 429;

/** Forgets the order: its certificate is stored, or it will never be. */
export const finishOrder = ({ directory, name }: OrderJob, vault: Vault): Promise<void> =>
  vault.forgetOrder(directory.id, name);

interface Begun {
  readonly order: Order;
  readonly keyPem: string;
}

async function resume(client: Client, job: OrderJob, vault: Vault): Promise<Begun | null> {
  const { directory, name, signal } = job;
  const record = await vault.order(directory.id, name);
  if (record === null) return null;
  try {
    const order = await directory.call(signal, () => client.getOrder({ url: record.url } as Order));
    if (order.status !== "invalid") return { order, keyPem: record.keyPem };
  } catch (error) {
    if (!isFinal(error)) throw error;
  }
  await finishOrder(job, vault);
  return null;
}

async function begin(client: Client, job: OrderJob, vault: Vault): Promise<Begun> {
  const { directory, name, signal, replaces } = job;
  await directory.spend(signal);
  const identifiers = [{ type: "dns", value: name }];
  const create = (more: object): Promise<Order> =>
    directory.call(signal, () => client.createOrder({ identifiers, ...more }));
  let order: Order;
  if (replaces === null) order = await create({});
  else {
    // Refused when it was replaced before (RFC 9773 §5), or by an authority that forgot it: then it is just an order.
    order = await create({ replaces }).catch((error: unknown) => {
      const isRefusal =
        error instanceof AcmeProblem && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (!isRefusal) throw error;
      return create({});
    });
  }
  const record: OrderRecord = { url: order.url, keyPem: await newKey(job.keyType) };
  await vault.saveOrder(directory.id, name, record);
  return { order, keyPem: record.keyPem };
}

async function authorize(client: Client, order: Order, job: OrderJob, solver: Solver): Promise<void> {
  const { directory, signal } = job;
  const authorizations = await directory.call(signal, () => client.getAuthorizations(order));
  for (const authorization of authorizations)
    if (authorization.status !== "valid") await solve(client, authorization, job, solver);
}

async function solve(client: Client, authorization: Authorization, job: OrderJob, solver: Solver): Promise<void> {
  const { directory, signal, challenge: kind } = job;
  const { value: name } = authorization.identifier;
  const challenge = authorization.challenges.find(({ type }) => type === kind);
  if (challenge === undefined) {
    const offered = authorization.challenges.map(({ type }) => type).join(", ");
    throw new AcmeProblem({ type: "unusable", detail: `the authority offers ${offered} for ${name}, not ${kind}` });
  }
  const keyAuthorization = await client.getChallengeKeyAuthorization(challenge);
  const toSolve = { kind, name, token: challenge.token, keyAuthorization };
  try {
    await solver.present(toSolve, signal);
    if (challenge.status === "pending") await directory.call(signal, () => client.completeChallenge(challenge));
    // The public way to read one authorization is to read those of an order that has only that.
    const only = { authorizations: [authorization.url] } as Order;
    const read = async (): Promise<Authorization> => (await client.getAuthorizations(only))[0]!;
    await follow(directory, signal, read, "pending");
  } finally {
    await solver.cleanUp(toSolve);
  }
}

interface Followed {
  readonly status: string;
}

/**
 * Looks until the status is none of those in which the authority is at work.
 *
 * @throws AcmeProblem when it ends badly, with the authority's reason, or takes too long
 */
async function follow<T extends Followed>(
  directory: Directory,
  signal: AbortSignal,
  read: () => Promise<T>,
  ...working: readonly string[]
): Promise<T> {
  let waitedMs = 0;
  for (let nextMs = LOOK_FIRST_MS; ; nextMs = Math.min(nextMs * LOOK_GROWTH, LOOK_LONGEST_MS)) {
    const { item, retryAfterMs } = await directory.call(signal, async (context) => {
      const item = await read();
      return { item, retryAfterMs: context.retryAfterMs };
    });
    if (!working.includes(item.status)) {
      if (item.status === "valid" || item.status === "ready") return item;
      throw endOf(item);
    }
    const waitMs = retryAfterMs === null ? nextMs : Math.max(LOOK_FIRST_MS, Math.min(retryAfterMs, LOOK_LONGEST_MS));
    if (waitedMs + waitMs > WORK_MS)
      throw new AcmeProblem({ type: "unusable", detail: `still ${item.status} after ${WORK_MS / 1000} s` });
    await pause(waitMs, signal);
    waitedMs += waitMs;
  }
}

function endOf(item: Followed): AcmeProblem {
  const { error, challenges = [] } = item as {
    readonly error?: unknown;
    readonly challenges?: readonly { readonly error?: unknown }[];
  };
  const reason = error ?? challenges.find((each) => each.error !== undefined)?.error;
  return reason === undefined ? problemOf({ detail: `it became ${item.status}` }, 0) : problemOf(reason, 0);
}

function checked(chainPem: string, keyPem: string, name: string): { chainPem: string; keyPem: string } {
  const { certificate, error } = readCertificate(chainPem, keyPem);
  if (certificate?.names.includes(name)) return { chainPem: certificate.chainPem, keyPem: certificate.keyPem };
  const detail = `the authority sent a certificate that cannot be used: ${error?.message ?? `it is not for ${name}`}`;
  throw new AcmeProblem({ type: "unusable", detail });
}

async function newKey(type: AcmeKeyType): Promise<string> {
  if (type === "ecdsa-p256" || type === "ecdsa-p384") {
    const namedCurve = type === "ecdsa-p256" ? "prime256v1" : "secp384r1";
    return keyToPem((await newKeyPair("ec", { namedCurve })).privateKey);
  }
  return keyToPem((await newKeyPair("rsa", { modulusLength: type === "rsa-2048" ? 2048 : 4096 })).privateKey);
}
