// The verdict about what one request asks for: which documents are meant, whether all of its operations may run, and
// what they cost together.
import type { GraphqlConfig } from "../../config/schema-graphql.ts";
import {
  type Document,
  KnownDocuments,
  type Message,
  type Operation,
  type PersistedDocuments,
  sha256,
} from "../../engines/graphql/index.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { KnownList, Loaded } from "./load.ts";
import { costOfOperation, costRefusal, operationRefusal } from "./policy.ts";
import { type Refusal, refuse } from "./refusal.ts";

/** What is to run, or is refused all the same. */
interface Resolved {
  readonly operation: Operation;
  readonly refusal: Refusal | null;
  readonly text: string;
  /** The document is to be put into the message, which named it in another way. */
  readonly isNamed: boolean;
}

export interface Verdict {
  /** What is wrong with each message, null for nothing; null where all of them may run. */
  readonly refusals: readonly (Refusal | null)[] | null;
  /** Of messages in their order: the document where it has to be put in; null where the message can go as it is. */
  readonly texts: readonly (string | null)[];
  readonly cost: number;
  /** Of the only operation; `batch` and "" for several. */
  readonly type: string;
  readonly name: string;
}

export class Judge {
  readonly #config: GraphqlConfig;
  readonly #known: KnownDocuments;
  readonly #list: KnownList | null;
  /** What clients have stored; null where that is off. */
  readonly #persisted: PersistedDocuments | null;

  constructor(config: GraphqlConfig, { documents, list }: Loaded, persisted: PersistedDocuments | null) {
    this.#config = config;
    this.#known = new KnownDocuments(documents, config.maxTokens);
    this.#list = list;
    this.#persisted = persisted;
  }

  judge(x: Exchange, messages: readonly Message[]): Verdict {
    const refusals: (Refusal | null)[] = [];
    const texts: (string | null)[] = [];
    let cost = 0;
    let isRefused = false;
    let only: Operation | null = null;
    for (const message of messages) {
      const resolved = this.#resolve(x, message);
      const refusal = "reason" in resolved ? resolved : resolved.refusal;
      refusals.push(refusal);
      isRefused ||= refusal !== null;
      // Of those that are refused too: with `mode: log` they run all the same.
      texts.push("text" in resolved && resolved.isNamed ? resolved.text : null);
      if ("reason" in resolved) continue;
      only = resolved.operation;
      cost += costOfOperation(resolved.operation, message);
    }
    const dear = isRefused ? null : costRefusal(cost, this.#config.maxCost);
    const [type, name] = messages.length > 1 ? ["batch", ""] : [only?.type ?? "", only?.name ?? ""];
    const failed = dear === null ? refusals : messages.map(() => dear);
    const verdict = { refusals: isRefused || dear !== null ? failed : null, texts, cost, type, name };
    if (verdict.refusals === null && this.#persisted !== null) this.#remember(this.#persisted, messages);
    return verdict;
  }

  /** Only what may run is kept for others. */
  #remember(persisted: PersistedDocuments, messages: readonly Message[]): void {
    for (const { query, hash } of messages) if (query !== null && hash !== "") persisted.add(hash, query);
  }

  #resolve(x: Exchange, message: Message): Resolved | Refusal {
    const text = this.#textOf(message);
    if (typeof text !== "string") return text;
    const known = this.#list?.byText.get(text) ?? null;
    const { only } = this.#config.persisted ?? { only: false };
    if (only !== false && known === null) return refuse("persisted", "Only documents that are known may be run here.");
    if (only === "id" && message.query !== null) return refuse("persisted", "Documents are named by their ids here.");
    const read = known ?? this.#known.read(text);
    if (read.kind !== "document") return { reason: read.kind === "limit" ? "tokens" : read.kind, errors: read.errors };
    const operation = operationOf(read, message.operationName);
    if (operation === null) return refuse("resolution", "It is not said which operation of the document is meant.");
    const refusal = operationRefusal(this.#config, x, operation, known !== null);
    return { operation, refusal, text, isNamed: this.#isNamed(message) };
  }

  /** Where Sluice keeps documents, servers are asked without hashes and ids. */
  #isNamed({ query, hash, id }: Message): boolean {
    return query === null || (hash !== "" && this.#persisted !== null) || id !== "";
  }

  /** The document that is meant. */
  #textOf({ query, hash, id }: Message): string | Refusal {
    const named = id !== "" ? this.#byId(id) : hash !== "" && query === null ? this.#byHash(hash) : null;
    if (query === null) return named ?? this.#unknown(hash, id);
    if (hash !== "" && sha256(query) !== hash) return refuse("request", "provided sha does not match query");
    if (id !== "" && named !== query) return refuse("request", "The id is not that of the document.");
    return query;
  }

  #byId(id: string): string | null {
    const hash = id.startsWith(SHA256) ? id.slice(SHA256.length) : "";
    return this.#list?.byId.get(id) ?? (hash === "" ? null : this.#byHash(hash));
  }
  #byHash(hash: string): string | null {
    return this.#list?.byId.get(hash) ?? this.#persisted?.get(hash) ?? null;
  }
  #unknown(hash: string, id: string): Refusal {
    if (hash === "" && id === "") return refuse("request", "There is no document in the request.");
    if (this.#list === null && this.#persisted === null) return refuse("not_supported", "PersistedQueryNotSupported");
    return refuse("not_found", "PersistedQueryNotFound");
  }
}

/** How ids that are hashes begin in GraphQL over HTTP. */
const SHA256 = "sha256:";

function operationOf({ operations }: Document, name: string): Operation | null {
  if (name !== "") return operations.get(name) ?? null;
  if (operations.size !== 1) return null;
  for (const operation of operations.values()) return operation;
  return null;
}
