// OpenAPI documents as validators: which operation a request is for, and whether it and its answer are as described.
import { Checkers, type Patterns } from "./checker.ts";
import { at, type Documents, type Fields, fieldOf, fieldsAt, isFields, type Place, SpecError } from "./documents.ts";
import { bySpecificity, type MediaRange, mediaRange } from "./media.ts";
import { type Answer, type Body, type Content, Operation } from "./operation.ts";
import { PARTS, type Parameter, parameterOf } from "./parameters.ts";
import { PathTree } from "./paths.ts";
import { type Dialect, referenceTo, Schemas } from "./schemas.ts";
import { PLAIN, shapeOf } from "./shapes.ts";

export type { Patterns, PatternTester, Problem } from "./checker.ts";
export {
  at,
  Documents,
  type Fields,
  fieldOf,
  fieldsAt,
  isFields,
  type Place,
  SpecError,
} from "./documents.ts";
export {
  type Answer,
  answerPlan,
  type BodyPlan,
  bodyProblems,
  type Content,
  headerProblems,
  Operation,
  schemaPlan,
} from "./operation.ts";
export { PathTree } from "./paths.ts";
export { sampleOf, writtenExample } from "./sample.ts";

/** The fields of a path item that are operations. */
export const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/** Public descriptions of whole clouds have some thousand. */
const OPERATIONS_MAX = 10_000;

interface PathItem {
  readonly operations: Map<string, Operation>;
  /** The Allow field of those (RFC 9110 §10.2.1). */
  allow: string;
}

/** Where a request leads to: an operation, a path that has no such method, or nowhere. */
export type Found =
  | { readonly kind: "operation"; readonly operation: Operation; readonly values: readonly string[] }
  | { readonly kind: "method"; readonly allow: string }
  | { readonly kind: "path" };

const NOWHERE: Found = { kind: "path" };

export class Api {
  readonly #base: string;
  readonly #paths: PathTree<PathItem>;

  constructor(base: string, paths: PathTree<PathItem>) {
    this.#base = base;
    this.#paths = paths;
  }

  /** `path` is normalised, and encoded as it came. */
  find(method: string, path: string): Found {
    const base = this.#base;
    if (base !== "" && !(path.startsWith(base) && path.charCodeAt(base.length) === 0x2f)) return NOWHERE;
    const values: string[] = [];
    const item = this.#paths.find(base === "" ? path : path.slice(base.length), values);
    if (item === null) return NOWHERE;
    const { operations } = item;
    // Where GET may be asked, HEAD may (RFC 9110 §9.3.2).
    const operation = operations.get(method) ?? (method === "HEAD" ? operations.get("GET") : undefined);
    return operation === undefined ? { kind: "method", allow: item.allow } : { kind: "operation", operation, values };
  }
}

/**
 * Compiles the document in a file. `base` is the path that those of the document begin below; null for that of its
 * first server. Throws SpecError for what is no OpenAPI 3.0 or 3.1, or cannot be used.
 */
export function compileApi(documents: Documents, file: string, base: string | null, patterns: Patterns): Api {
  return new Compiler(documents, file, patterns).api(base);
}

/** A validator for bodies of JSON from one schema. Throws SpecError for one that is none. */
export function compileSchema(documents: Documents, schema: unknown, place: Place, patterns: Patterns): Content {
  const schemas = new Schemas(documents, "3.1", "request", patterns);
  const number = schemas.add(schema, place);
  return { checker: new Checkers(schemas, patterns, "now").checker(number), shape: PLAIN };
}

/** An operation as it is read, whose validators are made when all schemas are known. */
interface Draft {
  finish(requests: Checkers, responses: Checkers): void;
}

class Compiler {
  readonly #documents: Documents;
  readonly #file: string;
  readonly #root: Fields;
  readonly #patterns: Patterns;
  readonly #requests: Schemas;
  readonly #responses: Schemas;
  readonly #drafts: Draft[] = [];

  constructor(documents: Documents, file: string, patterns: Patterns) {
    const top: Place = { file, path: [] };
    this.#documents = documents;
    this.#file = file;
    this.#root = fieldsAt(documents.file(file, top), top);
    this.#patterns = patterns;
    const dialect = dialectOf(this.#root, top);
    this.#requests = new Schemas(documents, dialect, "request", patterns);
    this.#responses = new Schemas(documents, dialect, "response", patterns);
  }

  api(base: string | null): Api {
    const top: Place = { file: this.#file, path: [] };
    const paths = new PathTree<PathItem>();
    const named = this.#root.paths;
    if (named === undefined) throw new SpecError("there are no `paths`", top);
    for (const [template, value] of Object.entries(fieldsAt(named, at(top, "paths")))) {
      if (!template.startsWith("x-")) this.#path(paths, template, value, at(top, "paths", template));
    }
    const requests = new Checkers(this.#requests, this.#patterns, "now");
    const responses = new Checkers(this.#responses, this.#patterns, "later");
    for (const draft of this.#drafts) draft.finish(requests, responses);
    return new Api(base ?? baseOf(this.#root, at(top, "servers")), paths);
  }

  #path(paths: PathTree<PathItem>, template: string, value: unknown, place: Place): void {
    const { value: followed, place: there } = this.#documents.follow(value, place);
    const fields = fieldsAt(followed, there);
    const item: PathItem = { operations: new Map(), allow: "" };
    let names: string[];
    try {
      names = paths.add(normalised(template), item);
    } catch (error) {
      if (error instanceof RangeError) throw new SpecError(`"${template}": ${error.message}`, place);
      throw error;
    }
    const shared = this.#parameters(fields.parameters, at(there, "parameters"));
    const allowed: string[] = [];
    for (const method of METHODS) {
      if (!Object.hasOwn(fields, method)) continue;
      if (this.#drafts.length >= OPERATIONS_MAX) throw new SpecError(`more than ${OPERATIONS_MAX} operations`, there);
      const name = method.toUpperCase();
      allowed.push(...(name === "GET" && !Object.hasOwn(fields, "head") ? ["GET", "HEAD"] : [name]));
      this.#operation(item, name, names, shared, fields[method], at(there, method));
    }
    item.allow = allowed.join(", ");
  }

  #operation(
    item: PathItem,
    method: string,
    names: readonly string[],
    shared: readonly Parameter[],
    value: unknown,
    place: Place,
  ): void {
    const fields = fieldsAt(value, place);
    const own = this.#parameters(fields.parameters, at(place, "parameters"));
    const isOwn = (each: Parameter): boolean => own.some((one) => one.name === each.name && one.in === each.in);
    const parameters = [...own, ...shared.filter((each) => !isOwn(each))];
    for (const { name, in: part, place: where } of parameters)
      if (part === "path" && !names.includes(name)) throw new SpecError(`the path has no {${name}}`, where);
    const check = parameters.length === 0 ? null : this.#objectOf(this.#requests, parameters, place);
    const body = this.#body(fields.requestBody, at(place, "requestBody"));
    const answers = this.#answers(fields.responses, at(place, "responses"));
    this.#drafts.push({
      finish(requests, responses) {
        const checker = check === null ? null : requests.checker(check);
        const described = new Map([...answers].map(([status, make]) => [status, make(responses)]));
        item.operations.set(method, new Operation(parameters, names, checker, body?.(requests) ?? null, described));
      },
    });
  }

  #parameters(list: unknown, place: Place): Parameter[] {
    if (list === undefined) return [];
    if (!Array.isArray(list)) throw new SpecError("a list of parameters was expected", place);
    const made = new Map<string, Parameter>();
    for (const [index, each] of list.entries()) {
      const { value, place: there } = this.#documents.follow(each, at(place, index));
      const parameter = parameterOf(this.#documents, value, there);
      if (parameter === null) continue;
      const key = `${parameter.in} ${parameter.name}`;
      if (made.has(key)) throw new SpecError(`"${parameter.name}" is there twice`, at(place, index));
      made.set(key, parameter);
    }
    return [...made.values()];
  }

  /** One schema for all parameters of an operation: an object of objects. Its number. */
  #objectOf(schemas: Schemas, parameters: readonly Parameter[], place: Place): number {
    const parts = PARTS.map((part) => [part, parameters.filter((each) => each.in === part)] as const)
      .filter(([, those]) => those.length > 0)
      .map(([part, those]) => [part, named(schemas, those)] as const);
    return schemas.addMade({ properties: Object.fromEntries(parts) }, at(place, "parameters"));
  }

  #body(value: unknown, place: Place): ((checkers: Checkers) => Body) | null {
    if (value === undefined) return null;
    const { value: followed, place: there } = this.#documents.follow(value, place);
    const fields = fieldsAt(followed, there);
    const media = this.#media(this.#requests, fields.content, at(there, "content"));
    const required = fields.required === true;
    return (checkers) => ({ required, media: media(checkers) });
  }

  #media(schemas: Schemas, content: unknown, place: Place): (checkers: Checkers) => MediaRange<Content>[] {
    const drafts = Object.entries(fieldsAt(content, place)).map(([type, media]) => {
      const where = at(place, type);
      const schema = fieldOf(fieldsAt(media, where), "schema");
      const number = schema === undefined ? -1 : schemas.add(schema, at(where, "schema"));
      const shape = schema === undefined ? PLAIN : shapeOf(this.#documents, schema, at(where, "schema"));
      try {
        return { range: mediaRange(type, shape), number };
      } catch (error) {
        if (error instanceof RangeError) throw new SpecError(error.message, where);
        throw error;
      }
    });
    return (checkers) =>
      drafts
        .map(({ range, number }) => {
          const checker = number < 0 ? null : checkers.checker(number);
          return { ...range, content: { checker, shape: range.content } };
        })
        .sort(bySpecificity);
  }

  #answers(value: unknown, place: Place): Map<string, (checkers: Checkers) => Answer> {
    const made = new Map<string, (checkers: Checkers) => Answer>();
    if (value === undefined) return made;
    for (const [status, each] of Object.entries(fieldsAt(value, place))) {
      if (status.startsWith("x-")) continue;
      if (!/^(?:[1-5]\d\d|[1-5]XX|default)$/.test(status))
        throw new SpecError(`"${status}": a status such as 200, 2XX or default was expected`, at(place, status));
      made.set(status, this.#answer(each, at(place, status)));
    }
    return made;
  }

  #answer(value: unknown, place: Place): (checkers: Checkers) => Answer {
    const { value: followed, place: there } = this.#documents.follow(value, place);
    const fields = fieldsAt(followed, there);
    const headers = this.#headers(fields.headers, at(there, "headers"));
    const number =
      headers.length === 0 ? -1 : this.#responses.addMade(named(this.#responses, headers), at(there, "headers"));
    const { content } = fields;
    const media = content === undefined ? null : this.#media(this.#responses, content, at(there, "content"));
    return (checkers) => ({
      headers,
      headerChecker: number < 0 ? null : checkers.checker(number),
      media: media?.(checkers) ?? null,
    });
  }

  #headers(value: unknown, place: Place): Parameter[] {
    if (!isFields(value)) return [];
    const made = Object.entries(value).map(([name, each]) => {
      const { value: followed, place: there } = this.#documents.follow(each, at(place, name));
      return parameterOf(this.#documents, { ...fieldsAt(followed, there), name, in: "header" }, there);
    });
    return made.filter((each) => each !== null);
  }
}

/** A schema for an object with these members. */
function named(schemas: Schemas, parameters: readonly Parameter[]): Fields {
  const members = parameters.map(({ name, schema, place }) => [name, referenceTo(schemas.add(schema, place))] as const);
  const required = parameters.filter((each) => each.required).map(({ name }) => name);
  return { properties: Object.fromEntries(members), ...(required.length > 0 ? { required } : {}) };
}

export function dialectOf({ openapi, swagger }: Fields, top: Place): Dialect {
  if (typeof openapi === "string" && /^3\.0\.\d+/.test(openapi)) return "3.0";
  if (typeof openapi === "string" && /^3\.1\.\d+/.test(openapi)) return "3.1";
  const version = openapi ?? swagger;
  const told =
    version === undefined ? "`openapi` is missing" : `version ${String(version).slice(0, 20)} is not supported`;
  throw new SpecError(`${told}: an OpenAPI document of version 3.0 or 3.1 was expected`, at(top, "openapi"));
}

/** The path of the first server, its variables replaced by their defaults; "" for none. */
export function baseOf({ servers }: Fields, place: Place): string {
  const url = fieldOf(fieldOf(servers, 0), "url");
  if (typeof url !== "string") return "";
  const variables = fieldOf(fieldOf(servers, 0), "variables");
  const filled = url.replaceAll(
    /\{([^{}]*)\}/g,
    (_, name: string) => `${fieldOf(fieldOf(variables, name), "default") ?? ""}`,
  );
  try {
    return new URL(filled, "http://server").pathname.replace(/\/+$/, "");
  } catch {
    throw new SpecError(`"${url}" is no URL`, at(place, 0, "url"));
  }
}

/** What requests have encoded is encoded here; braces stay. */
export const normalised = (template: string): string =>
  template.replaceAll(/[^\x21-\x7e]|["<>\\^`|]/gu, (char) => encodeURIComponent(char));
