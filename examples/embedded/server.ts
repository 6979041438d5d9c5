// A program that serves something and has a proxy in front of it, in one process.
//   node_modules/.bin/bun examples/embedded/server.ts
import { createProxy, definePlugin } from "sluice";

const app = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request) => new Response(`the app sees ${new URL(request.url).pathname}\n`),
});

let served = 0;
const count = definePlugin({
  name: "count",
  response() {
    served += 1;
  },
});

function config(greeting: string) {
  return {
    listeners: [{ address: `127.0.0.1:${process.env.PORT ?? "8080"}` }],
    routes: [
      { match: { path: "/greeting" }, respond: { body: `${greeting}\n` } },
      { use: [count], to: `http://127.0.0.1:${app.port}` },
    ],
  };
}

const proxy = await createProxy(config("hello"));
console.log(`listening on http://${proxy.addresses[0]}`);

// Another configuration takes over without a lost request; one that is not valid would change nothing.
await proxy.reload(config("good morning"));

async function stop(): Promise<void> {
  await proxy.close(); // requests in flight are answered first
  await app.stop();
  console.log(`served ${served} requests`);
}
process.once("SIGINT", () => void stop());
process.once("SIGTERM", () => void stop());
