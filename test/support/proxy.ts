// The proxy under test, in this very process.
import { type ConfigInput, createProxy, type Proxy as Sluice } from "../../src/index.ts";
import { request } from "./message.ts";
import { exchange } from "./peer.ts";

type Listener = ConfigInput["listeners"][number];

/** What a test says: listeners are on a free port of loopback unless it names some. */
export type ProxyUnderTest = Omit<ConfigInput, "listeners"> & {
  readonly listeners?: readonly Listener[];
  readonly listener?: Omit<Listener, "address">;
};

export class TestProxy implements AsyncDisposable {
  readonly proxy: Sluice;
  constructor(proxy: Sluice) {
    this.proxy = proxy;
  }
  /** The port of the first listener. */
  get port(): number {
    return Number(this.proxy.addresses[0]?.split(":").at(-1));
  }
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
  }
}

/** The configuration as the proxy wants it. Nothing is waited for when it stops: a test that is over needs nothing more. */
export function configOf(config: ProxyUnderTest): ConfigInput {
  const { listener, listeners, ...rest } = config;
  return {
    shutdown: { drain: "20ms" },
    admin: false,
    ...rest,
    listeners: [...(listeners ?? [{ address: "127.0.0.1:0", ...listener }])],
  };
}

export async function startProxy(config: ProxyUnderTest): Promise<TestProxy> {
  return new TestProxy(await createProxy(configOf(config)));
}

/** A proxy whose every request goes to `to`. */
export const proxyTo = (to: string | string[], config: Omit<ProxyUnderTest, "routes"> = {}): Promise<TestProxy> =>
  startProxy({ ...config, routes: [{ to }] });

/** A route for `proxyHasRead`. */
export const MARKER = { name: "marker", match: { path: "/marker" }, respond: {} };

/**
 * Resolves when the proxy, which has the route `MARKER`, has read what clients sent before: it has answered requests that
 * came later, the second of them in another turn of its event loop.
 */
export async function proxyHasRead(port: number): Promise<void> {
  for (let i = 0; i < 2; i += 1) await exchange(port, request("/marker"));
}
