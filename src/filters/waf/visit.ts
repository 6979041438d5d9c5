// One exchange in the eyes of the firewall: request head and body, answer, and what is said of it at its end.
import { type Fault, fault } from "../../core/faults.ts";
import type { Interruption, Transaction } from "../../engines/waf/index.ts";
import type { BodyLook } from "../../pipeline/body-transform.ts";
import { errorReply } from "../../pipeline/error-reply.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { reply } from "../../pipeline/reply.ts";
import type { Held } from "../../pipeline/shared.ts";
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

  /** What the first line says, and where the request comes from. */
  line(): Parameters<Transaction["begin"]>[0] {
    const x = this.#x;
    const { request, client } = x;
    const { destination } = client;
    return {
      id: x.requestId,
      method: request.method,
      target: request.target,
      protocol: PROTOCOLS[request.version],
      remoteAddress: x.ip,
      remotePort: client.source.port,
      serverAddress: destination.address,
      serverPort: destination.port,
    };
  }

  /** Phase 1, to be run in steps. */
  beginRequest(tx: Transaction): void {
    tx.begin(this.line());
    const { headers } = this.#x.request;
    for (let at = 0; at < headers.count; at += 1) {
      if (headers.removed[at] === 0) tx.requestHeader(headers.nameAt(at), headers.valueAt(at));
    }
    tx.beginRequestHead();
  }

  /**
   * Runs what is left of the phase that was begun, other connections in between. False when the exchange has ended
   * meanwhile.
   */
  async finish(): Promise<boolean> {
    do {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.transaction === null) return false;
    } while (this.transaction.step());
    return true;
  }

  /** Phase 3, and phase 4 where no body is to be looked at. */
  responseHead(tx: Transaction): Looked {
    const { response, request } = this.#x;
    const add = (name: string, value: string): void => tx.responseHeader(name, value);
    response.headers.forEach(add);
    return refusal(this.#x, tx.responseHead(response.status, PROTOCOLS[request.version]));
  }

  leave(): void {
    const tx = this.transaction;
    if (tx === null) return;
    this.transaction = null;
    this.firewall.finish(this.#x, tx);
  }
}

/**
 * What the client gets of a decision: 403, or the status that the rule names, without a word of the rules; a redirect;
 * or nothing at all. `undefined` to go on.
 */
export function refusal(x: Exchange, interruption: Interruption | null): Outcome | Promise<undefined> | undefined {
  if (interruption === null) return undefined;
  if (interruption.action !== "drop") return answerOf(x, interruption);
  drop(x, blocked(interruption));
  return Promise.resolve(undefined); // the exchange is over, which whoever waits will see
}

function answerOf(x: Exchange, interruption: Interruption): Outcome {
  const { action, status, url } = interruption;
  const cause = blocked(interruption);
  if (action === "deny" && status === REFUSED) return cause;
  x.fault ??= cause; // for logs and bans
  if (action === "redirect") return reply(status, "", { location: url.replaceAll(NOT_IN_URL, encoded) });
  if (status < FIRST_ERROR) return reply(status);
  return errorReply(cause, x.requestId, x.request.header("accept"), status);
}

const REFUSED = 403;
const FIRST_ERROR = 400;
/** A rule may put into its URL what a request says. */
const NOT_IN_URL = /[^\x21-\x7e]/g;
const encoded = (char: string): string => encodeURIComponent(char);

/** Closes the connection, or of HTTP/2 and 3 the stream, without an answer. */
function drop(x: Exchange, cause: Fault): void {
  x.fault ??= cause;
  x.status = REFUSED; // as it is counted
  x.sink?.onDownstreamGone(cause);
  if (!x.over) x.downstream.abort(cause);
}

/** The fault that a decision is. */
export const blocked = ({ rule }: Interruption): Fault => fault("waf.blocked", `rule ${rule}`);

type Looked = Outcome | Promise<undefined> | undefined;

/** Phase 2 over a body that is read ahead. */
export class RequestLook implements BodyLook {
  readonly #visit: Visit;
  readonly #x: Exchange;
  readonly #resolve: (outcome: Looked) => void;
  /** There is more than was looked at. */
  goesOn = false;

  constructor(visit: Visit, x: Exchange, resolve: (outcome: Looked) => void) {
    this.#visit = visit;
    this.#x = x;
    this.#resolve = resolve;
  }

  piece(bytes: Buffer, from: number, to: number): boolean {
    const wantsMore = this.#visit.transaction?.requestPiece(bytes.subarray(from, to)) === true;
    this.goesOn = !wantsMore;
    return wantsMore;
  }

  seen(): void {
    this.#visit.transaction?.beginRequestBody();
    this.#step();
  }

  /** Long bodies take many rules a while: other connections are served in between. */
  #step(): void {
    const tx = this.#visit.transaction;
    if (tx?.step() === true) {
      setImmediate(() => this.#step());
      return;
    }
    const x = this.#x;
    if (x.over) return this.#resolve(undefined);
    const outcome = refusal(x, tx?.interruption ?? null);
    if (outcome !== undefined && !x.over) x.downstream.discardBody();
    this.#resolve(outcome);
  }
}
