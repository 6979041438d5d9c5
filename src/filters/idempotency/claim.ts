// A key that a request has taken, until its answer is kept or it is free again.
import type { IdempotencyConfig } from "../../config/schema-traffic.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { ResponseHead } from "../../http/message.ts";
import type { AnswerKeeper } from "../../pipeline/keeper.ts";
import type { KeptAnswer, KeyBook } from "../../pipeline/key-book.ts";
import type { Held } from "../../pipeline/shared.ts";
import type { PassingFingerprint } from "./fingerprint.ts";

/** Fields of one connection or message; the others are given again. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "content-length",
  "date",
]);
/** Answers that say: not now, or not as you are. The same request may well be carried out later. */
const TRANSIENT: ReadonlySet<number> = new Set([401, 407, 408, 421, 425, 429]);
const SERVER_ERROR = 500;
const NO_BODY: readonly Buffer[] = [];

export class Claim implements AnswerKeeper, Held {
  readonly next: Held | null;
  readonly #id: string;
  readonly #token: number;
  readonly #config: IdempotencyConfig;
  readonly #keys: KeyBook;
  readonly #fingerprint: PassingFingerprint;
  #isBegun = false;
  #isOver = false;

  constructor(
    id: string,
    token: number,
    config: IdempotencyConfig,
    keys: KeyBook,
    fingerprint: PassingFingerprint,
    next: Held | null,
  ) {
    this.#id = id;
    this.#token = token;
    this.#config = config;
    this.#keys = keys;
    this.#fingerprint = fingerprint;
    this.next = next;
  }

  get stays(): boolean {
    return this.#config.whenClientLeaves === "finish";
  }
  get bodyMax(): number {
    return this.#config.maxBody;
  }

  /** Whether all of the request has been seen. */
  get isFingerprinted(): boolean {
    return this.#fingerprint.digest !== "";
  }

  begun(): void {
    this.#isBegun = true;
  }

  answered(head: ResponseHead, content: readonly Buffer[] | null): void {
    this.keep(head.status, head.headers, content);
  }

  failed(): void {
    this.#finish(null);
  }

  /** An answer of Sluice's own, or a server's. */
  keep(status: number, headers: HeaderBlock, content: readonly Buffer[] | null = NO_BODY): void {
    const isTransient = TRANSIENT.has(status) || (status >= SERVER_ERROR && !this.#config.serverErrors);
    const { digest } = this.#fingerprint;
    if (isTransient || digest === "") return this.#finish(null);
    const fields = headers.entries().filter(([name]) => !NOT_KEPT.has(name.toLowerCase()));
    this.#finish({ status, fields, body: content === null ? null : this.#whole(content), fingerprint: digest });
  }

  /** In memory of its own, as it goes to another thread; null where it is too long. */
  #whole(content: readonly Buffer[]): Uint8Array | null {
    let length = 0;
    for (const piece of content) length += piece.length;
    if (length > this.#config.maxBody) return null;
    const whole = new Uint8Array(length);
    let at = 0;
    for (const piece of content) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  #finish(answer: KeptAnswer | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#keys.finish(this.#id, this.#token, answer, this.#config.ttl);
  }

  /** The exchange has ended; a request that goes on without it is finished by whoever has it. */
  leave(): void {
    if (!this.#isBegun) this.#finish(null);
  }
}
