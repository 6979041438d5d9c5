// Names of people and browsers that say nothing without a secret, and nothing at all once the secret is gone.
import { createHmac } from "node:crypto";

/** 16 bytes of a digest as text: two in 10^19 names are the same by chance. */
const BYTES = 16;

/**
 * The pseudonym of a name under a salt; "" for none. Whoever has not the salt can neither reverse it nor find out which
 * name it belongs to by trying.
 */
export function pseudonym(name: string, salt: Uint8Array): string {
  if (name === "") return "";
  return createHmac("sha256", salt).update(name).digest().subarray(0, BYTES).toString("base64url");
}

/** The period that a moment lies in, by number. Weeks begin on Mondays, days at midnight, both in UTC. */
export function saltPeriod(nowMs: number, length: "day" | "week"): number {
  const day = Math.floor(nowMs / 86_400_000);
  return length === "day" ? day : Math.floor((day + 3) / 7); // 1 January 1970 was a Thursday
}

/** Whether an event is in the sample: always the same for one browser, whatever machine asks. `share` from 0 to 1. */
export function isSampled(clientId: string, share: number): boolean {
  if (share >= 1) return true;
  const digest = createHmac("sha256", "sample").update(clientId).digest();
  return digest.readUInt32BE(0) < share * 0x1_0000_0000;
}
