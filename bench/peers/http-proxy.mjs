// Usage: node http-proxy.mjs PORT BACKEND_PORT
import http from "node:http";
import httpProxy from "http-proxy";

const [port, backendPort] = process.argv.slice(2).map(Number);
// Without an agent of its own it closes every upstream connection after one request.
const agent = new http.Agent({ keepAlive: true });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${backendPort}`, agent, xfwd: true });
proxy.on("error", (_error, _request, response) => {
  if (!response.headersSent) response.writeHead(502);
  response.end();
});
const server = http.createServer((request, response) => proxy.web(request, response));
server.keepAliveTimeout = 75_000; // Node's 5 s would close the idle connections that are to be weighed.
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
