// Inputs that would hold an engine which backtracks: the loops of a pattern gone round as often as fits, with an end
// that does not match. And such as make an automaton see as many different sets of states as it can.
import type { Rng } from "../../../core/fuzz.testing.ts";
import type { ByteSet, RegexNode } from "./syntax.ts";

/** What ends most matches: bytes that few sets of patterns have together. */
const ENDS: readonly string[] = ["", "\x01", "!", "\n\x00"];

/** Inputs of the given length for each loop of a tree, for what leads there, and for the whole. */
export function hostileInputs(tree: RegexNode, rng: Rng, length: number): string[] {
  const inputs: string[] = [];
  const loops: RegexNode[] = [];
  collectLoops(tree, loops);
  const chosen = loops.length <= 6 ? loops : Array.from({ length: 6 }, () => rng.pick(loops));
  for (const loop of chosen) {
    const round = sample(loop, rng) || "a";
    inputs.push(fill(sample(tree, rng), round, length) + rng.pick(ENDS));
    inputs.push(fill("", round, length) + rng.pick(ENDS));
  }
  // A different way through the pattern each time, cut short: sets of states that are seldom the same.
  inputs.push(fillWith(() => sample(tree, rng).slice(0, -1 - rng.below(3)), length));
  inputs.push(fillWith(() => (loops.length === 0 ? sample(tree, rng) : sample(rng.pick(loops), rng)), length));
  inputs.push(fillWith(() => String.fromCharCode(rng.below(4) === 0 ? rng.below(256) : 32 + rng.below(95)), length));
  return inputs;
}

function collectLoops(node: RegexNode, into: RegexNode[]): void {
  if (node.kind === "repeat" && node.max > 3) into.push(node.item);
  if (node.kind === "sequence" || node.kind === "choice") for (const item of node.items) collectLoops(item, into);
  else if ("item" in node) collectLoops(node.item, into);
}

function fill(head: string, round: string, length: number): string {
  return (head + round.repeat(Math.ceil(length / round.length))).slice(0, length);
}

function fillWith(make: () => string, length: number): string {
  let text = "";
  for (let tries = 0; text.length < length && tries < length; tries += 1) text += make();
  return text.slice(0, length).padEnd(length, "a");
}

/** A text that a node matches, or nearly: places and look-arounds are not looked at. */
function sample(node: RegexNode, rng: Rng): string {
  switch (node.kind) {
    case "bytes":
      return byteOf(node.set, rng);
    case "sequence":
      return node.items.map((item) => sample(item, rng)).join("");
    case "choice":
      return sample(rng.pick(node.items), rng);
    case "group":
    case "atomic":
      return sample(node.item, rng);
    case "repeat": {
      const rounds = node.min + rng.below(Math.min(node.max - node.min, 3) + 1);
      return Array.from({ length: rounds }, () => sample(node.item, rng)).join("");
    }
    default:
      return "";
  }
}

function byteOf(set: ByteSet, rng: Rng): string {
  const from = rng.below(256);
  for (let step = 0; step < 256; step += 1) {
    const byte = (from + step * 37) & 255;
    if (set[byte] === 1) return String.fromCharCode(byte);
  }
  return "";
}
