// What a request asks for, in the members that GraphQL over HTTP names. Anything that two servers could take for two
// different things is refused.

export interface Message {
  /** The document; null where it is named by its hash or id alone. */
  readonly query: string | null;
  /** "" for none. */
  readonly operationName: string;
  readonly variables: Readonly<Record<string, unknown>> | null;
  /** The SHA-256 of the document in lower-case hexadecimal, by `extensions.persistedQuery`; "" without one. */
  readonly hash: string;
  /** What else it is called by (`documentId`, `id`); "" for nothing. */
  readonly id: string;
}

export type Messages =
  | { readonly messages: readonly Message[]; readonly isBatch: boolean; readonly problem: null }
  | { readonly problem: string };

/** Members of a message. */
const MEMBERS = ["query", "operationName", "variables", "extensions", "documentId", "id"];
/** By these too some servers find documents, or what to do with them. */
const REFUSED = ["doc_id", "queryId", "hash", "operations", "map", "batch"];
const LOWER_CASE = new Map([...MEMBERS, ...REFUSED].map((name) => [name.toLowerCase(), name]));
const IDS_MAX = 256;
const SHA256 = /^[0-9a-f]{64}$/;

/** Reads a message or a batch of them. `batchMax` is how many there may be; `more` other members that are let through. */
export function readMessages(value: unknown, batchMax: number, more: readonly string[]): Messages {
  if (!Array.isArray(value)) {
    const message = readMessage(value, more);
    return typeof message === "string" ? { problem: message } : { messages: [message], isBatch: false, problem: null };
  }
  if (value.length === 0) return { problem: "The batch is empty." };
  if (value.length > batchMax)
    return { problem: batchMax <= 1 ? "Batches are not taken." : `A batch has at most ${batchMax} operations.` };
  const messages: Message[] = [];
  for (const each of value) {
    const message = readMessage(each, more);
    if (typeof message === "string") return { problem: message };
    messages.push(message);
  }
  return { messages, isBatch: true, problem: null };
}

/** The member that a name means: itself, "" for none, null where it is one in another spelling, or one of others. */
export function memberOf(name: string): string | null {
  if (MEMBERS.includes(name)) return name;
  // Some servers read names in any case, which folds two letters beyond ASCII as well.
  const known = LOWER_CASE.get(name.toLowerCase().replaceAll("ſ", "s").replaceAll("\u212a", "k"));
  return known === undefined ? "" : null;
}

function readMessage(value: unknown, more: readonly string[]): Message | string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "An operation is an object.";
  for (const name of Object.keys(value)) {
    if (memberOf(name) || more.includes(name)) continue;
    return `"${name.slice(0, 50)}" is no member of a request.`;
  }
  const { query, operationName, variables, extensions, documentId, id } = value as Readonly<Record<string, unknown>>;
  if (!isTextOrNone(query)) return '"query" is a text.';
  if (!isTextOrNone(operationName)) return '"operationName" is a text.';
  if (!isRecordOrNone(variables)) return '"variables" is an object.';
  if (!isRecordOrNone(extensions)) return '"extensions" is an object.';
  if (!isTextOrNone(documentId) || !isTextOrNone(id)) return "An id is a text.";
  const named = [documentId, id].filter((each): each is string => typeof each === "string" && each !== "");
  if (named.length > 1 || (named[0]?.length ?? 0) > IDS_MAX) return "There is one id, of 256 characters at most.";
  const hash = hashOf(extensions ?? null);
  if (hash === null) return '"persistedQuery" has version 1 and a SHA-256 in hexadecimal.';
  return {
    query: typeof query === "string" && query !== "" ? query : null,
    operationName: operationName ?? "",
    variables: variables ?? null,
    hash,
    id: named[0] ?? "",
  };
}

/** The hash of automatically persisted queries; "" without one, null for what is none. */
function hashOf(extensions: Readonly<Record<string, unknown>> | null): string | null {
  const persisted = extensions?.persistedQuery;
  if (persisted === undefined || persisted === null) return "";
  const { version, sha256Hash } = persisted as { readonly version?: unknown; readonly sha256Hash?: unknown };
  return version === 1 && typeof sha256Hash === "string" && SHA256.test(sha256Hash) ? sha256Hash : null;
}

const isTextOrNone = (value: unknown): value is string | null | undefined =>
  value === undefined || value === null || typeof value === "string";

const isRecordOrNone = (value: unknown): value is Readonly<Record<string, unknown>> | null | undefined =>
  value === undefined || value === null || (typeof value === "object" && !Array.isArray(value));
