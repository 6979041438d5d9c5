// Exchanges for tests of filters and templates: a request head as if it had come off the wire, and nobody downstream.
import { idOf } from "../http/header-names.ts";
import { RequestHead, ResponseHead } from "../http/message.ts";
import { ClientInfo, type ClientTls } from "./client-info.ts";
import { type Downstream, Exchange } from "./exchange.ts";

export interface ExchangeOptions {
  readonly method?: string;
  readonly target?: string;
  readonly form?: RequestHead["form"];
  readonly authority?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly params?: Readonly<Record<string, string>>;
  /** Of the client's connection; without it nothing is encrypted. */
  readonly tls?: ClientTls;
  readonly ip?: string;
}

const NOBODY = new Proxy({} as Downstream, {
  get: (_, key) => {
    throw new Error(`a filter has no business with downstream.${String(key)}`);
  },
});

/** An exchange whose request fields count as received, values one byte for each character. */
export function exchangeOf(options: ExchangeOptions = {}): Exchange {
  const request = new RequestHead();
  request.reset();
  request.method = options.method ?? "GET";
  request.target = options.target ?? "/";
  request.queryAt = request.target.indexOf("?");
  request.form = options.form ?? "origin";
  request.authority = options.authority ?? "example.com";
  const fields = options.headers ?? [];
  request.headers.reset(Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join(""), "latin1"));
  let at = 0;
  for (const [name, value] of fields) {
    const valueAt = at + name.length + 2;
    const end = valueAt + value.length + 2;
    request.headers.push(idOf(name.toLowerCase()), at, at + name.length, valueAt, end - 2, end);
    at = end;
  }
  const tls = options.tls ?? null;
  const ends = { remoteAddress: "192.0.2.1", remotePort: 1, localAddress: "192.0.2.2", localPort: 2, tls };
  const client = new ClientInfo("192.0.2.1", ends, tls === null ? "http" : "https");
  const x = new Exchange(request, new ResponseHead(), NOBODY, client, ":8080", 0);
  x.params = options.params ?? null;
  if (options.ip !== undefined) x.ip = options.ip;
  x.requestId = "id-1";
  return x;
}
