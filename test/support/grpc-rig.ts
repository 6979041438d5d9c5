// Server, proxy and client of gRPC, each speaking HTTP/2 to the next; and calls that no library would make.
import { GrpcClient, GrpcServer } from "./grpc.ts";
import type { Fields } from "./h2-hpack.ts";
import { H2Peer } from "./h2-peer.ts";
import { lastData, post } from "./h2-wire.ts";
import { MARKER, type ProxyUnderTest, startProxy, type TestProxy } from "./proxy.ts";
import { Pki } from "./tls.ts";

export type Upstream = NonNullable<ProxyUnderTest["upstreams"]>[string];

export const STATUS = {
  cancelled: 1,
  deadline: 4,
  denied: 7,
  exhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

export class Rig implements AsyncDisposable {
  readonly server: GrpcServer;
  readonly proxy: TestProxy;
  readonly client: GrpcClient;
  readonly #pki: Pki | null;

  private constructor(server: GrpcServer, proxy: TestProxy, client: GrpcClient, pki: Pki | null) {
    this.server = server;
    this.proxy = proxy;
    this.client = client;
    this.#pki = pki;
  }

  /** Without TLS. `app` is what its upstream has beside its server. */
  static async start(config: Partial<ProxyUnderTest> = {}, app: Partial<Upstream> = {}): Promise<Rig> {
    const server = await GrpcServer.start();
    const proxy = await startProxy({
      listener: { h2c: true },
      upstreams: { app: { servers: [`h2c://127.0.0.1:${server.port}`], ...app } },
      routes: [MARKER, { to: "app" }],
      ...config,
    });
    return new Rig(server, proxy, new GrpcClient(proxy.port), null);
  }
  /** With TLS on both sides. */
  static async startTls(): Promise<Rig> {
    const pki = await Pki.make();
    const files = await pki.files("both", { names: ["localhost", "127.0.0.1"] });
    const server = await GrpcServer.start(files);
    const proxy = await startProxy({
      listener: { tls: { certificates: [files] } },
      upstreams: { app: { servers: [`h2://127.0.0.1:${server.port}`], tls: { ca: pki.caFile } } },
      routes: [{ to: "app" }],
    });
    return new Rig(server, proxy, new GrpcClient(proxy.port, pki.caFile), pki);
  }

  /** A call of one message on stream 1, frame by frame: its client would never end it by itself. */
  async raw(path: string, message: string, more: Fields = []): Promise<H2Peer> {
    const peer = await H2Peer.connect(this.proxy.port);
    return peer.send(callHead(path, more), lastData(1, framed(message)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    this.#pki?.[Symbol.dispose]();
  }
}

/** A message as it lies in a body. */
export function framed(message: string): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.write(message, 5, "latin1");
  return frame;
}

/** The head of a call on stream 1. */
export const callHead = (path: string, more: Fields = []): Buffer =>
  post(1, path, [["te", "trailers"], ["content-type", "application/grpc"], ...more]);
