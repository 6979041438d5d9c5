// Files of addresses, as they are given out by those who collect them: a network on each line, and remarks.
import { type Cidr, parseCidr } from "../core/ip.ts";

/** Far more than any list that is published. */
const NETWORKS_MAX = 1_000_000;

/**
 * Reads a list: the first word of each line is an address or a network; what follows it, and lines that begin with `#`
 * or `;`, are remarks. Throws RangeError for a line that has none, and for too many.
 */
export function parseAddressFile(text: string): Cidr[] {
  const networks: Cidr[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    const [word = ""] = line.trim().split(/[\s;,#]/, 1);
    if (word === "") continue;
    const network = parseCidr(word);
    if (network === null) throw new RangeError(`line ${at + 1}: "${word.slice(0, 60)}" is not an address or network`);
    if (networks.length === NETWORKS_MAX) throw new RangeError(`more than ${NETWORKS_MAX} networks`);
    networks.push(network);
  }
  return networks;
}
