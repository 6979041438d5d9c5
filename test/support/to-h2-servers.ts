// Proxies in front of HTTP/2 servers.
import type { Message } from "./message.ts";
import { type Echoed, NodeH2Server, type NodeH2ServerOptions } from "./node-h2-server.ts";
import { type ProxyUnderTest, proxyTo, type TestProxy } from "./proxy.ts";
import type { Pki } from "./tls.ts";

type App = Partial<NonNullable<ProxyUnderTest["upstreams"]>[string]>;

/** A proxy for HTTP/1.1 and cleartext HTTP/2, whose every request goes to one of these servers. */
export const proxyFor = (servers: readonly string[], app: App = {}): Promise<TestProxy> =>
  proxyTo("app", {
    listener: { h2c: true },
    upstreams: { app: { servers: [...servers], outlier: false, ...app } as App & object },
  });
export const plain = (server: { readonly port: number }): string => `h2c://127.0.0.1:${server.port}`;
export const secured = (server: NodeH2Server): string => `https://127.0.0.1:${server.port}`;
/** What an upstream needs to trust servers of these certificates. */
export const trusting = (pki: Pki): App => ({ tls: { ca: pki.caFile } });
/** What the server has understood of the request. */
export const echoed = ({ body }: Message): Echoed => JSON.parse(body) as Echoed;

/** The server, and a proxy whose requests go to it. */
export async function started(
  options: NodeH2ServerOptions = {},
  app: App = {},
): Promise<AsyncDisposable & { readonly server: NodeH2Server; readonly proxy: TestProxy }> {
  const server = await NodeH2Server.start(options);
  const proxy = await proxyFor([plain(server)], app);
  return {
    server,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
