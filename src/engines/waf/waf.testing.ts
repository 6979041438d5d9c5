// What tests of the firewall run requests with.
import { type CompileOptions, compileRules } from "./rules/compiler.ts";
import type { Program } from "./rules/program.ts";
import { Collections } from "./transaction/collections.ts";
import type { Host } from "./transaction/host.ts";
import { type Report, Transaction } from "./transaction/transaction.ts";

export interface TestRequest {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
  readonly status?: number;
  readonly responseHeaders?: readonly (readonly [name: string, value: string])[];
  readonly responseBody?: string;
}

/** A host whose clock stands still until `time` is changed. */
export class TestHost implements Host {
  time = 1_700_000_000_000;
  readonly collections = new Collections(new SharedArrayBuffer(0), 0n);
  places: Readonly<Record<string, string>> | null = null;
  readonly lists = new Set<string>();

  now(): number {
    return this.time;
  }
  geo(): Readonly<Record<string, string>> | null {
    return this.places;
  }
  listed(name: string): boolean {
    return this.lists.has(name);
  }
}

export const programOf = (text: string, options: CompileOptions = {}): Program =>
  compileRules([{ file: "test.conf", text }], options).program;

/**
 * All five phases of one request; phases after a decision are left out as the proxy does.
 *
 * Others may go on at each turn.
 *
 * @param most the work of the next step
 */
export function* inSteps(tx: Transaction, request: TestRequest, most: () => number): Generator<void, Report> {
  tx.begin({
    id: "id-1",
    method: request.method ?? "GET",
    target: request.target ?? "/",
    protocol: "HTTP/1.1",
    remoteAddress: "192.0.2.1",
    remotePort: 1234,
    serverAddress: "192.0.2.2",
    serverPort: 80,
  });
  for (const [name, value] of request.headers ?? []) tx.requestHeader(name, value);
  tx.beginRequestHead();
  while (tx.step(most())) yield;
  if (request.body !== undefined && tx.wantsRequestBody) tx.requestPiece(Buffer.from(request.body, "latin1"));
  tx.beginRequestBody();
  while (tx.step(most())) yield;
  for (const [name, value] of request.responseHeaders ?? []) tx.responseHeader(name, value);
  tx.beginResponseHead(request.status ?? 200, "HTTP/1.1");
  while (tx.step(most())) yield;
  if (request.responseBody !== undefined && tx.wantsResponseBody) {
    tx.responsePiece(Buffer.from(request.responseBody, "latin1"));
  }
  tx.beginResponseBody();
  while (tx.step(most())) yield;
  return tx.logging(request.status ?? 200);
}

/** The same in one go. `most` is the work of a step, for phases that are run in steps. */
export function inspect(tx: Transaction, request: TestRequest, most = Number.POSITIVE_INFINITY): Report {
  const steps = inSteps(tx, request, () => most);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

export const transactionOf = (text: string, host: Host = new TestHost()): Transaction =>
  new Transaction(programOf(text), host);

/** The ids of the rules that matched. */
export const idsOf = (report: Report): number[] => report.matches.map(({ rule }) => rule.id);
