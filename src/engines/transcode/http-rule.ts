// The option `google.api.http` of a method, read from the bytes that a descriptor has it in: whether or not the set of
// descriptors has the file that describes the option (google/api/http.proto).
import { BinaryReader } from "@bufbuild/protobuf/wire";

export interface HttpRule {
  readonly method: string;
  readonly path: string;
  /** The field that the body is: `*` for all that the path does not name, "" for no body. */
  readonly body: string;
  /** The field of the answer that is sent; "" for all of it. */
  readonly responseBody: string;
}

/** The number of the option among the extensions of MethodOptions. */
const HTTP = 72_295_728;

/** Fields of HttpRule that are a path. */
const METHODS: Readonly<Record<number, string>> = { 2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH" };
const BODY = 7;
const CUSTOM = 8;
const ADDITIONAL = 11;
const RESPONSE_BODY = 12;
/** Of CustomHttpPattern. */
const KIND = 1;
const PATH = 2;

interface UnknownField {
  readonly no: number;
  readonly data: Uint8Array;
}

/** The rules of a method, that of `additional_bindings` included; none without the option. Throws for broken bytes. */
export function httpRules(unknown: readonly UnknownField[] | undefined): HttpRule[] {
  const field = unknown?.findLast(({ no }) => no === HTTP);
  return field === undefined ? [] : readRules(new BinaryReader(field.data).bytes(), true);
}

function readRules(bytes: Uint8Array, withAdditional: boolean): HttpRule[] {
  const reader = new BinaryReader(bytes);
  const rule = { method: "", path: "", body: "", responseBody: "" };
  const others: HttpRule[] = [];
  while (reader.pos < reader.len) {
    const [no, wireType] = reader.tag();
    const method = METHODS[no];
    if (method !== undefined) {
      rule.method = method;
      rule.path = reader.string();
    } else if (no === CUSTOM) Object.assign(rule, readCustom(reader.bytes()));
    else if (no === BODY) rule.body = reader.string();
    else if (no === RESPONSE_BODY) rule.responseBody = reader.string();
    // They are not nested (google/api/http.proto).
    else if (no === ADDITIONAL && withAdditional) others.push(...readRules(reader.bytes(), false));
    else reader.skip(wireType, no);
  }
  return rule.method === "" ? others : [rule, ...others];
}

function readCustom(bytes: Uint8Array): Pick<HttpRule, "method" | "path"> {
  const reader = new BinaryReader(bytes);
  const custom = { method: "", path: "" };
  while (reader.pos < reader.len) {
    const [no, wireType] = reader.tag();
    if (no === KIND) custom.method = reader.string().toUpperCase();
    else if (no === PATH) custom.path = reader.string();
    else reader.skip(wireType, no);
  }
  return custom;
}
