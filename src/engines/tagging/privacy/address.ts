// Addresses of clients, as far as somebody else may know them.
import { readIp } from "../../../core/ip.ts";

/** `truncated`: the network alone, /24 of IPv4 and /48 of IPv6. */
export type AddressDetail = "full" | "truncated" | "none";

const words = new Uint32Array(4);

/** What remains of an address; "" for nothing, and for what is none. */
export function reducedAddress(ip: string, detail: AddressDetail): string {
  if (detail === "none") return "";
  const count = readIp(ip, words);
  if (count === 0) return "";
  if (detail === "full") return ip;
  if (count === 1) return `${words[0]! >>> 24}.${(words[0]! >>> 16) & 255}.${(words[0]! >>> 8) & 255}.0`;
  const [a, b, c] = [words[0]! >>> 16, words[0]! & 0xffff, words[1]! >>> 16];
  return `${a.toString(16)}:${b.toString(16)}:${c.toString(16)}::`;
}
