// The heads of messages, the same for every version of HTTP: what the codecs produce and the rest of the proxy reads.
import { HeaderBlock } from "./header-block.ts";
import { normalizePath } from "./path.ts";

/** How the body of a message is delimited (RFC 9112 §6.3). */
export type BodyKind = "none" | "length" | "chunked" | "close";

/** The four forms of a request target (RFC 9112 §3.2). */
export type TargetForm = "origin" | "absolute" | "authority" | "asterisk";

/** The head of a request. Pooled with its connection: do not keep one beyond its exchange. */
export class RequestHead {
  method = "GET";
  form: TargetForm = "origin";
  /** Where the request line begins in `headers.bytes` if it may be forwarded byte by byte; -1 otherwise. */
  lineAt = -1;
  /** The target's bytes in `headers.bytes`, while nobody has asked for its text. */
  targetAt = 0;
  targetEnd = 0;
  /** The path holds nothing that normalisation would look at: no `%`, `.` or `/` behind a `/`, nothing unusual. */
  plainPath = false;
  #target: string | null = "/";
  /** Offset of the `?` in `target`; -1 without one. */
  queryAt = -1;
  /** The authority that the request is for, lower-case, port included: `example.com:8080`. Empty in HTTP/1.0 without Host. */
  authority = "";
  /** The minor version of HTTP/1; 2 and 3 for HTTP/2 and HTTP/3. */
  version: 10 | 11 | 20 | 30 = 11;
  readonly headers: HeaderBlock = new HeaderBlock();
  body: BodyKind = "none";
  /** Bytes of the body when `body` is "length"; 0 otherwise. */
  length = 0;
  /** What stands behind the connection once this message is over (RFC 9112 §9.3). */
  keepAlive = true;
  /** The client waits for `100 Continue` (RFC 9110 §10.1.1). */
  expectContinue = false;
  /** The client asks for another protocol (`Upgrade` with `Connection: upgrade`); its name lower-case, else "". */
  upgrade = "";
  /** `Connection` names fields beyond the usual ones, which must be dropped as well. */
  connectionNamesFields = false;
  #path: string | null | undefined = undefined;

  reset(): void {
    this.#path = undefined;
    this.lineAt = -1;
    this.plainPath = false;
    // A head that is refused early must not look like the one before it, in its answer or in the log.
    this.method = "GET";
    this.target = "";
    this.queryAt = -1;
    this.authority = "";
    this.version = 11;
    this.form = "origin";
    this.body = "none";
    this.length = 0;
    this.keepAlive = true;
    this.expectContinue = false;
    this.upgrade = "";
    this.connectionNamesFields = false;
  }

  /** The target as the client wrote it, without the scheme and authority of an absolute one: `/a?b`, `*`, `host:443`. */
  get target(): string {
    let target = this.#target;
    if (target === null) {
      target = this.headers.bytes.latin1Slice(this.targetAt, this.targetEnd);
      this.#target = target;
    }
    return target;
  }
  set target(target: string) {
    this.#target = target;
    this.#path = undefined;
    this.plainPath = false;
    this.lineAt = -1;
  }
  /** The target stands in `headers.bytes`; it becomes text when somebody asks. */
  setTargetBytes(at: number, end: number): void {
    this.#target = null;
    this.targetAt = at;
    this.targetEnd = end;
  }
  /** Bytes of the target. */
  get targetLength(): number {
    return this.#target === null ? this.targetEnd - this.targetAt : this.#target.length;
  }
  /** The target is ambiguous or malformed as a path and must be refused. */
  get badPath(): boolean {
    return !this.plainPath && this.path === null;
  }

  /** The path for matching: normalised once (path.ts); null when it is ambiguous and must be refused. */
  get path(): string | null {
    let path = this.#path;
    if (path === undefined && this.plainPath) {
      path = this.rawPath;
      this.#path = path;
    } else if (path === undefined) {
      path = this.form === "origin" || this.form === "absolute" ? normalizePath(this.rawPath) : this.target;
      this.#path = path;
    }
    return path;
  }
  /** The path as the client wrote it. */
  get rawPath(): string {
    return this.queryAt < 0 ? this.target : this.target.slice(0, this.queryAt);
  }
  /** The query as the client wrote it, without `?`; empty without one. */
  get query(): string {
    return this.queryAt < 0 ? "" : this.target.slice(this.queryAt + 1);
  }
  /** The host without its port, lower-case; brackets of an IPv6 address stay. */
  get host(): string {
    const authority = this.authority;
    const colon = authority.lastIndexOf(":");
    return colon < 0 || authority.endsWith("]") ? authority : authority.slice(0, colon);
  }
  /** The value of a request field, several joined by `, `; null when absent. */
  header(name: string): string | null {
    return this.headers.get(name);
  }
}

/** The head of a response. */
export class ResponseHead {
  status = 200;
  reason = "";
  version: 10 | 11 | 20 | 30 = 11;
  /** Where the status line begins in `headers.bytes` if it may be forwarded byte by byte; -1 otherwise. */
  lineAt = -1;
  readonly headers: HeaderBlock;
  body: BodyKind = "none";
  length = 0;
  keepAlive = true;
  /** The protocol of a 101, lower-case, else "". */
  upgrade = "";
  connectionNamesFields = false;
  /** It was made here and has come through no proxy, so it gets no Via. */
  own = false;

  constructor(headers: HeaderBlock = new HeaderBlock()) {
    this.headers = headers;
  }

  reset(): void {
    this.lineAt = -1;
    this.body = "none";
    this.length = 0;
    this.keepAlive = true;
    this.upgrade = "";
    this.connectionNamesFields = false;
    this.own = false;
  }

  /** The value of a response field, several joined by `, `; null when absent. */
  header(name: string): string | null {
    return this.headers.get(name);
  }
  /** Sets a response field in place of any of that name. */
  setHeader(name: string, value: string): void {
    this.headers.set(name, value);
  }
}
