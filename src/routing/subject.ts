// What routes look at in a request; an exchange is one. Everything is asked for lazily: a table without host routes
// never computes a host.
import type { ClientCertificate } from "../core/client-certificate.ts";

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
  /** The client's certificate, if the listener asked for one and trusts it; else null. */
  readonly clientCert: ClientCertificate | null;
  /** The value of a request field, several joined by `, `; null when absent. */
  header(name: string): string | null;
}
