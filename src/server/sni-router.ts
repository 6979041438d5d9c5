// Where a TLS connection goes by the name that its client asks for: on to an upstream as it is, or to our own TLS. It
// is decided before a byte is answered, so that a server behind sees what the client has sent, and nothing else.
import { HostTable } from "../core/host-table.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import { ClientHelloReader } from "../transport/client-hello.ts";
import type { ClientHello } from "../transport/client-hello-body.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import type { HandshakeResult } from "../transport/tls.ts";
import { ALERT, type Alert, alertRecord } from "../transport/tls-alert.ts";
import type { HandshakeReason } from "../transport/tls-errors.ts";

/** What is done with the connections of a name, as the configuration has it. */
export type SniRule = "terminate" | { readonly passthrough: string };

/** The rules of one listener: exact names, `*.example.com` for every name below it, and `*` for all others. */
export class SniTable {
  readonly #rules: HostTable<SniRule>;
  readonly #others: SniRule | null;

  constructor(rules: Readonly<Record<string, SniRule>>) {
    this.#rules = new HostTable(Object.entries(rules));
    this.#others = rules["*"] ?? null;
  }

  /** The rule for a name in lower case: the most specific one. Clients that name no host are among the others. */
  find(name: string | null): SniRule | null {
    return (name === null ? undefined : this.#rules.find(name)) ?? this.#others;
  }
}

export interface SniOptions {
  /** Asked when the hello is there. */
  readonly table: SniTable;
  /** Longest wait for the whole hello in milliseconds. */
  readonly timeoutMs: number;
  readonly wheel: TimerWheel;
}

/** How a handshake ended that never began: for metrics. */
export interface HelloEnd {
  readonly result: HandshakeResult;
  /** "" when the result says all. */
  readonly reason: HandshakeReason | "";
}

/** The rest of the way of such a connection. One of the three is called, once. */
export interface SniOwner {
  /** Returns the handler that forwards it, or null to close it. The hello comes to that as if it had just arrived. */
  passthrough(connection: Connection, upstream: string, hello: ClientHello): ConnectionHandler | null;
  /** Takes it over and gives it a handler; `early` is the hello and what came behind it. */
  terminate(connection: Connection, early: Buffer, hello: ClientHello): void;
  /** It is closed, or about to be: by its peer, or for what `reason` says. */
  refused(connection: Connection, reason: string, end: HelloEnd): void;
}

/** Returns the handler that a connection begins with whose name decides; it may have come through acceptProxied. */
export function acceptBySni(connection: Connection, options: SniOptions, owner: SniOwner): ConnectionHandler {
  return new HelloAwaited(connection, options, owner);
}

const CLOSED: HelloEnd = { result: "failed", reason: "closed" };

class HelloAwaited implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: SniOptions;
  readonly #owner: SniOwner;
  readonly #reader = new ClientHelloReader();
  readonly #timer: Timer;
  #over = false;

  constructor(connection: Connection, options: SniOptions, owner: SniOwner) {
    this.#connection = connection;
    this.#options = options;
    this.#owner = owner;
    const late: HelloEnd = { result: "timeout", reason: "" };
    this.#timer = new Timer(() => this.#refuse(`no TLS hello within ${options.timeoutMs} ms`, null, late));
    options.wheel.arm(this.#timer, options.timeoutMs);
  }

  onData(chunk: Buffer): void {
    if (this.#over) return;
    const result = this.#reader.push(chunk);
    switch (result.kind) {
      case "more":
        return;
      case "not-tls":
        return this.#refuse("not TLS", null, { result: "failed", reason: kindOf(chunk) });
      case "invalid":
        return this.#refuse(`TLS hello: ${result.reason}`, result.alert, { result: "failed", reason: "broken" });
      case "hello":
        this.#decide(result);
    }
  }
  onDrain(): void {}
  onEnd(): void {
    this.#refuse("closed before the TLS hello", null, CLOSED);
  }
  onClose(): void {
    if (this.#over) return;
    this.#stop();
    this.#owner.refused(this.#connection, "closed before the TLS hello", CLOSED);
  }

  #decide(hello: ClientHello): void {
    const rule = this.#options.table.find(hello.serverName);
    if (rule === null) {
      const what = hello.serverName === null ? "without a name" : `for ${hello.serverName}`;
      const end: HelloEnd = { result: "refused", reason: "no rule for the name" };
      return this.#refuse(`TLS hello ${what}, which no rule knows`, ALERT.unrecognizedName, end);
    }
    this.#stop();
    const { bytes } = this.#reader;
    const connection = this.#connection;
    if (rule === "terminate") return this.#owner.terminate(connection, bytes, hello);
    const handler = this.#owner.passthrough(connection, rule.passthrough, hello);
    if (handler === null) return connection.destroy();
    connection.handler = handler;
    handler.onData(bytes);
  }

  #refuse(reason: string, alert: Alert | null, end: HelloEnd): void {
    if (this.#over) return;
    this.#stop();
    if (alert !== null) {
      const record = alertRecord(alert);
      this.#connection.send(record, 0, record.length, false);
    }
    this.#connection.close();
    this.#owner.refused(this.#connection, reason, end);
  }

  #stop(): void {
    this.#over = true;
    this.#options.wheel.drop(this.#timer);
  }
}

/** What came in place of a TLS record. */
const kindOf = (chunk: Buffer): HandshakeReason =>
  /^[A-Z]{3,7} /.test(chunk.toString("latin1", 0, 8)) ? "plain HTTP" : "not TLS";
