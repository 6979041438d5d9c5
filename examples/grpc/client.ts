// A gRPC client: says its name, and lets the server count down.
import { Client, credentials } from "@grpc/grpc-js";
import { greeter } from "./greeter.ts";

const { hello, count } = greeter;
const client = new Client(`127.0.0.1:${process.env.PORT ?? 8080}`, credentials.createInsecure());

const text = await new Promise<string>((resolve, reject) => {
  const deadline = Date.now() + 5000;
  client.makeUnaryRequest(
    hello.path,
    hello.requestSerialize,
    hello.responseDeserialize,
    { name: process.argv[2] ?? "you" },
    { deadline },
    (error, message) => (error === null ? resolve(message?.text) : reject(error)),
  );
});
console.log(text);

const down = client.makeServerStreamRequest(count.path, count.requestSerialize, count.responseDeserialize, { left: 3 });
for await (const { left } of down) console.log(left);
client.close();
