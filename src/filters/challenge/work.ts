// Tasks that cost a browser a moment of computing: to find a number that, hashed together with the task, begins with so
// many zero bits. A task names its time and belongs to an address; it is signed, so that nothing has to be kept.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** Shorter than a digest of SHA-256, and longer than anybody can guess. */
const SIGNATURE_BYTES = 16;
/** `task.number`: a task is `seconds-signature`, in base 36 and base64url. */
const SOLUTION = /^([0-9a-z]{1,8})-([A-Za-z0-9_-]{22})\.([0-9]{1,12})$/;

export class Work {
  readonly #secret: Buffer;
  readonly #bits: number;
  readonly #ttlS: number;

  constructor(secret: Buffer, bits: number, ttlMs: number) {
    this.#secret = secret;
    this.#bits = bits;
    this.#ttlS = Math.floor(ttlMs / 1000);
  }

  /** A new task for an address. */
  task(address: string, wallMs: number): string {
    const seconds = Math.floor(wallMs / 1000).toString(36);
    return `${seconds}-${this.#sign(address, seconds).toString("base64url")}`;
  }

  /** Until when a solution holds, in milliseconds since 1970; 0 when it is none of a task of this address. */
  solvedUntil(solution: string, address: string, wallMs: number): number {
    const [, seconds = "", signature = "", number = ""] = SOLUTION.exec(solution) ?? [];
    if (number === "") return 0;
    const untilMs = (Number.parseInt(seconds, 36) + this.#ttlS) * 1000;
    if (untilMs <= wallMs) return 0;
    const given = Buffer.from(signature, "base64url");
    if (given.length !== SIGNATURE_BYTES || !timingSafeEqual(given, this.#sign(address, seconds))) return 0;
    const digest = createHash("sha256").update(`${seconds}-${signature}:${number}`).digest();
    return leadingZeros(digest) >= this.#bits ? untilMs : 0;
  }

  #sign(address: string, seconds: string): Buffer {
    const text = JSON.stringify([address, seconds, this.#bits]);
    return createHmac("sha256", this.#secret).update(text).digest().subarray(0, SIGNATURE_BYTES);
  }
}

/** How many bits at the start of a digest are zero. */
function leadingZeros(digest: Buffer): number {
  let zeros = 0;
  for (const byte of digest) {
    if (byte !== 0) return zeros + Math.clz32(byte) - 24;
    zeros += 8;
  }
  return zeros;
}
