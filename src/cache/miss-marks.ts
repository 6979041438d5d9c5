// Keys whose answers may not be stored: requests for them go to the server at once, and do not wait for each other to
// find out the same again ("hit for miss").
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";

/** A server may change its mind: after this time one request finds out anew. */
const MARK_MS = 60_000;
/** Keys that are remembered, twice: some 200 bytes each. */
const MARKS_MAX = 10_000;

/** Ends the mark of a key that holds for requests with cookies or credentials alone. */
const FEW = "\u0001";

export class MissMarks {
  #young = new Map<string, number>();
  /** Those before them, so that forgetting costs nothing. */
  #old = new Map<string, number>();

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Notes it for all requests of a key, or for those with cookies or credentials. */
  note(key: string, few: boolean, now: number): void {
    this.add(few ? key + FEW : key, now);
  }

  /** For which requests of a key it is noted. */
  of(key: string, now: number): "all" | "few" | "none" {
    if (this.size === 0) return "none";
    return this.has(key, now) ? "all" : this.has(key + FEW, now) ? "few" : "none";
  }

  /** Whether it is noted for a request of a key. */
  covers(key: string, request: HeaderBlock, now: number): boolean {
    const noted = this.of(key, now);
    if (noted === "few") return request.personal || request.received(ID.cookie) || request.received(ID.authorization);
    return noted === "all";
  }

  /** `now` in milliseconds. */
  add(key: string, now: number): void {
    if (this.#young.size >= MARKS_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, now + MARK_MS);
  }

  has(key: string, now: number): boolean {
    const until = this.#young.get(key) ?? this.#old.get(key);
    if (until === undefined) return false;
    if (until > now) return true;
    this.delete(key);
    return false;
  }

  delete(key: string): void {
    if (this.size === 0) return;
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
