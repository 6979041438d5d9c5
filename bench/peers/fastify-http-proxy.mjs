// Usage: node fastify-http-proxy.mjs PORT BACKEND_PORT
import proxy from "@fastify/http-proxy";
import Fastify from "fastify";

const [port, backendPort] = process.argv.slice(2).map(Number);
const app = Fastify({ logger: false, keepAliveTimeout: 75_000 });
await app.register(proxy, {
  upstream: `http://127.0.0.1:${backendPort}`,
  disableRequestLogging: true,
  replyOptions: {
    // It sets none of these by itself, and sends the upstream's name as Host.
    rewriteRequestHeaders: (request, headers) => ({
      ...headers,
      host: request.headers.host,
      "x-forwarded-for": request.ip,
      "x-forwarded-proto": request.protocol,
      "x-forwarded-host": request.headers.host,
    }),
    // It passes the backend's "Connection: keep-alive" on, even to a client whose connection it then closes.
    rewriteHeaders: ({ connection: _, ...headers }) => headers,
  },
});
await app.listen({ port, host: "127.0.0.1", backlog: 4096 });
