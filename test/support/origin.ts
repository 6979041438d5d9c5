// A server whose answers tell what they are, and that counts what it is asked.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What an answer is to be like, in the query of its request: `/x?max-age=60&etag=a&bytes=100`. */
export class Origin implements AsyncDisposable {
  /** Requests by `METHOD path`. */
  readonly asked = new Map<string, number>();
  /** In every answer: another one is another answer. */
  version = 1;
  /** Answers with this status instead, where it is not 0. */
  failing = 0;
  /** Resolves before long content goes on. */
  held: Promise<void> = Promise.resolve();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  /** Listens on a port of 127.0.0.1. */
  static async start(): Promise<Origin> {
    const origin = new Origin();
    await new Promise<void>((resolve) => origin.#server.listen(0, "127.0.0.1", resolve));
    return origin;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  /** How often a path was asked for by GET. */
  gets(path: string): number {
    return this.asked.get(`GET ${path}`) ?? 0;
  }

  async #answer({ method, url = "", headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(url, "http://origin");
    const name = `${method} ${pathname}`;
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
    if (this.failing !== 0) return void response.writeHead(this.failing).end();
    if (method === "POST") {
      this.version += 1;
      return void response.writeHead(204).end();
    }
    for (const [key, value] of searchParams) if (key !== "bytes" && key !== "status") response.setHeader(key, value);
    const etag = searchParams.get("etag");
    if (etag !== null) {
      response.setHeader("etag", `"${etag}"`);
      response.setHeader("x-version", String(this.version));
      if (headers["if-none-match"] === `"${etag}"`) return void response.writeHead(304).end();
    }
    response.statusCode = Number(searchParams.get("status") ?? 200);
    const bytes = Number(searchParams.get("bytes") ?? 0);
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "");
    if (bytes > 0 && range !== null) return sendPart(Number(range[1]), Number(range[2]), bytes, response);
    if (bytes > 0) return this.#send(bytes, response);
    response.end(`${pathname} ${this.version} ${headers["accept-language"] ?? ""}`);
  }

  async #send(bytes: number, response: ServerResponse): Promise<void> {
    response.setHeader("content-length", bytes);
    for (let at = 0; at < bytes && !response.destroyed; at += BLOCK_BYTES) {
      if (at > bytes / 2) await this.held;
      const isRoom = response.write(contentOf(at, Math.min(BLOCK_BYTES, bytes - at)));
      if (!isRoom) await once(response, "drain");
    }
    response.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const BLOCK_BYTES = 65_536;

function sendPart(first: number, last: number, bytes: number, response: ServerResponse): void {
  response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bytes}` });
  response.end(contentOf(first, last - first + 1));
}

/** Bytes of long content from a place on: each four are their number. */
export function contentOf(at: number, count: number): Buffer {
  const from = at - (at % 4);
  const bytes = Buffer.allocUnsafe(count + 8);
  for (let i = 0; i < bytes.length - 3; i += 4) bytes.writeUInt32BE(((from + i) / 4) >>> 0, i);
  return bytes.subarray(at - from, at - from + count);
}
