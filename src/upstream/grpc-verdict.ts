// How a server did, as its upstream counts it. Of a gRPC call the status tells, and that comes last where there are
// messages before it: then the verdict waits for the trailers.
import { GRPC, grpcStatusOf, isServerFailure, NO_GRPC, receivedKind } from "../http/grpc.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Server } from "./pool.ts";
import type { Upstream } from "./upstream.ts";

const OK = 200;

/** The head of an answer has come, after `ms`. What it leaves open is told to what is returned. */
export function judge(
  upstream: Pick<Upstream, "outcome">,
  server: Server,
  x: Exchange,
  head: ResponseHead,
  ms: number,
): GrpcVerdict | null {
  const { status, headers } = head;
  if ((x.grpc === NO_GRPC && x.rpc === "") || status !== OK) upstream.outcome(server, status, ms);
  else if (headers.received(ID["grpc-status"]))
    upstream.outcome(server, status, ms, isServerFailure(grpcStatusOf(headers)));
  else if (receivedKind(headers) !== GRPC) upstream.outcome(server, status, ms);
  else return new GrpcVerdict(upstream, server, ms);
  return null;
}

/** One of these is the last word; what is said after it does not count. */
export class GrpcVerdict {
  readonly #upstream: Pick<Upstream, "outcome">;
  readonly #server: Server;
  readonly #ms: number;
  #given = false;

  constructor(upstream: Pick<Upstream, "outcome">, server: Server, ms: number) {
    this.#upstream = upstream;
    this.#server = server;
    this.#ms = ms;
  }

  /** The answer is over. */
  ended(trailers: HeaderBlock | null): void {
    this.#give(isServerFailure(trailers === null ? -1 : grpcStatusOf(trailers)));
  }
  /** The server did not bring the answer to its end. */
  broken(): void {
    this.#give(true);
  }
  /** The client or Sluice ended it: so far the server did well. */
  cutShort(): void {
    this.#give(false);
  }

  #give(failed: boolean): void {
    if (this.#given) return;
    this.#given = true;
    this.#upstream.outcome(this.#server, OK, this.#ms, failed);
  }
}
