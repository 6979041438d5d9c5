// The service that both sides know. A real one comes from a .proto file; its messages here are JSON.
import type { ServiceDefinition } from "@grpc/grpc-js";

const encode = (message: object): Buffer => Buffer.from(JSON.stringify(message));
const decode = (bytes: Buffer) => JSON.parse(bytes.toString());
const codec = {
  requestSerialize: encode,
  requestDeserialize: decode,
  responseSerialize: encode,
  responseDeserialize: decode,
};

export const greeter = {
  hello: { path: "/example.Greeter/Hello", requestStream: false, responseStream: false, ...codec },
  count: { path: "/example.Greeter/Count", requestStream: false, responseStream: true, ...codec },
} satisfies ServiceDefinition;
