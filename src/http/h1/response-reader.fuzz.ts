// Whatever bytes a server sends: the response reader does not throw, and says the same wherever the bytes are cut.
// `bun src/http/h1/response-reader.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { cutAt, hearResponses, wireOf } from "./feed.testing.ts";
import { RESPONSE_LIMITS } from "./limits.ts";
import { cutAnywhere, mutate } from "./mutate.testing.ts";
import { BROKEN_BODIES, BROKEN_HEADS, GOOD_RESPONSES } from "./response-cases.testing.ts";
import { sameWhereverCut } from "./same-events.testing.ts";

const CORPUS: readonly string[] = [
  ...GOOD_RESPONSES.map(([, , wire]) => wire),
  ...[...BROKEN_HEADS, ...BROKEN_BODIES].map((row) => row.wire),
];
const METHODS: readonly string[] = ["GET", "GET", "HEAD", "POST"];
const HELD_MAX = RESPONSE_LIMITS.startLine + 2 + RESPONSE_LIMITS.section;

export function responseReaderLaw(rng: Rng): void {
  const wire = wireOf(mutate(rng, CORPUS, "response"));
  const methods = Array.from({ length: 1 + rng.below(3) }, () => rng.pick(METHODS));
  const whole = hearResponses(cutAt(wire), methods);
  const pieces = cutAnywhere(rng, wire);
  const cut = hearResponses(pieces, methods);
  sameWhereverCut(wire, whole, cut, pieces);
  if (cut.held > HELD_MAX) throw new Error(`${cut.held} bytes held of a head`);
}

if (import.meta.main) runAlone("response reader", responseReaderLaw);
