// `mock: fallback`: where no server can be reached, or one says that it has not been built yet, the example is the
// answer.
import type { Fault, FaultCode } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import {
  type DirectOutput,
  type Downstream,
  type Exchange,
  type Filter,
  isFault,
  type Outcome,
  type RequestSink,
  type TunnelEnd,
} from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";

const NOT_IMPLEMENTED = 501;

/** Comes before all other filters, so that what these put before the client's side lies over this. */
export function mockFallback(mock: (x: Exchange) => Outcome): Filter {
  return Object.freeze<Filter>({
    name: "mock-fallback",
    request(x) {
      x.downstream = new MockDownstream(x, x.downstream, mock);
    },
    response(x) {
      return x.response.status === NOT_IMPLEMENTED && x.ownBody === null ? mock(x) : undefined;
    },
  });
}

/** The client's side of an exchange, on which a server that cannot be had becomes an example. */
class MockDownstream implements Downstream {
  readonly #x: Exchange;
  readonly #below: Downstream;
  readonly #mock: (x: Exchange) => Outcome;

  constructor(x: Exchange, below: Downstream, mock: (x: Exchange) => Outcome) {
    this.#x = x;
    this.#below = below;
    this.#mock = mock;
  }

  fail(fault: Fault): void {
    if (this.#below.answered || !UNREACHABLE.has(fault.code)) return this.#below.fail(fault);
    const outcome = this.#mock(this.#x);
    if (isFault(outcome)) return this.#below.fail(outcome);
    for (const [name, value] of this.#x.errorFields ?? []) outcome.headers.add(name, value);
    this.#below.reply(outcome);
  }

  get full(): boolean {
    return this.#below.full;
  }
  get tunnelIdle(): number {
    return this.#below.tunnelIdle;
  }
  get answered(): boolean {
    return this.#below.answered;
  }
  readBody(sink: RequestSink): void {
    this.#below.readBody(sink);
  }
  pauseBody(): void {
    this.#below.pauseBody();
  }
  resumeBody(): void {
    this.#below.resumeBody();
  }
  discardBody(): void {
    this.#below.discardBody();
  }
  informational(head: ResponseHead): void {
    this.#below.informational(head);
  }
  head(head: ResponseHead): void {
    this.#below.head(head);
  }
  data(bytes: Buffer, from: number, to: number, given?: boolean, roomy?: boolean): void {
    this.#below.data(bytes, from, to, given, roomy);
  }
  direct(): DirectOutput | null {
    return this.#below.direct?.() ?? null;
  }
  end(trailers: HeaderBlock | null): void {
    this.#below.end(trailers);
  }
  abort(fault: Fault): void {
    this.#below.abort(fault);
  }
  reply(answer: Reply): void {
    this.#below.reply(answer);
  }
  fitsUpgrade(head: ResponseHead): boolean {
    return this.#below.fitsUpgrade?.(head) ?? true;
  }
  upgrade(head: ResponseHead): TunnelEnd<unknown> {
    return this.#below.upgrade(head);
  }
  tunnelClosed(bytesIn: number, bytesOut: number): void {
    this.#below.tunnelClosed(bytesIn, bytesOut);
  }
}

/** No server has taken the request: nothing has been done anywhere that an example would hide. */
const UNREACHABLE: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "upstream.none",
  "upstream.dns",
  "upstream.connect_refused",
  "upstream.connect_timeout",
  "upstream.tls",
  "upstream.certificate",
  "upstream.down",
  "upstream.circuit_open",
]);
