// A real provider for single sign-on, and a browser of a few lines that signs in with it: redirects and cookies as
// browsers have them, and nothing else.
import { NodeScript } from "./node-script.ts";

export const CLIENT = { clientId: "web", clientSecret: `web-secret-${"x".repeat(32)}` };
export const SECOND_CLIENT = { clientId: "second", clientSecret: `second-secret-${"x".repeat(32)}` };

export class TestProvider implements AsyncDisposable {
  readonly #script = new NodeScript(new URL("./oidc-provider.mjs", import.meta.url));
  readonly #said = this.#script.said();
  port = 0;

  static async start(): Promise<TestProvider> {
    const provider = new TestProvider();
    provider.port = Number((await provider.#said.next()).value);
    return provider;
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async #ask(command: string, values: unknown = {}): Promise<unknown> {
    this.#script.say([command, values]);
    return (await this.#said.next()).value;
  }
  /** Who signs in, what is told of them, how long tokens hold, and what does not work. */
  async set(values: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#ask("set", values);
  }
  /** It forgets all that it has given out. */
  async forget(): Promise<void> {
    await this.#ask("rebuild");
  }
  async rotateKeys(): Promise<void> {
    await this.#ask("rotateKeys");
  }
  /** Tokens given, and requests for tokens refused. */
  async counts(): Promise<{ readonly token: number; readonly refused: number }> {
    return (await this.#ask("counts")) as { token: number; refused: number };
  }
  /** A token signed with its key, or with a foreign one. */
  async sign(payload: unknown, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
    return (await this.#ask("sign", { payload, ...more })) as string;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script[Symbol.asyncDispose]();
  }
}

/** What a top-level navigation of a browser looks like. */
export const NAVIGATION = { accept: "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly body: string;
  readonly headers: Headers;
}

/** Names below `.localhost` are all the proxy; everything else is asked where it says. */
export class MiniBrowser {
  readonly cookies = new Map<string, Map<string, string>>();
  readonly #port: () => number;
  /** All addresses that were asked, in order. */
  readonly visited: string[] = [];

  constructor(port: () => number) {
    this.#port = port;
  }

  jar(host: string): Map<string, string> {
    const jar = this.cookies.get(host) ?? new Map<string, string>();
    this.cookies.set(host, jar);
    return jar;
  }

  /** The Cookie field for a host. */
  field(host: string): string {
    return [...this.jar(host)].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** One request, without following redirects. */
  async ask(url: string, headers: Readonly<Record<string, string>> = {}, init: RequestInit = {}): Promise<Page> {
    const { host, hostname, pathname, search } = new URL(url);
    this.visited.push(url);
    const own = hostname.endsWith(".localhost");
    const cookie = this.field(hostname);
    const response = await fetch(own ? `http://127.0.0.1:${this.#port()}${pathname}${search}` : url, {
      ...init,
      redirect: "manual",
      headers: { host, ...(cookie === "" ? {} : { cookie }), ...headers },
    });
    for (const line of response.headers.getSetCookie()) this.#store(hostname, line);
    const { status } = response;
    return { url, status, body: await response.text(), headers: response.headers };
  }

  #store(host: string, line: string): void {
    const [pair = "", ...attributes] = line.split(";");
    const equals = pair.indexOf("=");
    const name = pair.slice(0, equals);
    if (attributes.some((attribute) => /^\s*max-age=0$/i.test(attribute))) this.jar(host).delete(name);
    else this.jar(host).set(name, pair.slice(equals + 1));
  }

  /** Goes to a page as a browser does, through all redirects. */
  async open(url: string, headers: Readonly<Record<string, string>> = NAVIGATION): Promise<Page> {
    let page = await this.ask(url, headers);
    for (let hops = 0; hops < 12; hops += 1) {
      const location = page.headers.get("location");
      if (location === null || page.status < 300 || page.status > 399) return page;
      page = await this.ask(new URL(location, page.url).href, headers);
    }
    throw new Error(`too many redirects: ${this.visited.join(" ")}`);
  }

  /** Goes on until the browser is about to ask for an address that fits. Returns it. */
  async until(url: string, fits: (url: string) => boolean): Promise<string> {
    let at = url;
    for (let hops = 0; hops < 12; hops += 1) {
      if (fits(at)) return at;
      const page = await this.ask(at, NAVIGATION);
      const location = page.headers.get("location");
      if (location === null) throw new Error(`no redirect at ${at}: ${page.status} ${page.body.slice(0, 300)}`);
      at = new URL(location, at).href;
    }
    throw new Error("too many redirects");
  }
}
