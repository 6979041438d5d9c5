// What messages and statuses of a gRPC answer are in JSON.
import { fromBinary, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { type Any, AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { JsonObject } from "./fields.ts";
import { type Binding, isHttpBody, type Transcoder } from "./transcoder.ts";

/** An answer's content: JSON, or what a message says that is a body itself. */
export interface AnswerContent {
  readonly bytes: Buffer;
  /** "" for JSON. */
  readonly type: string;
}

/** One message. Throws for bytes that are none of that type. */
export function answerOf(transcoder: Transcoder, binding: Binding, bytes: Uint8Array): AnswerContent {
  const { method, responseBody } = binding;
  const { output } = method;
  const message = fromBinary(output, bytes);
  const shown = responseBody === null ? output : responseBody.message;
  const json = toJson(output, message, transcoder.writing) as JsonValue;
  const value = responseBody === null ? json : memberOf(transcoder, binding, message, json);
  if (isHttpBody(shown)) return bodyOf(value);
  return { bytes: Buffer.from(JSON.stringify(value)), type: "" };
}

function memberOf(
  { options, writing }: Transcoder,
  { method, responseBody }: Binding,
  message: Message,
  json: JsonValue,
): JsonValue {
  const key = options.protoNames ? responseBody!.name : responseBody!.jsonName;
  const member = (json as JsonObject)[key];
  if (member !== undefined) return member;
  // The default value of a field is left out of its message; where it is all there is, it has to be said.
  const whole = toJson(method.output, message, { ...writing, alwaysEmitImplicit: true }) as JsonObject;
  return whole[key] ?? null;
}

/** google.api.HttpBody */
function bodyOf(json: JsonValue): AnswerContent {
  const { contentType, content_type, data } = (json ?? {}) as Readonly<Record<string, string | undefined>>;
  const type = contentType ?? content_type ?? "";
  return {
    bytes: Buffer.from(data ?? "", "base64"),
    // What no field can hold is not passed on.
    type: /^[\x21-\x7e]+(?:[ \t]*[\x21-\x7e]+)*$/.test(type) ? type : "application/octet-stream",
  };
}

/** Statuses of gRPC as those of HTTP (google/rpc/code.proto). */
const HTTP_STATUS: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];
const UNKNOWN = 2;
const SERVER_ERROR = 500;

export const httpStatusOf = (grpcStatus: number): number => HTTP_STATUS[grpcStatus] ?? SERVER_ERROR;

/** How a call has ended, as trailers say it. */
export interface CallStatus {
  /** -1 for none. */
  readonly code: number;
  /** `grpc-message`, percent-encoded. */
  readonly message: string;
  /** `grpc-status-details-bin` in base64; "" for none. */
  readonly details: string;
}

/** Details beyond these say nothing that a client would look at; fields of trailers are bounded as well. */
const DETAILS_MAX = 32;

/** google.rpc.Status in JSON. Details of types that the descriptors do not have go out as base64. */
export function statusJson(transcoder: Transcoder, { code, message, details }: CallStatus): JsonObject {
  const status: JsonObject = { code: code < 0 ? UNKNOWN : code, message: decodeMessage(message) };
  const list = details === "" ? [] : detailsOf(transcoder, Buffer.from(details, "base64"));
  if (list.length > 0) status.details = list;
  return status;
}

function decodeMessage(text: string): string {
  if (!text.includes("%")) return text;
  return Buffer.from(
    text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  ).toString();
}

/** Field 3 of google.rpc.Status: what the server says more. */
const DETAILS = 3;

function detailsOf(transcoder: Transcoder, bytes: Uint8Array): JsonValue[] {
  const list: JsonValue[] = [];
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len && list.length < DETAILS_MAX) {
      const [no, wireType] = reader.tag();
      if (no === DETAILS) list.push(detailOf(transcoder, fromBinary(AnySchema, reader.bytes())));
      else reader.skip(wireType, no);
    }
  } catch {
    // Bytes that are no status: what could be read is told.
  }
  return list;
}

function detailOf({ registry, writing }: Transcoder, any: Any): JsonValue {
  const plain = { "@type": any.typeUrl, value: Buffer.from(any.value).toString("base64") };
  try {
    const message: Message | undefined = anyUnpack(any, registry);
    return message === undefined ? plain : (toJson(AnySchema, any, writing) as JsonValue);
  } catch {
    return plain;
  }
}
