// The law of redaction: however a text is cut into pieces, what comes out of a stream is what comes out of the whole.
// Run alone with `bun src/engines/llm/redact.fuzz.ts [SEED]`.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { Redactor, StreamRedactor } from "./redact.ts";
import { KINDS } from "./sensitive.ts";

const PARTS = [
  ..."ann@example.com|4111 1111 1111 1111|DE89 3704 0044 0532 0130 00|GB29 NWBK 6016 1331 9268 19".split("|"),
  ..."+49 171 1234567|(555) 123-4567|ghp_abcdefghijklmnopqrstuvwxyz0123456789|AKIAIOSFODNN7EXAMPLE".split("|"),
  "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nabc+/=\n-----END PRIVATE KEY-----",
  ...[
    "Hello",
    "the price is 12 000",
    "ABCD",
    "and",
    "ä",
    "日本",
    "\n",
    ". ",
    ", ",
    "@",
    "--",
    "- ",
    "1",
    "x",
    "sk-",
    "\\n",
    "\\u00e4",
  ],
];

export function redactLaw(rng: Rng): void {
  let text = "";
  for (let i = 0; i < 1 + rng.below(8); i += 1) text += `${rng.pick(PARTS)}${rng.pick([" ", " ", "\n", ", ", "\\n"])}`;
  const redactor = new Redactor(KINDS, []);
  const whole: string[] = [];
  const want = redactor.text(text, (label) => whole.push(label));
  const found: string[] = [];
  const stream = new StreamRedactor(redactor, (label) => found.push(label));
  let got = "";
  for (let at = 0; at < text.length; ) {
    const size = 1 + rng.below(rng.pick([1, 3, 12, 80]));
    got += stream.push(text.slice(at, at + size));
    at += size;
  }
  got += stream.end();
  if (got !== want) throw new Error(`in pieces: ${JSON.stringify(got)}\nas a whole: ${JSON.stringify(want)}`);
  if (found.join() !== whole.join()) throw new Error(`told of ${found.join()} in place of ${whole.join()}`);
}

if (import.meta.main) runAlone("redact", redactLaw);
