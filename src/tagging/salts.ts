// The salt of pseudonyms that last a day or a week. Each is made of the one before by a hash, and that one is
// forgotten:
// who has today's cannot find out what yesterday's pseudonyms stood for.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { saltPeriod } from "../engines/tagging/privacy/pseudonym.ts";

interface Kept {
  readonly period: number;
  readonly salt: string;
}

const SALT_BYTES = 32;
/** After a longer rest a new one is drawn: nobody wants to hash for years. */
const STEPS_MAX = 1000;

export class Salts {
  readonly #path: string;
  readonly #length: "day" | "week";
  #period = -1;
  #salt: Buffer = Buffer.alloc(0);

  /** Reads what is kept in the file; a file that is missing or damaged begins anew. */
  constructor(path: string, length: "day" | "week") {
    this.#path = path;
    this.#length = length;
    const kept = read(path);
    if (kept === null) return;
    this.#period = kept.period;
    this.#salt = Buffer.from(kept.salt, "base64");
  }

  /** The salt of this moment. Throws an Error when a new one cannot be written. */
  at(nowMs: number): Buffer {
    const period = saltPeriod(nowMs, this.#length);
    if (period <= this.#period) return this.#salt; // also when the clock was set back
    const steps = period - this.#period;
    if (this.#salt.length !== SALT_BYTES || steps > STEPS_MAX) this.#salt = randomBytes(SALT_BYTES);
    else for (let step = 0; step < steps; step += 1) this.#salt = next(this.#salt);
    this.#period = period;
    const kept: Kept = { period, salt: this.#salt.toString("base64") };
    writeFileSync(`${this.#path}.new`, JSON.stringify(kept), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
    return this.#salt;
  }
}

const next = (salt: Buffer): Buffer => createHash("sha256").update("next").update(salt).digest();

function read(path: string): Kept | null {
  try {
    const kept = JSON.parse(readFileSync(path, "utf8")) as Partial<Kept> | null;
    if (typeof kept?.period !== "number" || typeof kept.salt !== "string") return null;
    return Buffer.from(kept.salt, "base64").length === SALT_BYTES ? { period: kept.period, salt: kept.salt } : null;
  } catch {
    return null;
  }
}
