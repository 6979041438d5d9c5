// Whatever bytes come: the reader of PROXY headers does not throw, has decided by its limit, and says the same of the
// beginning as of the whole as soon as it says anything.
// `bun src/transport/proxy-protocol.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../core/fuzz.testing.ts";
import type { PeerAddress } from "./connection.ts";
import { type ProxyHeaderResult, readProxyHeader, writeProxyHeader } from "./proxy-protocol.ts";

const BYTES_MAX = 4096;
const PEERS: readonly PeerAddress[] = [
  { address: "192.0.2.1", port: 1 },
  { address: "255.255.255.255", port: 65_535 },
  { address: "2001:db8::1", port: 443 },
];
/** Bytes that mean something somewhere in a header. */
const TELLING = [0, 1, 2, 3, 4, 0x0a, 0x0d, 0x11, 0x20, 0x21, 0x22, 0x30, 0x39, 0x3a, 0x2e, 0xff] as const;

/** Says of which kind the outcome was, so that a test can see that all of them come up. */
export function proxyHeaderLaw(rng: Rng): ProxyHeaderResult["kind"] {
  const bytes = made(rng);
  const whole = readProxyHeader(bytes);
  const decided = whole.kind === "header" ? whole.used : bytes.length;
  if (decided > bytes.length) throw new Error(`a header of ${decided} bytes in ${bytes.length}`);
  if (whole.kind === "more" && bytes.length >= BYTES_MAX) throw new Error(`undecided after ${bytes.length} bytes`);
  for (let length = 0; length < bytes.length; length += 1) {
    const part = readProxyHeader(bytes.subarray(0, length) as Buffer);
    if (part.kind === "more") continue;
    if (whole.kind === "header" && length < whole.used) throw new Error(`${part.kind} of ${length} bytes of a header`);
    if (JSON.stringify(part) !== JSON.stringify(whole))
      throw new Error(
        `${JSON.stringify(part)} of ${length} bytes, ${JSON.stringify(whole)} of all: ${bytes.toString("hex")}`,
      );
  }
  return whole.kind;
}

function made(rng: Rng): Buffer {
  const header = writeProxyHeader(rng.pick(["v1", "v2"] as const), rng.pick(PEERS), rng.pick(PEERS));
  const tail = Buffer.from(Array.from({ length: rng.below(rng.oneIn(20) ? 5000 : 60) }, () => byteOf(rng)));
  // Half of them claim the tail, or another length, as their own.
  if (header[0] === 0x0d && rng.oneIn(2)) header.writeUInt16BE(rng.oneIn(3) ? rng.below(65_536) : tail.length, 14);
  const bytes = Buffer.concat([header, tail]);
  for (let changes = rng.below(4); changes > 0; changes -= 1) bytes[rng.below(header.length)] = byteOf(rng);
  return bytes.subarray(rng.oneIn(20) ? 1 : 0, bytes.length - (rng.oneIn(5) ? rng.below(bytes.length) : 0)) as Buffer;
}

const byteOf = (rng: Rng): number => (rng.oneIn(2) ? rng.pick(TELLING) : rng.below(256));

if (import.meta.main) runAlone("proxy header", proxyHeaderLaw);
