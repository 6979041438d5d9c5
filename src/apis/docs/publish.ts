// The document as its readers get it: one file, with the operations that are there for them and only the parts that
// these refer to. What is internal does not leave in some corner of it.
import { at, type Fields, fieldOf, isFields, type Place, SpecError } from "../../engines/openapi/index.ts";
import type { ApiDocument, ApiOperation } from "../api-document.ts";

/** What the value below a key is: a reference in it leads to one of these. */
type Kind =
  | "path"
  | "operation"
  | "parameters"
  | "headers"
  | "requestBodies"
  | "responses"
  | "media"
  | "encoding"
  | "schemas"
  | "examples"
  | "links"
  | "callbacks"
  | "securitySchemes"
  | "data";

type Shape = "one" | "list" | "map";
type Below = Readonly<Record<string, readonly [kind: Kind, shape: Shape]>>;

const MEDIA = { content: ["media", "map"] } as const;
const PARAMETER: Below = { schema: ["schemas", "one"], examples: ["examples", "map"], ...MEDIA };
const OPERATION: Below = {
  parameters: ["parameters", "list"],
  requestBody: ["requestBodies", "one"],
  responses: ["responses", "map"],
  callbacks: ["callbacks", "map"],
};
const SCHEMA: Below = {
  ...Object.fromEntries(
    ["not", "additionalProperties", "if", "then", "else", "contains", "propertyNames", "items", "additionalItems"].map(
      (key) => [key, ["schemas", "one"] as const],
    ),
  ),
  ...Object.fromEntries(["unevaluatedItems", "unevaluatedProperties"].map((key) => [key, ["schemas", "one"] as const])),
  ...Object.fromEntries(["allOf", "anyOf", "oneOf", "prefixItems"].map((key) => [key, ["schemas", "list"] as const])),
  ...Object.fromEntries(
    ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"].map((key) => [
      key,
      ["schemas", "map"] as const,
    ]),
  ),
};
const BELOW: Readonly<Record<Kind, Below>> = {
  path: {
    parameters: ["parameters", "list"],
    ...Object.fromEntries(
      ["get", "put", "post", "delete", "options", "head", "patch", "trace"].map((key) => [
        key,
        ["operation", "one"] as const,
      ]),
    ),
  },
  operation: OPERATION,
  parameters: PARAMETER,
  headers: PARAMETER,
  requestBodies: MEDIA,
  responses: { headers: ["headers", "map"], links: ["links", "map"], ...MEDIA },
  media: { schema: ["schemas", "one"], examples: ["examples", "map"], encoding: ["encoding", "map"] },
  encoding: { headers: ["headers", "map"] },
  schemas: SCHEMA,
  examples: {},
  links: {},
  callbacks: {},
  securitySchemes: {},
  data: {},
};

/** What is for the proxy, or says what readers are not to know. */
const LEFT_OUT = ["x-sluice", "x-internal"];
const DEPTH_MAX = 200;
/** The largest public documents have a quarter of that. References and aliases of YAML make any size of a few lines. */
const VALUES_MAX = 2_000_000;

interface Waiting {
  readonly kind: Kind;
  readonly name: string;
  readonly value: unknown;
  readonly place: Place;
}

/** The document with these operations alone. Throws SpecError for references that lead nowhere. */
export function published(document: ApiDocument, shown: readonly ApiOperation[]): Fields {
  return new Publisher(document).document(shown);
}

class Publisher {
  readonly #api: ApiDocument;
  readonly #components = new Map<Kind, Map<string, unknown>>();
  readonly #names = new Map<string, string>();
  readonly #waiting: Waiting[] = [];
  #valuesLeft = VALUES_MAX;

  constructor(api: ApiDocument) {
    this.#api = api;
  }

  document(shown: readonly ApiOperation[]): Fields {
    const { root, base, top } = this.#api;
    const paths = new Map<string, Record<string, unknown>>();
    const schemes = new Set<string>();
    // As the document has them, which is how they are meant to be read.
    const order = new Map(Object.keys(fieldOf(root, "paths") as Fields).map((template, index) => [template, index]));
    const read = [...shown].sort((a, b) => order.get(a.template)! - order.get(b.template)!);
    for (const operation of read) {
      const { template, method, fields, place } = operation;
      let path = paths.get(template);
      if (path === undefined) paths.set(template, (path = this.#path(operation)));
      path[method.toLowerCase()] = this.#copy(fields, place, "operation", 0);
      for (const name of schemesOf(Object.hasOwn(fields, "security") ? fields.security : fieldOf(root, "security")))
        schemes.add(name);
    }
    for (const name of schemes) this.#scheme(name, at(top, "components", "securitySchemes", name));
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop())
      this.#components.get(next.kind)!.set(next.name, this.#copy(next.value, next.place, next.kind, 0));
    const tags = new Set(shown.flatMap((operation) => operation.tags));
    const described = fieldOf(root, "tags");
    const kept = Object.fromEntries(
      ["openapi", "info", "security", "externalDocs"].flatMap((key) =>
        Object.hasOwn(root, key) ? [[key, this.#plain(root[key], at(top, key))]] : [],
      ),
    );
    const known = Array.isArray(described) ? described.filter((tag) => tags.has(String(fieldOf(tag, "name")))) : [];
    return {
      ...kept,
      // Those of the document may be what only the proxy should reach.
      servers: [{ url: base === "" ? "/" : base }],
      ...(known.length > 0 ? { tags: known.map((each) => this.#plain(each, at(top, "tags"))) } : {}),
      paths: Object.fromEntries(paths),
      components: Object.fromEntries([...this.#components].map(([kind, those]) => [kind, Object.fromEntries(those)])),
    };
  }

  #path({ pathFields, pathPlace }: ApiOperation): Record<string, unknown> {
    const made: Record<string, unknown> = {};
    for (const key of ["summary", "description"]) if (Object.hasOwn(pathFields, key)) made[key] = pathFields[key];
    const { parameters } = pathFields;
    if (parameters !== undefined)
      made.parameters = this.#shaped(parameters, at(pathPlace, "parameters"), "parameters", "list", 0);
    return made;
  }

  #scheme(name: string, place: Place): void {
    const value = fieldOf(fieldOf(fieldOf(this.#api.root, "components"), "securitySchemes"), name);
    if (value === undefined) return;
    const { value: followed, place: there } = this.#api.files.documents.follow(value, place);
    const known = this.#components.get("securitySchemes") ?? new Map<string, unknown>();
    this.#components.set("securitySchemes", known.set(name, this.#copy(followed, there, "securitySchemes", 0)));
  }

  #copy(value: unknown, place: Place, kind: Kind, depth: number): unknown {
    if (depth > DEPTH_MAX) throw new SpecError(`it is nested more than ${DEPTH_MAX} deep`, place);
    this.#spend(place);
    if (kind === "data") return this.#plain(value, place);
    if (!isFields(value)) return this.#plain(value, place);
    if (typeof value.$ref === "string") return this.#reference(value, value.$ref, place, kind, depth);
    const below = BELOW[kind];
    const made: Record<string, unknown> = {};
    for (const [key, each] of Object.entries(value)) {
      if (LEFT_OUT.includes(key) || key === "__proto__") continue;
      const known = Object.hasOwn(below, key) ? below[key]! : kind === "callbacks" ? (["path", "one"] as const) : null;
      const where = at(place, key);
      made[key] = known === null ? this.#plain(each, where) : this.#shaped(each, where, known[0], known[1], depth + 1);
    }
    const mapping = kind === "schemas" ? fieldOf(value.discriminator, "mapping") : undefined;
    if (isFields(mapping))
      made.discriminator = {
        ...(this.#plain(value.discriminator, place) as object),
        mapping: this.#mapping(mapping, place),
      };
    return made;
  }

  /** A copy of what holds no references, without the keys that are left out. */
  #plain(value: unknown, place: Place, depth = 0): unknown {
    if (depth > DEPTH_MAX) return null;
    this.#spend(place);
    if (Array.isArray(value)) return value.map((each) => this.#plain(each, place, depth + 1));
    if (!isFields(value)) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !LEFT_OUT.includes(key))
        .map(([key, each]) => [key, this.#plain(each, place, depth + 1)]),
    );
  }

  #spend(place: Place): void {
    this.#valuesLeft -= 1;
    if (this.#valuesLeft < 0)
      throw new SpecError(`with this, the page would have more than ${VALUES_MAX} values`, place);
  }

  #shaped(value: unknown, place: Place, kind: Kind, shape: Shape, depth: number): unknown {
    if (shape === "list" && Array.isArray(value))
      return value.map((each, index) => this.#copy(each, at(place, index), kind, depth));
    if (shape === "map" && isFields(value))
      return Object.fromEntries(
        Object.entries(value).map(([key, each]) => [key, this.#copy(each, at(place, key), kind, depth)]),
      );
    if (shape === "one" && Array.isArray(value))
      return value.map((each, index) => this.#copy(each, at(place, index), kind, depth));
    return this.#copy(value, place, kind, depth);
  }

  /** What is referred to becomes a part of the components, once. */
  #reference(value: Fields, ref: string, place: Place, kind: Kind, depth: number): unknown {
    const found = this.#api.files.documents.resolve(ref, at(place, "$ref"));
    if (kind === "path" || kind === "media" || kind === "encoding" || kind === "operation")
      return this.#copy(found.value, found.place, kind, depth + 1);
    const name = this.#nameOf(kind, found.value, found.place);
    const { $ref: _ref, ...others } = value;
    const rest = Object.keys(others).length === 0 ? {} : (this.#copy(others, place, kind, depth + 1) as object);
    return { $ref: `#/components/${kind}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, ...rest };
  }

  #nameOf(kind: Kind, value: unknown, place: Place): string {
    const key = `${kind} ${JSON.stringify([place.file, ...place.path])}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const those = this.#components.get(kind) ?? new Map<string, unknown>();
    this.#components.set(kind, those);
    const wanted = String(place.path.at(-1) ?? "part").replaceAll(/[^\w.-]/g, "_");
    let name = wanted;
    for (let count = 2; those.has(name); count += 1) name = `${wanted}_${count}`;
    those.set(name, true); // its place is taken
    this.#names.set(key, name);
    this.#waiting.push({ kind, name, value, place });
    return name;
  }

  #mapping(mapping: Fields, place: Place): Fields {
    const made = Object.entries(mapping).map(([key, ref]) => {
      if (typeof ref !== "string") return [key, ref];
      const full = /[#./]/.test(ref) ? ref : `#/components/schemas/${ref}`;
      return [key, fieldOf(this.#reference({}, full, place, "schemas", 0), "$ref")];
    });
    return Object.fromEntries(made);
  }
}

function schemesOf(security: unknown): string[] {
  return Array.isArray(security) ? security.flatMap((each) => (isFields(each) ? Object.keys(each) : [])) : [];
}
