// One check of one server from its start to its verdict: name, connect, conversation, all within one time-out.
import { readFileSync } from "node:fs";
import { isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Address } from "../config/address.ts";
import { monotonic } from "../core/clock.ts";
import { FaultError } from "../core/faults.ts";
import { connectTo, type Resolve } from "./connect.ts";

export interface Verdict {
  readonly ok: boolean;
  /** A few words for the log: what was seen, or what was wrong. */
  readonly reason: string;
}

/**
 * What is said over a connection that is open. `settle` may be called more than once, and late: only the first counts.
 * Returns what must be let go of beside the socket, which is destroyed in every case.
 */
export type Conversation = (socket: Socket, settle: (verdict: Verdict) => void) => (() => void) | null;

/** How a server proves who it is; files hold PEM. */
export interface CheckTls {
  readonly serverName: string;
  readonly verify: boolean;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly minVersion?: "1.2" | "1.3" | undefined;
}

export interface ProbePlan {
  readonly address: Address;
  /** Milliseconds for everything, look-up and connect included. */
  readonly timeout: number;
  /** Protocols to offer over TLS. */
  readonly alpn: string[];
  /** Null for a plain connection. */
  readonly tls: CheckTls | null;
  /** What the connection begins with, such as a PROXY header; null for nothing. */
  readonly preface: Buffer | null;
  readonly converse: Conversation;
}

/** Errors of peers and systems are cut: a line of the log is no place for a page. */
const REASON_CHARS_MAX = 160;
const CLOSED = new Error("closed before the answer");
/** A timer that is later than this went off in a thread that was busy, with answers waiting to be read. */
const LATE_MS = 50;

/**
 * Starts a check. `done` gets its verdict once, never within this call; nothing is open any more by then. The result
 * gives the check up: `done` is not called any more, and what was open is closed.
 */
export function startProbe(plan: ProbePlan, resolve: Resolve, done: (verdict: Verdict) => void): () => void {
  const probe = new Probe(plan, done);
  probe.begin(resolve);
  return () => probe.end();
}

class Probe {
  readonly #plan: ProbePlan;
  readonly #done: (verdict: Verdict) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #cancelConnect: () => void = () => {};
  #socket: Socket | null = null;
  #release: (() => void) | null = null;
  #over = false;

  constructor(plan: ProbePlan, done: (verdict: Verdict) => void) {
    this.#plan = plan;
    this.#done = done;
  }

  begin(resolve: Resolve): void {
    const { address, timeout } = this.#plan;
    this.#expireIn(timeout, true);
    const connecting = connectTo(address, resolve);
    this.#cancelConnect = connecting.cancel;
    connecting.promise.then(
      (socket) => this.#connected(socket),
      (error: unknown) => this.#settle({ ok: false, reason: reasonOf(error) }),
    );
  }

  /** `mayWait`: what this thread was too busy to see is not the server's fault, so that time does not count. Once. */
  #expireIn(ms: number, mayWait: boolean): void {
    const due = monotonic() + ms;
    this.#timer = setTimeout(() => {
      const late = monotonic() - due;
      if (mayWait && late > LATE_MS) return this.#expireIn(Math.min(late, this.#plan.timeout), false);
      const what = this.#socket === null ? "connection" : "answer";
      this.#settle({ ok: false, reason: `no ${what} within ${this.#plan.timeout} ms` });
    }, ms);
  }

  #connected(socket: Socket): void {
    if (this.#over) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    const settle = (verdict: Verdict) => this.#settle(verdict);
    if (socket.destroyed) return settle({ ok: false, reason: reasonOf(socket.errored ?? CLOSED) });
    socket.on("error", (error) => settle({ ok: false, reason: reasonOf(error) }));
    socket.on("close", () => settle({ ok: false, reason: CLOSED.message }));
    if (this.#plan.preface !== null) socket.write(this.#plan.preface);
    const { tls } = this.#plan;
    if (tls === null) return this.#converse(socket);
    try {
      this.#secure(socket, tls);
    } catch (error) {
      settle({ ok: false, reason: reasonOf(error) });
    }
  }

  #secure(socket: Socket, { serverName, verify, ca, cert, key, minVersion = "1.2" }: CheckTls): void {
    const secured = connectTls({
      socket,
      rejectUnauthorized: verify,
      minVersion: `TLSv${minVersion}`,
      ALPNProtocols: this.#plan.alpn,
      ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
      ...(cert === undefined ? {} : { cert: readFileSync(cert) }),
      ...(key === undefined ? {} : { key: readFileSync(key) }),
    });
    secured.on("error", (error) => this.#settle({ ok: false, reason: reasonOf(error) }));
    secured.once("secureConnect", () => this.#converse(secured));
  }

  #converse(socket: Socket): void {
    if (this.#over) return;
    const release = this.#plan.converse(socket, (verdict) => this.#settle(verdict));
    if (this.#over) release?.();
    else this.#release = release;
  }

  #settle(verdict: Verdict): void {
    if (this.#over) return;
    this.end();
    this.#done(verdict);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#cancelConnect();
    this.#release?.();
    this.#socket?.destroy();
  }
}

/** The short name of an error: the system's code, the detail of a fault, or its message. */
export function reasonOf(error: unknown): string {
  if (error instanceof FaultError) return shortened(error.fault.detail || error.fault.code);
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === "string" && code !== "") return shortened(code);
  return shortened(typeof message === "string" && message !== "" ? message : "failed");
}

/** One line of printable characters, at most `REASON_CHARS_MAX` of them. */
function shortened(text: string): string {
  const clean = text.replace(/[\x00-\x1f\x7f]+/g, " ");
  return clean.length <= REASON_CHARS_MAX ? clean : `${clean.slice(0, REASON_CHARS_MAX - 1)}…`;
}
