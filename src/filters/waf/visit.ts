// One exchange in the eyes of the firewall: request head and body, answer, and what is said of it at its end.
import { type Fault, fault } from "../../core/faults.ts";
import type { Interruption, Transaction } from "../../engines/waf/index.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { reply } from "../../pipeline/reply.ts";
import type { Held } from "../../pipeline/shared.ts";
import type { BodyLook, BodyOutput, BodyTransform } from "../../pipeline/transforms.ts";
import type { Firewall } from "./firewall.ts";

const PROTOCOLS = { 10: "HTTP/1.0", 11: "HTTP/1.1", 20: "HTTP/2.0", 30: "HTTP/3.0" } as const;

/** Held by its exchange, which tells when it ends. */
export class Visit implements Held {
  readonly next: Held | null;
  readonly firewall: Firewall;
  readonly #x: Exchange;
  /** Null once the exchange has ended: the transaction has others to serve. */
  transaction: Transaction | null;

  constructor(firewall: Firewall, x: Exchange, transaction: Transaction) {
    this.firewall = firewall;
    this.#x = x;
    this.transaction = transaction;
    this.next = x.held;
  }

  /** Phase 1. */
  requestHead(tx: Transaction): Outcome | undefined {
    const x = this.#x;
    const { request, client } = x;
    const { destination } = client;
    tx.begin({
      id: x.requestId,
      method: request.method,
      target: request.target,
      protocol: PROTOCOLS[request.version],
      remoteAddress: x.ip,
      remotePort: client.source.port,
      serverAddress: destination.address,
      serverPort: destination.port,
    });
    const { headers } = request;
    for (let at = 0; at < headers.count; at += 1) {
      if (headers.removed[at] === 0) tx.requestHeader(headers.nameAt(at), headers.valueAt(at));
    }
    return refusal(tx.requestHead());
  }

  /** Phase 3, and phase 4 where no body is to be looked at. */
  responseHead(tx: Transaction): Outcome | undefined {
    const { response, request } = this.#x;
    const add = (name: string, value: string): void => tx.responseHeader(name, value);
    response.headers.forEach(add);
    return refusal(tx.responseHead(response.status, PROTOCOLS[request.version]));
  }

  leave(): void {
    const tx = this.transaction;
    if (tx === null) return;
    this.transaction = null;
    this.firewall.finish(this.#x, tx);
  }
}

/** What the client gets of a decision; `undefined` to go on. */
export function refusal(interruption: Interruption | null): Outcome | undefined {
  if (interruption === null) return undefined;
  if (interruption.action === "redirect") return reply(interruption.status, "", { location: interruption.url });
  return blocked(interruption);
}

const blocked = ({ rule }: Interruption): Fault => fault("waf.blocked", `rule ${rule}`);

/** Phase 2 over a body that is read ahead. */
export class RequestLook implements BodyLook {
  readonly #visit: Visit;
  readonly #x: Exchange;
  readonly #resolve: (outcome: Outcome | undefined) => void;

  constructor(visit: Visit, x: Exchange, resolve: (outcome: Outcome | undefined) => void) {
    this.#visit = visit;
    this.#x = x;
    this.#resolve = resolve;
  }

  piece(bytes: Buffer, from: number, to: number): boolean {
    return this.#visit.transaction?.requestPiece(bytes.subarray(from, to)) === true;
  }

  seen(): void {
    this.#visit.transaction?.beginRequestBody();
    this.#step();
  }

  /** Long bodies take many rules a while: other connections are served in between. */
  #step(): void {
    const tx = this.#visit.transaction;
    if (tx?.stepRequestBody() === true) {
      setImmediate(() => this.#step());
      return;
    }
    const outcome = refusal(tx?.interruption ?? null);
    if (outcome !== undefined && !this.#x.over) this.#x.downstream.discardBody();
    this.#resolve(outcome);
  }
}

/** Phase 4: keeps the body of an answer until as much of it was seen as the rules want. */
export class ResponseLook implements BodyTransform {
  readonly #visit: Visit;
  #pieces: Buffer[] | null = [];

  constructor(visit: Visit) {
    this.#visit = visit;
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (this.#pieces === null) return out.data(bytes, from, to);
    this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
    if (this.#visit.transaction?.responsePiece(bytes.subarray(from, to)) !== true) this.#release(out);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (this.#release(out)) out.end(trailers);
  }

  /** False when nothing may go out. */
  #release(out: BodyOutput): boolean {
    const pieces = this.#pieces;
    if (pieces === null) return true;
    this.#pieces = null;
    const interruption = this.#visit.transaction?.responseBody() ?? null;
    if (interruption !== null) {
      out.fail(blocked(interruption));
      return false;
    }
    for (const piece of pieces) out.data(piece, 0, piece.length);
    return true;
  }
}
