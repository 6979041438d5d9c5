// Answers from a document alone: its examples, or what can be made of its schemas. Each is made when it is first asked
// for, and kept as bytes.
import { fault } from "../core/faults.ts";
import {
  at,
  type Fields,
  fieldOf,
  isFields,
  type Place,
  SpecError,
  sampleOf,
  writtenExample,
} from "../engines/openapi/index.ts";
import { HeaderBlock, isFieldName } from "../http/header-block.ts";
import type { Exchange, Outcome } from "../pipeline/exchange.ts";
import { bestType } from "./accept.ts";
import type { ApiDocument, ApiOperation } from "./api-document.ts";
import { bodyOf } from "./mock-body.ts";
import { preferencesOf } from "./prefer.ts";

const NO_BODY: readonly number[] = [204, 205, 304]; // RFC 9110 §15.3.5, §15.3.6, §15.4.5
/** Which say how the message is sent, and not what it is. */
const FRAMING = [
  "content-length",
  "content-encoding",
  "content-range",
  "content-type",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "upgrade",
  "trailer",
  "te",
];
/** Bodies that are kept for one operation: statuses, media types and examples of it. */
const KEPT_MAX = 1000;
/** And what they take: references make many large ones of one. */
const KEPT_BYTES_MAX = 4_194_304;

interface Described {
  /** `200`, `2XX` or `default`. */
  readonly key: string;
  readonly status: number;
  readonly fields: Fields;
  readonly place: Place;
  /** The keys of its `content`, and the types that messages have of them. */
  readonly keys: readonly string[];
  readonly types: readonly string[];
}

export class Mock {
  readonly #document: ApiDocument;
  readonly #answers: readonly Described[];
  readonly #bodies = new Map<string, Buffer>();
  #keptBytes = 0;
  readonly #fields = new Map<string, readonly (readonly [name: string, value: string])[]>();

  constructor(document: ApiDocument, operation: ApiOperation) {
    this.#document = document;
    this.#answers = answersOf(document, operation);
  }

  /** Makes all that can be asked for. Throws SpecError where that cannot be. */
  prepare(): void {
    for (const described of this.#answers) {
      this.#headers(described);
      const content = fieldOf(described.fields, "content");
      for (const [type, media] of Object.entries(isFields(content) ? content : {})) {
        const examples = fieldOf(media, "examples");
        for (const name of ["", ...Object.keys(isFields(examples) ? examples : {})]) this.#body(described, type, name);
      }
    }
  }

  /** The answer; a fault where none is described in a form that the client takes. */
  answer(x: Exchange): Outcome {
    const wanted = preferencesOf(x.request.header("prefer"));
    const preferred = wanted.code === 0 ? null : this.#described(wanted.code);
    const described = preferred ?? this.#usual();
    const status = preferred === null ? described.status : wanted.code;
    const headers = new HeaderBlock();
    for (const [name, value] of this.#headers(described)) headers.add(name, value);
    headers.set("vary", "Accept, Prefer");
    const applied: string[] = preferred === null ? [] : [`code=${wanted.code}`];
    const { keys, types } = described;
    let body: Buffer = NOTHING;
    if (types.length > 0 && !NO_BODY.includes(status)) {
      const index = bestType(x.request.header("accept"), types);
      if (index < 0) return fault("mock.type", types.join(", "));
      const made = this.#body(described, keys[index]!, wanted.example);
      body = made.body;
      headers.set("content-type", types[index]!);
      if (made.isNamed && isPlain(wanted.example)) applied.push(`example="${wanted.example}"`);
    }
    if (applied.length > 0) headers.set("preference-applied", applied.join(", "));
    return { status, headers, body };
  }

  #described(status: number): Described | null {
    const keyed = (key: string): Described | undefined => this.#answers.find((each) => each.key === key);
    return keyed(`${status}`) ?? keyed(`${Math.trunc(status / 100)}XX`) ?? keyed("default") ?? null;
  }

  /** The first success, or what is described at all. */
  #usual(): Described {
    const answers = this.#answers;
    const success = answers.filter(({ status, key }) => status >= 200 && status < 300 && key !== "default");
    return success.sort((a, b) => a.status - b.status)[0] ?? this.#described(200) ?? answers[0] ?? UNDESCRIBED;
  }

  #body({ key, fields, place }: Described, type: string, example: string): { body: Buffer; isNamed: boolean } {
    const media = fieldOf(fieldOf(fields, "content"), type);
    const where = at(place, "content", type);
    const named = example === "" ? undefined : this.#example(media, where, example);
    const isNamed = named !== undefined;
    const id = JSON.stringify([key, type, isNamed ? example : ""]);
    let body = this.#bodies.get(id);
    if (body === undefined) {
      const { documents } = this.#document.files;
      const schema = fieldOf(media, "schema");
      const written = named ?? writtenExample(documents, media, where);
      const value =
        written ?? (schema === undefined ? undefined : sampleOf(documents, schema, at(where, "schema"), "response"));
      body = bodyAt(where, value, concrete(type), schema);
      if (this.#bodies.size >= KEPT_MAX || this.#keptBytes + body.length > KEPT_BYTES_MAX) {
        this.#bodies.clear();
        this.#keptBytes = 0;
      }
      this.#bodies.set(id, body);
      this.#keptBytes += body.length;
    }
    return { body, isNamed };
  }

  #example(media: unknown, place: Place, name: string): unknown {
    const found = fieldOf(fieldOf(media, "examples"), name);
    return fieldOf(this.#document.files.documents.follow(found, at(place, "examples", name)).value, "value");
  }

  #headers({ key, fields, place }: Described): readonly (readonly [name: string, value: string])[] {
    const known = this.#fields.get(key);
    if (known !== undefined) return known;
    const { documents } = this.#document.files;
    const headers = fieldOf(fields, "headers");
    const made = Object.entries(isFields(headers) ? headers : {}).flatMap(([name, each]): [string, string][] => {
      if (!isFieldName(name) || FRAMING.includes(name.toLowerCase())) return [];
      const { value, place: there } = documents.follow(each, at(place, "headers", name));
      const schema = fieldOf(value, "schema");
      const sample =
        writtenExample(documents, value, there) ??
        (schema === undefined ? undefined : sampleOf(documents, schema, at(there, "schema"), "response"));
      const text = fieldText(sample);
      return text === null ? [] : [[name, text]];
    });
    this.#fields.set(key, made);
    return made;
  }
}

const NOTHING = Buffer.alloc(0);

function bodyAt(place: Place, value: unknown, type: string, schema: unknown): Buffer {
  try {
    return bodyOf(value, type, schema);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new SpecError("the example is nested too deep", place); // the stack is at its end
  }
}

const UNDESCRIBED: Described = {
  key: "200",
  status: 200,
  fields: {},
  place: { file: "", path: [] },
  keys: [],
  types: [],
};

function answersOf({ files }: ApiDocument, { fields, place }: ApiOperation): Described[] {
  const responses = fieldOf(fields, "responses");
  return Object.entries(isFields(responses) ? responses : {}).flatMap(([key, each]): Described[] => {
    if (!/^(?:[1-5]\d\d|[1-5]XX|default)$/.test(key)) return [];
    const { value, place: there } = files.documents.follow(each, at(place, "responses", key));
    if (!isFields(value)) throw new SpecError("an answer is an object", there);
    const status = key === "default" ? 200 : Number(key.replace("XX", "00"));
    const content = fieldOf(value, "content");
    const keys = Object.keys(isFields(content) ? content : {});
    return status < 200 ? [] : [{ key, status, fields: value, place: there, keys, types: keys.map(concrete) }];
  });
}

/** Whether a quoted string can hold it as it is (RFC 9110 §5.6.4). */
const isPlain = (text: string): boolean => /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(text);

/** A type that a message can have: `*` stands for any. */
function concrete(type: string): string {
  const essence = type.trim();
  if (!/^[\x20-\x7e]{1,200}$/.test(essence)) return "application/octet-stream"; // no field can hold it
  if (/^(?:\*|application)\/\*/.test(essence)) return "application/json";
  return essence.replace(/^text\/\*/, "text/plain").replace(/\/\*/, "/octet-stream");
}

/** A value as `simple` writes it; null for what no field can hold. */
function fieldText(value: unknown): string | null {
  const text = Array.isArray(value) ? value.join(",") : typeof value === "object" ? "" : String(value ?? "");
  return text !== "" && /^[\x20-\x7e]{1,1000}$/.test(text) ? text : null;
}
