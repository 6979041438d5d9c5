// Whatever bytes come: the reader of hellos does not throw, has decided by its limits, and says the same of the beginning
// as of the whole as soon as it says anything.
// `bun src/transport/client-hello.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../core/fuzz.testing.ts";
import { CAPTURED, records } from "./client-hello.testing.ts";
import { ClientHelloReader, type ClientHelloResult, readClientHello } from "./client-hello.ts";

/** The message with its header, and the headers of sixteen records. */
const DECIDED_BYTES = 16_384 + 4 + 16 * 5;
/** Bytes that mean something somewhere in a hello. */
const TELLING = [0, 1, 2, 3, 4, 10, 16, 22, 23, 32, 41, 43, 0x0a, 0x1a, 0x2e, 0x40, 0x80, 0xfe, 0xff] as const;

/** Says of which kind the result was, so that a test can see that all of them come up. */
export function clientHelloLaw(rng: Rng): ClientHelloResult["kind"] {
  const bytes = made(rng);
  const whole = readClientHello(bytes);
  if (whole.kind === "more" && bytes.length >= DECIDED_BYTES) throw new Error(`undecided after ${bytes.length} bytes`);
  const text = JSON.stringify(whole);
  const reader = new ClientHelloReader();
  let at = 0;
  while (at < bytes.length) {
    const to = Math.min(bytes.length, at + 1 + rng.below(rng.oneIn(2) ? 4 : 400));
    const part = reader.push(bytes.subarray(at, to) as Buffer);
    at = to;
    if (part.kind === "more") continue;
    if (JSON.stringify(part) !== text)
      throw new Error(`${JSON.stringify(part)} of ${at} bytes, ${text} of all: ${bytes.toString("hex")}`);
    break;
  }
  if (!reader.bytes.equals(bytes.subarray(0, at))) throw new Error("the reader has changed bytes");
  return whole.kind;
}

function made(rng: Rng): Buffer {
  const message = Buffer.from(rng.pick(CAPTURED).bytes.subarray(5));
  for (let changes = rng.below(4); changes > 0; changes -= 1) message[rng.below(message.length)] = byteOf(rng);
  const bytes = records(message, rng.oneIn(2) ? message.length : 1 + rng.below(message.length));
  for (let changes = rng.below(3); changes > 0; changes -= 1)
    bytes[rng.below(rng.oneIn(2) ? 6 : bytes.length)] = byteOf(rng);
  const kept = bytes.subarray(0, bytes.length - (rng.oneIn(5) ? rng.below(bytes.length) : 0));
  return Buffer.concat([kept, Buffer.from(Array.from({ length: rng.below(30) }, () => byteOf(rng)))]);
}

const byteOf = (rng: Rng): number => (rng.oneIn(2) ? rng.pick(TELLING) : rng.below(256));

if (import.meta.main) runAlone("client hello", clientHelloLaw);
