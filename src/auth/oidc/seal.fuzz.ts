// Law: what was not sealed opens to nothing, whatever a text looks like, and nothing throws.
import { type Law, type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { Cookies } from "./cookies.ts";
import { Keyring } from "./seal.ts";
import { decodeSession } from "./session.ts";

const keyring = new Keyring(["k".repeat(32), "l".repeat(32)]);
const cookies = new Cookies({ name: "sluice", tag: "0123abcd", domain: null });
const ALPHABET = 'ABCDabcd0123-_=;, ."%\u00e9';

function changed(text: string, rng: Rng): string {
  const at = rng.below(text.length + 1);
  const char = rng.pick([...ALPHABET]);
  switch (rng.below(4)) {
    case 0:
      return text.slice(0, at) + char + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + rng.below(4));
    case 2:
      return text.slice(0, at) + char + text.slice(at + 1);
    default:
      return text.slice(at) + text.slice(0, at);
  }
}

export const sealedTexts: Law = (rng) => {
  const plain = Buffer.from(JSON.stringify(Array.from({ length: rng.below(20) }, () => rng.pick(["x", 1, null, {}]))));
  const about = rng.pick(["a", "b"]);
  const whole = keyring.seal("session", about, plain);
  const opened = keyring.open("session", about, whole);
  if (opened === null || !opened.equals(plain)) throw new Error("what was sealed does not open");
  decodeSession(plain);
  let text = whole;
  for (let i = rng.below(3); i >= 0; i -= 1) text = changed(text, rng);
  if (text !== whole && keyring.open("session", about, text) !== null) throw new Error(`it opens: ${text}`);
  if (keyring.open("state", about, whole) !== null) throw new Error("it opens for another purpose");
  const field = [cookies.session, `${cookies.session}-1`, cookies.flowName("h")]
    .filter(() => !rng.oneIn(3))
    .map((name) => `${name}=${changed(`${rng.below(8)}${text}`, rng)}`)
    .join(rng.pick(["; ", ";", ", "]));
  const read = cookies.read(field);
  if (read !== null) keyring.open("session", about, read);
  cookies.flows(field);
  cookies.readFlow("h", field);
  if (cookies.clear(field).some((line) => !line.includes("Max-Age=0"))) throw new Error("something was kept");
};

if (import.meta.main) runAlone("seal", sealedTexts);
