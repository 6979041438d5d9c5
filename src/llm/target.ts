// A provider: where it is, how it is spoken to, which models it has, and how it has fared of late.
import type { LlmTargetConfig } from "../config/schema-llm.ts";
import { type Api, type Format, pathOf } from "../engines/llm/formats.ts";
import { isFieldName, isFieldValue } from "../http/header-block.ts";
import type { Exchange } from "../pipeline/exchange.ts";

/** Names of models with what is said of them; one that ends in `*` is for all that begin so. */
export class ModelMap<T> {
  readonly #exact = new Map<string, T>();
  readonly #begun: (readonly [begin: string, value: T])[] = [];

  constructor(entries: Iterable<readonly [name: string, value: T]>) {
    for (const [name, value] of entries) {
      if (name.endsWith("*")) this.#begun.push([name.slice(0, -1), value]);
      else this.#exact.set(name, value);
    }
    this.#begun.sort(([a], [b]) => b.length - a.length); // the longer says more
  }

  get names(): readonly string[] {
    return [...this.#exact.keys()];
  }
  /** Those for all that begin so, too. */
  get all(): readonly string[] {
    return [...this.#exact.keys(), ...this.#begun.map(([begin]) => `${begin}*`)];
  }
  get(model: string): T | undefined {
    return this.#exact.get(model) ?? this.#begun.find(([begin]) => model.startsWith(begin))?.[1];
  }
  /** The name that a model has in the configuration; "" where it has none. */
  nameOf(model: string): string {
    if (this.#exact.has(model)) return model;
    const found = this.#begun.find(([begin]) => model.startsWith(begin));
    return found === undefined ? "" : `${found[0]}*`;
  }
}

/** Of Anthropic's interface, where the client does not say. */
const ANTHROPIC_VERSION = "2023-06-01";
/** What clients of a format may say of the interface, to a provider of the same. */
const PASSED: Readonly<Record<Format, readonly string[]>> = {
  openai: ["openai-beta"],
  anthropic: ["anthropic-version", "anthropic-beta"],
};
/** Fields in which clients send keys. */
const CLIENT_KEYS = ["authorization", "x-api-key", "api-key"] as const;

export class Target {
  readonly name: string;
  /** Name of the upstream. */
  readonly upstream: string;
  /** Its host, where the upstream does not say another. */
  readonly host: string;
  readonly format: Format;
  readonly weight: number;
  readonly timeoutMs: number;
  /** It has models of any name. */
  readonly hasAll: boolean;
  /** The key is the gateway's: what the provider says of it is not for clients. */
  readonly isOurKey: boolean;
  readonly models: ModelMap<string>;
  /** Until when it is asked last, on the clock of the thread. */
  restsUntil = 0;
  readonly #path: string;
  readonly #query: string;
  readonly #fields: readonly (readonly [name: string, value: string])[];
  readonly #clientKey: boolean;

  /** Throws RangeError for a field that no message may carry. */
  constructor(config: LlmTargetConfig, upstream: string, host: string) {
    const { name, format, weight, models, key, clientKey } = config;
    this.name = name;
    this.upstream = upstream;
    this.host = host;
    this.format = format;
    this.weight = weight;
    this.timeoutMs = config.timeout;
    this.hasAll = models === undefined;
    this.models = new ModelMap(modelEntries(models));
    this.isOurKey = !clientKey;
    this.#clientKey = clientKey;
    this.#path = config.path;
    this.#query = config.query === "" ? "" : `?${config.query}`;
    if (key !== undefined && clientKey) throw new RangeError("give it a `key`, or `clientKey: true`, not both");
    const fields: [string, string][] = Object.entries(config.headers);
    if (key !== undefined) fields.push(keyField(config.keyHeader, format, key));
    for (const [field, value] of fields)
      if (!isFieldName(field) || !isFieldValue(value)) throw new RangeError(`"${field}" is no field with a value`);
    this.#fields = fields;
  }

  /** What it calls a model; null where it has it not. */
  modelOf(model: string): string | null {
    if (this.hasAll) return model;
    const own = this.models.get(model);
    if (own === undefined) return null;
    return own.endsWith("*") ? own.slice(0, -1) + model.slice(this.models.nameOf(model).length - 1) : own;
  }

  pathFor(api: Api, model: string): string {
    return `${this.#path.replaceAll("{model}", encodeURIComponent(model))}${pathOf(api)}${this.#query}`;
  }

  /** The fields of a request; `client` is what the client's format is. */
  fieldsFor({ request }: Exchange, client: Format, isStream: boolean): (readonly [string, string])[] {
    const fields: (readonly [string, string])[] = [
      ["content-type", "application/json"],
      ["accept", isStream ? "text/event-stream" : "application/json"],
      ["accept-encoding", "identity"], // what it says has to be read
    ];
    const agent = request.header("user-agent");
    if (agent !== null) fields.push(["user-agent", agent]);
    const passed = client === this.format ? [...PASSED[client]] : [];
    for (const name of this.#clientKey ? [...passed, ...CLIENT_KEYS] : passed) {
      const value = request.header(name);
      if (value !== null && !this.#has(name)) fields.push([name, value]);
    }
    const saysVersion = fields.some(([name]) => name === "anthropic-version") || this.#has("anthropic-version");
    if (this.format === "anthropic" && !saysVersion) fields.push(["anthropic-version", ANTHROPIC_VERSION]);
    return [...fields, ...this.#fields];
  }

  #has(name: string): boolean {
    return this.#fields.some(([each]) => each.toLowerCase() === name);
  }
}

function modelEntries(models: LlmTargetConfig["models"]): (readonly [string, string])[] {
  if (models === undefined) return [];
  return Array.isArray(models) ? models.map((name) => [name, name] as const) : Object.entries(models);
}

function keyField(header: string | undefined, format: Format, key: string): [string, string] {
  const name = (header ?? (format === "anthropic" ? "x-api-key" : "authorization")).toLowerCase();
  return [name, name === "authorization" ? `Bearer ${key}` : key];
}
