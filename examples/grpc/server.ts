// A gRPC server without TLS: greets, and counts down.
import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream } from "@grpc/grpc-js";
import { greeter } from "./greeter.ts";

type Named = { readonly name: string };
type Counted = { readonly left: number };

const server = new Server();
server.addService(greeter, {
  hello(call: ServerUnaryCall<Named, object>, answer: (error: null, message: object) => void) {
    answer(null, { text: `Hello ${call.request.name}` });
  },
  count(call: ServerWritableStream<Counted, Counted>) {
    for (let left = call.request.left; left > 0; left -= 1) call.write({ left });
    call.end();
  },
});

const address = `127.0.0.1:${process.env.GRPC_PORT ?? 50051}`;
server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(`greeter: ${port}`);
});
