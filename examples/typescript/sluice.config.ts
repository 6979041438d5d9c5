// A typed configuration with two plugins.
//   bin/sluice run -c examples/typescript/sluice.config.ts
//   curl -i http://127.0.0.1:8080/ -H 'x-api-key: open sesame'
import { defineConfig, definePlugin } from "sluice";

/** Lets a request through only with the key; everybody else gets an answer from here. */
function requireKey(key: string) {
  return definePlugin({
    name: "require-key",
    request(x) {
      if (x.request.header("x-api-key") === key) return undefined;
      return x.respond(401, "a key is needed\n", { "www-authenticate": "ApiKey" });
    },
  });
}

/** Says on every answer how long the proxy waited for it. */
const timing = definePlugin({
  name: "timing",
  response(x) {
    const waited = x.responseAt === 0 ? 0 : x.responseAt - x.startedAt;
    x.response.setHeader("server-timing", `proxy;dur=${waited.toFixed(1)}`);
  },
});

const app = process.env.APP_URL ?? "http://127.0.0.1:3001";

export default defineConfig({
  listeners: [{ address: `127.0.0.1:${process.env.PORT ?? "8080"}` }],
  defaults: { use: [timing] },
  routes: [
    { name: "health", match: { path: "/healthz" }, respond: { body: "ok\n" } },
    { name: "app", use: [requireKey(process.env.API_KEY ?? "open sesame"), timing], to: app },
  ],
  admin: { address: `127.0.0.1:${process.env.ADMIN_PORT ?? "9901"}` },
});
