// An HTTP/3 client for tests: the runtime's QUIC.

import type { QuicSession, QuicStream } from "node:quic";
import { connect, QuicEndpoint } from "node:quic";
import { DEADLINE_MS } from "./wait.ts";

export type Fields = Record<string, string | string[]>;

/** What came of a request. */
export interface Got {
  status: number;
  fields: Fields;
  informational: Fields[];
  body: Buffer;
  trailers: Fields | null;
  /** The code of a reset; -1 for none. */
  reset: number;
}

type Native = QuicStream & { stopSending(code: bigint): void; resetStream(code: bigint): void };
type Writer = {
  desiredSize: number | null;
  writeSync(bytes: Uint8Array): boolean;
  endSync(): number;
};

/** A request that is under way. */
export class H3Request {
  readonly stream: Native;
  readonly got: Got = { status: 0, fields: {}, informational: [], body: Buffer.alloc(0), trailers: null, reset: -1 };
  readonly done: Promise<Got>;
  readonly #parts: Uint8Array[] = [];
  readonly #writer: Writer | null;

  constructor(stream: QuicStream, hasBody: boolean) {
    this.stream = stream as Native;
    stream.onheaders = (fields) => {
      this.got.fields = fields as Fields;
      this.got.status = Number(fields[":status"]);
    };
    stream.oninfo = (fields) => void this.got.informational.push(fields as Fields);
    stream.ontrailers = (fields) => {
      this.got.trailers = fields as Fields;
    };
    stream.onreset = (error) => {
      this.got.reset = Number((error as unknown as { errorCode: bigint }).errorCode);
    };
    stream.onerror = () => {};
    this.#writer = hasBody ? (stream.writer as unknown as Writer) : null;
    this.done = this.#read();
  }

  async #read(): Promise<Got> {
    try {
      for await (const batch of this.stream as AsyncIterable<Uint8Array[]>) this.#parts.push(...batch);
    } catch (error) {
      if (this.got.reset < 0) this.got.reset = Number((error as { errorCode?: bigint }).errorCode ?? 0);
    }
    await new Promise(setImmediate); // trailers and resets are told in the same turn
    this.got.body = this.body;
    return this.got;
  }

  /** What has come so far. */
  get body(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** Writes as much as the connection takes, whatever the server does. */
  async write(bytes: Uint8Array): Promise<void> {
    const until = performance.now() + DEADLINE_MS;
    while (!this.stream.destroyed && this.#writer!.desiredSize !== null && !this.#writer!.writeSync(bytes)) {
      if (performance.now() > until) throw new Error("the stream takes nothing");
      await Bun.sleep(1);
    }
  }
  end(trailers: Fields | null = null): void {
    if (trailers !== null) this.stream.onwanttrailers = () => void this.stream.sendTrailers(trailers);
    this.#writer!.endSync();
  }
}

export class H3Client implements AsyncDisposable {
  readonly session: QuicSession;
  /** The code that the connection was closed with; null while it is open. */
  closedWith: number | null = null;
  hasGoaway = false;
  readonly closed: Promise<unknown>;

  private constructor(session: QuicSession) {
    this.session = session;
    session.onerror = () => {};
    session.ongoaway = () => {
      this.hasGoaway = true;
    };
    this.closed = session.closed.then(
      () => (this.closedWith = 0),
      (error: { errorCode?: bigint }) => (this.closedWith = Number(error.errorCode ?? 0)),
    );
  }

  /** Connects from a port of its own. Rejects when the handshake fails. */
  static async connect(port: number, servername = "app.test", address = "127.0.0.1"): Promise<H3Client> {
    const session = await connect(address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`, {
      endpoint: new QuicEndpoint(address.includes(":") ? { address: "[::1]:0" } : {}),
      servername,
      alpn: "h3",
      verifyPeer: "manual",
    });
    const client = new H3Client(session);
    await session.opened;
    return client;
  }

  /** Names in the server's certificate. */
  get names(): string {
    const certificate = this.session.peerCertificate as { subjectAltName?: string } | undefined;
    return certificate?.subjectAltName ?? "";
  }

  async begin(fields: Fields, hasBody = false): Promise<H3Request> {
    const stream = await this.session.createBidirectionalStream();
    const request = new H3Request(stream, hasBody);
    if (!stream.sendHeaders(fields, { terminal: !hasBody })) throw new Error("the client cannot send these fields");
    return request;
  }

  async get(path: string, fields: Fields = {}): Promise<Got> {
    return (await this.begin({ ...head("GET", path), ...fields })).done;
  }
  async post(path: string, body: Uint8Array, fields: Fields = {}, trailers: Fields | null = null): Promise<Got> {
    const request = await this.begin({ ...head("POST", path), ...fields }, true);
    await request.write(body);
    request.end(trailers);
    return request.done;
  }

  /** Closes the connection and says so. */
  leave(): void {
    if (!this.session.destroyed) this.session.destroy(undefined, { code: 0x100n, type: "application" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    await this.closed;
  }
}

export const head = (method: string, path: string, authority = "app.test"): Fields => ({
  ":method": method,
  ":scheme": "https",
  ":authority": authority,
  ":path": path,
});
