// Which methods of gRPC services are bound to which HTTP requests, made from a set of descriptors.
import {
  createFileRegistry,
  type DescField,
  type DescMessage,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  type JsonWriteOptions,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type FieldPath, fieldOf, fieldPathOf } from "./fields.ts";
import { type HttpRule, httpRules } from "./http-rule.ts";
import { parseTemplate, type Variable } from "./path-template.ts";
import { type Found, PathTree } from "./path-tree.ts";

export interface TranscodeOptions {
  /** Full names of the services; empty for all. */
  readonly services: readonly string[];
  /** Methods without the option are bound to `POST /package.Service/Method`. */
  readonly unbound: boolean;
  /** Path that all templates begin below, without a slash at its end. */
  readonly base: string;
  readonly protoNames: boolean;
  readonly enumNumbers: boolean;
  readonly emitDefaults: boolean;
  readonly ignoreUnknown: boolean;
  /** Parameters of queries that are no fields, and not refused; `*` for any. */
  readonly ignoreQuery: readonly string[];
}

/** A variable of a path and the field it is. */
export interface BoundVariable extends Variable {
  readonly path: FieldPath;
}

/** One HTTP request that a method is bound to. */
export interface Binding {
  readonly method: DescMethod;
  /** The path of the call. */
  readonly target: string;
  readonly variables: readonly BoundVariable[];
  /** `*`: the body is the message; a field: it is that; null: there is none. */
  readonly body: "*" | DescField | null;
  readonly responseBody: DescField | null;
  /** The server's answer is a stream of messages. */
  readonly streams: boolean;
  /** What the client sends is one. */
  readonly collects: boolean;
}

/** Larger sets would hold up every reload. */
const METHODS_MAX = 10_000;
/** Messages that are a body of any type. */
const HTTP_BODY = "google.api.HttpBody";

export const isHttpBody = (message: DescMessage | undefined): boolean => message?.typeName === HTTP_BODY;

export class Transcoder {
  readonly registry: FileRegistry;
  readonly options: TranscodeOptions;
  readonly writing: Partial<JsonWriteOptions>;
  readonly #tree = new PathTree<Binding>();
  /** How many requests are bound. */
  bindings = 0;

  /** From a FileDescriptorSet, with all files that they import. Throws RangeError with what is wrong. */
  constructor(descriptors: Uint8Array, options: TranscodeOptions) {
    this.registry = registryOf(descriptors);
    this.options = options;
    this.writing = {
      registry: this.registry,
      useProtoFieldName: options.protoNames,
      enumAsInteger: options.enumNumbers,
      alwaysEmitImplicit: options.emitDefaults,
    };
    const known: string[] = [];
    for (const desc of this.registry) {
      if (desc.kind !== "service") continue;
      known.push(desc.typeName);
      if (options.services.length > 0 && !options.services.includes(desc.typeName)) continue;
      for (const method of desc.methods) this.#bind(method);
    }
    const missing = options.services.find((name) => !known.includes(name));
    if (missing !== undefined)
      throw new RangeError(`there is no service "${missing}"; there are ${known.join(", ") || "none"}`);
    if (this.bindings === 0)
      throw new RangeError("no method has the option google.api.http: `unbound: true` binds methods without it");
  }

  #bind(method: DescMethod): void {
    const name = `${method.parent.typeName}/${method.name}`;
    try {
      const rules = httpRules(method.proto.options?.$unknown);
      if (rules.length === 0 && this.options.unbound)
        rules.push({ method: "POST", path: `/${name}`, body: "*", responseBody: "" });
      for (const rule of rules) this.#add(method, rule);
    } catch (error) {
      throw new RangeError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (this.bindings > METHODS_MAX) throw new RangeError(`there are more than ${METHODS_MAX} methods`);
  }

  #add(method: DescMethod, rule: HttpRule): void {
    const template = parseTemplate(this.options.base + rule.path);
    const { input, output, methodKind } = method;
    if (rule.method === "HEAD" || !/^[A-Z]{1,20}$/.test(rule.method))
      throw new RangeError(`"${rule.method}" cannot be bound`);
    const variables = template.variables.map((variable) => {
      const path = fieldPathOf(input, variable.field);
      if (path === null || path.at(-1)!.fieldKind === "list")
        throw new RangeError(`${input.typeName} has no field "${variable.field}" that a path can hold`);
      return { ...variable, path };
    });
    const collects = methodKind === "client_streaming" || methodKind === "bidi_streaming";
    const streams = methodKind === "server_streaming" || methodKind === "bidi_streaming";
    const body = rule.body === "" ? null : rule.body === "*" ? "*" : this.#field(input, rule.body);
    const responseBody = rule.responseBody === "" ? null : this.#field(output, rule.responseBody);
    if (collects && body !== "*") throw new RangeError('a stream of messages comes as the body: it needs body: "*"');
    const target = `/${method.parent.typeName}/${method.name}`;
    this.#tree.add(rule.method, template, { method, target, variables, body, responseBody, streams, collects });
    this.bindings += 1;
  }

  #field(message: DescMessage, name: string): DescField {
    const field = fieldOf(message, name);
    if (field === null) throw new RangeError(`${message.typeName} has no field "${name}"`);
    return field;
  }

  /** `path` is normalised. */
  find(method: string, path: string): Found<Binding> {
    return this.#tree.find(method, path);
  }
}

function registryOf(descriptors: Uint8Array): FileRegistry {
  try {
    const set = fromBinary(FileDescriptorSetSchema, descriptors);
    if (set.file.length === 0) throw new RangeError("it holds no files");
    return createFileRegistry(set);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RangeError(
      `it is no complete set of descriptors (protoc --include_imports --descriptor_set_out): ${why}`,
    );
  }
}
