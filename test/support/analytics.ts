// Vendors of web analytics as their servers were seen to behave: Google's tag gateway and tags, a tagging server, GA4,
// Plausible, Matomo, PostHog and Umami, told apart by the paths below which they are put.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

/** A request as it arrived. */
export interface Asked {
  readonly method: string;
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: readonly string[];
  readonly body: Buffer;
}

/** Scripts have addresses of their vendors, and of hosts that only look like them, in all spellings. */
const SCRIPT = [
  `var a="https://www.googletagmanager.com/gtag/js",b='//www.google-analytics.com/g/collect';`,
  String.raw`var c="https:\/\/www.googletagmanager.com\/x",d="https://www.googletagmanager.com.evil.com/x";`,
  `var e="https://plausible.io/api/event",f="https://us.i.posthog.com/e/",g="https://cloud.umami.is/api/send";`,
  `var h="größe";`,
].join("\n");

export class Analytics implements AsyncDisposable {
  readonly asked: Asked[] = [];
  /** It breaks all connections. */
  down = false;
  /** It sends scripts compressed, whatever it is asked for. */
  deaf = false;
  /** Resolves before a script is sent. */
  held: Promise<void> = Promise.resolve();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  static async start(): Promise<Analytics> {
    const vendor = new Analytics();
    await new Promise<void>((resolve) => vendor.#server.listen(0, "127.0.0.1", resolve));
    return vendor;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  get url(): string {
    return `http://${this.host}`;
  }
  /** What was asked for last. */
  get last(): Asked {
    const last = this.asked.at(-1);
    if (last === undefined) throw new Error("nobody has asked");
    return last;
  }
  count(part: string): number {
    return this.asked.filter(({ target }) => target.includes(part)).length;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.down) return void request.socket.destroy();
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const { method = "", url = "", headers, rawHeaders } = request;
    this.asked.push({ method, target: url, headers, raw: rawHeaders, body: Buffer.concat(pieces) });
    const path = url.split("?", 1)[0]!;
    if (path.endsWith("/healthy") || url.includes("validate_geo=healthy")) return void response.end("ok");
    if (/gtm_(?:debug|preview)|debug-me/.test(url) || headers["x-gtm-server-preview"] !== undefined)
      response.setHeader("x-encrypted-debug-headers", "d".repeat(120_000));
    if (path.endsWith(".js") || path.endsWith("/js") || url.includes("?id=")) return this.#script(request, response);
    // Measured hits are answered without content, and set cookies for a domain that may be another.
    response.setHeader("set-cookie", [
      "FPID=a.b; Max-Age=63072000; Domain=vendor.example; Path=/; HttpOnly; Secure",
      "_ga_X=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT",
      "NID=tracker; Domain=.google.com",
    ]);
    response.setHeader("cache-control", "no-cache, no-store, must-revalidate");
    response.writeHead(path.endsWith(".php") ? 200 : 204).end();
  }

  async #script(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.held;
    response.setHeader("content-type", "application/javascript; charset=UTF-8");
    response.setHeader("cache-control", "private, max-age=900"); // as Google's are
    response.setHeader("vary", "Accept-Encoding");
    response.setHeader("etag", '"v1"');
    response.setHeader("set-cookie", "NID=script");
    if (request.headers["if-none-match"]?.includes('"v1"') === true) return void response.writeHead(304).end();
    const text = Buffer.from(SCRIPT);
    if (this.deaf) {
      response.setHeader("content-encoding", "gzip");
      return void response.end(gzipSync(text));
    }
    response.setHeader("content-length", text.length);
    if (request.method === "HEAD") return void response.end();
    const middle = text.indexOf("googletagmanager") + 5; // in the middle of a host
    response.write(text.subarray(0, middle));
    setTimeout(() => response.end(text.subarray(middle)), 5);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
