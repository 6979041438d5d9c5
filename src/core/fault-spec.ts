// One row of the table of faults (core/faults.ts).

export interface FaultSpec {
  /** Status of the answer that Sluice makes (RFC 9110); 0 when nobody is left to read one. */
  readonly status: number;
  /** Whose doing it is. */
  readonly side: "client" | "upstream" | "proxy";
  /**
   * When the request may be tried again: `always`, as nothing was sent; where sending it twice does no harm, `reset`
   * when the connection broke, and `status` when the retry policy asks about this status.
   */
  readonly retry: "never" | "reset" | "status" | "always";
  /** The error type of the Proxy-Status field (RFC 9209 §2.3). */
  readonly proxyStatus: string;
  /** What the client is told, in one sentence, without internals. */
  readonly title: string;
}
