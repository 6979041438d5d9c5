// What routes look at in a request. Everything is asked for lazily: a table without host routes never computes a host.
import type { RequestHead } from "../http/message.ts";

export interface RouteSubject {
  /** Host without port, lower-case; brackets of an IPv6 address stay. Empty when the request names none. */
  readonly host: string;
  /** The normalised path (http/path.ts); null when it is ambiguous, which matches no route that looks at paths. */
  readonly path: string | null;
  readonly method: string;
  /** The query as the client wrote it, without `?`. */
  readonly query: string;
  /** The client's address. */
  readonly ip: string;
  /** The value of a request field, several joined by `, `; null when absent. */
  header(name: string): string | null;
}

/** A request head seen as a route's subject. One object serves request after request: `subject.of(head, ip)`. */
export class HeadSubject implements RouteSubject {
  #head: RequestHead;
  #ip: string;

  constructor(head: RequestHead, ip: string) {
    this.#head = head;
    this.#ip = ip;
  }

  /** Points at another request. */
  of(head: RequestHead, ip: string): this {
    this.#head = head;
    this.#ip = ip;
    return this;
  }

  get host(): string {
    return this.#head.host;
  }
  get path(): string | null {
    return this.#head.path;
  }
  get method(): string {
    return this.#head.method;
  }
  get query(): string {
    return this.#head.query;
  }
  get ip(): string {
    return this.#ip;
  }
  header(name: string): string | null {
    return this.#head.header(name);
  }
}
