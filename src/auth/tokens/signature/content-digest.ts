// Content-Digest (RFC 9530): whether a body is the one that was signed. Short bodies are checked before anything is
// forwarded, longer ones as they pass: a server that gets a wrong one never sees its end.
import { timingSafeEqual } from "node:crypto";
import { fault } from "../../../core/faults.ts";
import type { HeaderBlock } from "../../../http/header-block.ts";
import { parseDictionary } from "../../../http/structured.ts";
import type { BodyLook, BodyOutput, BodyTransform } from "../../../pipeline/body-transform.ts";
import type { Exchange } from "../../../pipeline/exchange.ts";
import { lookAhead, transformRequest } from "../../../pipeline/transforms.ts";

const ALGORITHMS = { "sha-256": "sha256", "sha-512": "sha512" } as const;

interface Digest {
  readonly algorithm: (typeof ALGORITHMS)[keyof typeof ALGORITHMS];
  readonly bytes: Buffer;
}

/** The digests that can be checked; empty where there are none. */
export function digestsOf(headers: HeaderBlock): readonly Digest[] {
  const field = headers.get("content-digest");
  const found: Digest[] = [];
  for (const [key, member] of parseDictionary(field ?? "") ?? []) {
    if (!Object.hasOwn(ALGORITHMS, key)) continue;
    const algorithm = ALGORITHMS[key as keyof typeof ALGORITHMS];
    if (member.kind === "item" && member.value.kind === "bytes") found.push({ algorithm, bytes: member.value.value });
  }
  return found;
}

/** Sums up a body for all its digests. */
class DigestSum {
  readonly #digests: readonly Digest[];
  readonly #sums: readonly Bun.CryptoHasher[];

  constructor(digests: readonly Digest[]) {
    this.#digests = digests;
    this.#sums = digests.map(({ algorithm }) => new Bun.CryptoHasher(algorithm));
  }

  add(bytes: Buffer): void {
    for (const sum of this.#sums) sum.update(bytes);
  }
  /** Whether it was the body of all of them. */
  fits(): boolean {
    return this.#digests.every(({ bytes }, at) => {
      const sum = this.#sums[at]!.digest();
      return sum.length === bytes.length && timingSafeEqual(sum, bytes);
    });
  }
}

/** Whether these are digests of no bytes at all. */
export const isEmptyBody = (digests: readonly Digest[]): boolean => new DigestSum(digests).fits();

/** Whether the body fits; true as well where it is too long to know yet: then it is checked as it passes. */
export function checkBody(x: Exchange, digests: readonly Digest[], bufferMax: number): Promise<boolean> {
  return new Promise((resolve) => lookAhead(x, new DigestLook(x, digests, bufferMax, resolve)));
}

class DigestLook implements BodyLook {
  readonly #x: Exchange;
  readonly #digests: readonly Digest[];
  readonly #sum: DigestSum;
  readonly #resolve: (fits: boolean) => void;
  #left: number;

  constructor(x: Exchange, digests: readonly Digest[], bufferMax: number, resolve: (fits: boolean) => void) {
    this.#x = x;
    this.#digests = digests;
    this.#sum = new DigestSum(digests);
    this.#left = bufferMax;
    this.#resolve = resolve;
  }

  piece(bytes: Buffer, from: number, to: number): boolean {
    this.#sum.add(bytes.subarray(from, to));
    this.#left -= to - from;
    return this.#left >= 0;
  }

  seen(): void {
    const isLong = this.#left < 0;
    if (isLong && !this.#x.over) transformRequest(this.#x, new DigestCheck(this.#digests));
    const fits = isLong || this.#sum.fits();
    if (!fits && !this.#x.over) this.#x.downstream.discardBody();
    this.#resolve(fits);
  }
}

class DigestCheck implements BodyTransform {
  readonly #sum: DigestSum;

  constructor(digests: readonly Digest[]) {
    this.#sum = new DigestSum(digests);
  }
  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    this.#sum.add(bytes.subarray(from, to));
    out.data(bytes, from, to);
  }
  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (this.#sum.fits()) out.end(trailers);
    else out.fail(fault("auth.refused", "the body is not the one that was signed"));
  }
}
