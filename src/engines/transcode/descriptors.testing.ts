// Descriptors of the service `test.Echo` of grpc-server.mjs, as protoc would write them, with bindings to HTTP.
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import {
  type FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_any,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { type TranscodeOptions, Transcoder } from "./transcoder.ts";

/** An HttpRule: the number of its path's field, the path, and the body; others beside it. */
export interface Rule {
  readonly verb: 2 | 3 | 4 | 5 | 6;
  readonly path: string;
  readonly body?: string;
  readonly responseBody?: string;
  readonly more?: readonly Rule[];
}

function ruleBytes({ verb, path, body, responseBody, more = [] }: Rule): Uint8Array {
  const writer = new BinaryWriter().tag(verb, 2).string(path);
  if (body !== undefined) writer.tag(7, 2).string(body);
  if (responseBody !== undefined) writer.tag(12, 2).string(responseBody);
  for (const other of more) writer.tag(11, 2).bytes(ruleBytes(other));
  return writer.finish();
}

const SCALARS = { double: 1, int64: 3, int32: 5, bool: 8, string: 9, bytes: 12 } as const;
type Field = MessageInitShape<typeof FieldDescriptorProtoSchema>;

/** `name type`, or `name type[]`; types that are no scalars are names of messages, `enum …` of enums. */
const fields = (...lines: readonly string[]): Field[] =>
  lines.map((line, at) => {
    const [name = "", written = "", other = ""] = line.split(" ");
    const isList = line.endsWith("[]");
    const type = written.replace("[]", "");
    const scalar = SCALARS[type as keyof typeof SCALARS] as number | undefined;
    const jsonName = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const kind = scalar ?? (type === "enum" ? 14 : 11);
    const typeName = scalar === undefined ? `.${(type === "enum" ? other : type).replace("[]", "")}` : "";
    return { name, jsonName, number: at + 1, label: isList ? 3 : 1, type: kind as Field["type"] & number, typeName };
  });

const HTTP_BODY = create(FileDescriptorProtoSchema, {
  name: "google/api/httpbody.proto",
  package: "google.api",
  syntax: "proto3",
  dependency: ["google/protobuf/any.proto"],
  messageType: [
    { name: "HttpBody", field: fields("content_type string", "data bytes", "extensions google.protobuf.Any[]") },
  ],
});

const RULES: Readonly<Record<string, Rule>> = {
  Unary: {
    verb: 2,
    path: "/v1/{name=shelves/*/books/*}",
    more: [
      { verb: 4, path: "/v1/messages", body: "*" },
      { verb: 3, path: "/v1/messages/{inner.id}", body: "*" },
      { verb: 6, path: "/v1/inner/{name}", body: "inner", responseBody: "inner" },
      { verb: 5, path: "/v1/{name=files/**}:purge" },
      { verb: 2, path: "/v1/flags/{inner.on}/{kind}/{big}" },
      { verb: 2, path: "/v1/tags", responseBody: "tags" },
    ],
  },
  Repeat: {
    verb: 2,
    path: "/v1/stream/{name}",
    more: [{ verb: 2, path: "/v1/stream/{name}/big", responseBody: "big" }],
  },
  Chat: { verb: 4, path: "/v1/chat", body: "*" },
  Raw: { verb: 4, path: "/v1/raw", body: "*" },
};

/** A set with the service, or with another one like it; `rules` in place of those above. */
export function echoDescriptors(rules: Readonly<Record<string, Rule>> = RULES, name = "test.Echo"): Uint8Array {
  const [packageName = "", service = ""] = name.split(".");
  const method = (name: string, type: string, clientStreaming: boolean, serverStreaming: boolean) => ({
    name,
    inputType: type,
    outputType: type,
    clientStreaming,
    serverStreaming,
  });
  const echo = create(FileDescriptorProtoSchema, {
    name: "test/echo.proto",
    package: packageName,
    syntax: "proto3",
    dependency: ["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto", "google/api/httpbody.proto"],
    enumType: [{ name: "Kind", value: ["NONE", "FIRST", "SECOND"].map((name, number) => ({ name, number })) }],
    messageType: [
      {
        name: "Inner",
        field: fields("id string", "on bool", `kind enum ${packageName}.Kind`, `deep_er ${packageName}.Inner`),
      },
      {
        name: "Message",
        field: fields(
          "name string",
          "big int64",
          "tags string[]",
          `inner ${packageName}.Inner`,
          "sent_at google.protobuf.Timestamp",
          "note google.protobuf.StringValue",
          "raw bytes",
          `kind enum ${packageName}.Kind`,
          `list ${packageName}.Inner[]`,
          "ratio double",
          "numbers int32[]",
        ),
      },
    ],
    service: [
      {
        name: service,
        method: [
          method("Unary", `.${packageName}.Message`, false, false),
          method("Repeat", `.${packageName}.Message`, false, true),
          method("Chat", `.${packageName}.Message`, true, true),
          method("Raw", ".google.api.HttpBody", false, false),
          method("Hold", `.${packageName}.Message`, false, true),
        ],
      },
    ],
  });
  for (const method of echo.service[0]!.method) {
    const rule = rules[method.name];
    if (rule === undefined) continue;
    const data = new BinaryWriter().bytes(ruleBytes(rule)).finish();
    method.options = Object.assign(create(MethodOptionsSchema), { $unknown: [{ no: 72_295_728, wireType: 2, data }] });
  }
  const file = [
    file_google_protobuf_any.proto,
    file_google_protobuf_timestamp.proto,
    file_google_protobuf_wrappers.proto,
    HTTP_BODY,
    echo,
  ];
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }));
}

const OPTIONS: TranscodeOptions = {
  services: [],
  unbound: false,
  base: "",
  protoNames: false,
  enumNumbers: false,
  emitDefaults: false,
  ignoreUnknown: false,
  ignoreQuery: [],
};

/** What is made of the descriptors above. */
export const echoTranscoder = (options: Partial<TranscodeOptions> = {}, descriptors = echoDescriptors()): Transcoder =>
  new Transcoder(descriptors, { ...OPTIONS, ...options });
