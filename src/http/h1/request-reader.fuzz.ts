// Whatever bytes come: the request reader does not throw, holds no more than its limits, and says the same wherever the
// bytes are cut. A fault may be told later when the line that it lies in is not complete, but never another one.
// `bun src/http/h1/request-reader.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { normalizePath } from "../path.ts";
import { cutAt, hearRequests, wireOf } from "./feed.testing.ts";
import { type HeadLimits, LEADING_EMPTY_BYTES_MAX } from "./limits.ts";
import { cutAnywhere, mutate } from "./mutate.testing.ts";
import { GOOD_REQUESTS, REFUSED_REQUESTS } from "./request-cases.testing.ts";
import { sameWhereverCut } from "./same-events.testing.ts";

const CORPUS: readonly string[] = [...GOOD_REQUESTS, ...REFUSED_REQUESTS].map(([, wire]) => wire);
const LIMITS: HeadLimits = { startLine: 60, section: 200, fields: 6 };
const HELD_MAX = LEADING_EMPTY_BYTES_MAX + LIMITS.startLine + 2 + LIMITS.section;

export function requestReaderLaw(rng: Rng): void {
  const wire = wireOf(mutate(rng, CORPUS, "request"));
  const whole = hearRequests(cutAt(wire), LIMITS);
  const pieces = cutAnywhere(rng, wire);
  const cut = hearRequests(pieces, LIMITS);
  sameWhereverCut(wire, whole, cut, pieces);
  if (cut.held > HELD_MAX) throw new Error(`${cut.held} bytes held of a head`);
  for (const { facts } of cut.messages) {
    // The fast way to a path, for those that need no normalisation, agrees with the slow one.
    const raw = facts.target.split("?", 1)[0]!;
    if ((facts.form === "origin" || facts.form === "absolute") && facts.path !== normalizePath(raw))
      throw new Error(`the path of ${JSON.stringify(facts.target)} is ${facts.path}`);
  }
}

if (import.meta.main) runAlone("request reader", requestReaderLaw);
