// Whatever stands in Accept-Encoding: the choice is one that is offered and allowed, the best of those, and the same
// wherever white space, case or order change nothing. `bun src/engines/compression/negotiate.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { CODINGS, type Coding } from "../../http/content-codings.ts";
import { negotiate } from "./negotiate.ts";

const NAMES = ["gzip", "x-gzip", "br", "zstd", "deflate", "identity", "*", "", "g zip", "gzip\t"];
const WEIGHTS = ["", ";q=0", ";q=1", ";q=0.5", ";q=0.25", ";q=0.001", ";q=1.1", ";q=", ";x", ";q=0.5;q=1"];
const NOISE = ["", " ", "\t", "\0", "é", ",", ";", "=", "q"];

function shuffled<T>(rng: Rng, from: readonly T[]): T[] {
  const left = [...from];
  return from.map(() => left.splice(rng.below(left.length), 1)[0]!);
}

/** What the field means to who reads it the slow way: of each name the first weight that can be read. */
function meaning(members: readonly (readonly [name: string, weight: string])[]): (name: string) => number {
  return (wanted) => {
    for (const name of [wanted, "*"])
      for (const [each, weight] of members) {
        const plain = each.trim() === "x-gzip" ? "gzip" : each.trim();
        if (plain === name && /^(?:|;q=(?:0|1|0\.\d{1,3}))$/.test(weight))
          return weight === "" ? 1 : Number(weight.slice(3));
      }
    return -1;
  };
}

export function negotiateLaw(rng: Rng): void {
  const offered = shuffled<Coding>(rng, CODINGS).slice(0, 1 + rng.below(CODINGS.length));
  const members = Array.from({ length: rng.below(6) }, () => [rng.pick(NAMES), rng.pick(WEIGHTS)] as const);
  const field = members.map(([name, weight]) => `${name}${weight}`).join(",");
  const weightOf = meaning(members);
  const { coding, required, accepted } = negotiate(field, offered);
  const best = Math.max(0, ...offered.map(weightOf));
  const wanted = offered.find((each) => weightOf(each) === best && best > 0) ?? null;
  const named = meaning(members.filter(([name]) => name === "identity"))("identity");
  const want = named > best ? null : wanted;
  const say = `${JSON.stringify(field)} of ${offered}: ${coding}, ${required}, ${accepted}`;
  if (coding !== want) throw new Error(`${say}, not ${want}`);
  if (required !== ((named < 0 ? weightOf("*") : named) === 0)) throw new Error(`${say}: not required`);
  if (accepted.join() !== CODINGS.filter((each) => weightOf(each) > 0).join()) throw new Error(`${say}: accepted`);
  const spaced = members.map(([name, weight]) => ` ${name.toUpperCase()}${weight.replace(";", "\t; ")} `).join(" ,");
  if (negotiate(spaced, offered).coding !== coding) throw new Error(`${say}, and otherwise with spaces: ${spaced}`);
  const noisy = [...field].map((char) => (rng.oneIn(4) ? rng.pick(NOISE) : char)).join("");
  const other = negotiate(noisy, offered).coding; // never throws
  if (other !== null && !offered.includes(other)) throw new Error(`${JSON.stringify(noisy)}: ${other}`);
}

if (import.meta.main) runAlone("negotiate", negotiateLaw);
