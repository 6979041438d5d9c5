// The PROXY protocol, versions 1 (text) and 2 (binary), as HAProxy's specification "proxy-protocol.txt" has it: bytes
// in, addresses out, and the other way round. Sockets and time-outs are proxied-connection.ts's.
import { canonicalIp, parseIp } from "../core/ip.ts";
import type { PeerAddress } from "./connection.ts";
import { crc32c } from "./crc32c.ts";

export interface ProxyHeader {
  readonly kind: "header";
  /** Who connected, as announced; null where nobody is (LOCAL, UNKNOWN, a unix socket): the real peer counts. */
  readonly source: PeerAddress | null;
  /** Whom it connected to; null where `source` is. */
  readonly destination: PeerAddress | null;
  /** Bytes that the header takes; what follows is the connection's own. */
  readonly used: number;
}

export type ProxyHeaderResult =
  | ProxyHeader
  /** So far it may become a header; with `begun` it is one for certain, and only its rest is missing. */
  | { readonly kind: "more"; readonly begun: boolean }
  /** These bytes are no header: the connection begins with its own. */
  | { readonly kind: "absent" }
  /** A header, but a broken one. */
  | { readonly kind: "invalid"; readonly reason: string };

const V1_SIGNATURE = Buffer.from("PROXY ", "latin1");
/** §2.1: the longest line there can be, its line end included. */
const V1_BYTES_MAX = 107;
const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_BYTES = 16;
/** Addresses take 216 bytes at most; what cloud balancers add in TLVs stays far below this. */
const V2_BYTES_MAX = 4096;

const TLV_CRC32C = 0x03;
const LOCAL = 0;
const PROXY = 1;
const INET = 1;
const INET6 = 2;
const UNIX = 3;
/** The bytes that the two addresses and ports take, by address family (§2.2). */
const ADDRESS_BYTES = [0, 12, 36, 216] as const;

const ABSENT: ProxyHeaderResult = { kind: "absent" };
const UNDECIDED: ProxyHeaderResult = { kind: "more", begun: false };
const BEGUN: ProxyHeaderResult = { kind: "more", begun: true };
const invalid = (reason: string): ProxyHeaderResult => ({ kind: "invalid", reason });

/**
 * Reads the header at the start of `bytes`: all that has arrived so far. However the network cut them, the answer is
 * the same once the header is complete; it never needs more than 4 KB.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeaderResult {
  if (beginsLike(bytes, V1_SIGNATURE)) return bytes.length < V1_SIGNATURE.length ? UNDECIDED : readV1(bytes);
  if (beginsLike(bytes, V2_SIGNATURE)) return bytes.length < V2_SIGNATURE.length ? UNDECIDED : readV2(bytes);
  return ABSENT;
}

/** Whether one of the two is the beginning of the other. */
function beginsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

// ——— version 1

const CR = 0x0d;
const LF = 0x0a;

function readV1(bytes: Buffer): ProxyHeaderResult {
  const length = Math.min(bytes.length, V1_BYTES_MAX);
  for (let at = V1_SIGNATURE.length; at < length; at += 1) {
    if (bytes[at] === LF) return invalid("a line feed without a carriage return");
    if (bytes[at] !== CR) continue;
    if (at + 1 === V1_BYTES_MAX) break;
    if (at + 1 === bytes.length) return BEGUN;
    if (bytes[at + 1] !== LF) return invalid("a carriage return without a line feed");
    return readV1Line(bytes.latin1Slice(V1_SIGNATURE.length, at), at + 2);
  }
  return length < V1_BYTES_MAX ? BEGUN : invalid(`no line end within ${V1_BYTES_MAX} bytes`);
}

/** What stands between the signature and the line end. */
function readV1Line(line: string, used: number): ProxyHeaderResult {
  const words = line.split(" ");
  const family = words[0];
  // §2.1: whatever follows UNKNOWN is to be ignored.
  if (family === "UNKNOWN") return { kind: "header", source: null, destination: null, used };
  if (family !== "TCP4" && family !== "TCP6") return invalid("neither TCP4, TCP6 nor UNKNOWN");
  if (words.length !== 5) return invalid("not two addresses and two ports");
  const source = endpointOf(family, words[1]!, words[3]!);
  const destination = endpointOf(family, words[2]!, words[4]!);
  if (source === null || destination === null) return invalid(`not an address or port of ${family}`);
  return { kind: "header", source, destination, used };
}

function endpointOf(family: "TCP4" | "TCP6", address: string, digits: string): PeerAddress | null {
  const canonical = address.includes(":") === (family === "TCP6") ? canonicalIp(address) : null;
  const port = portOf(digits);
  return canonical === null || port < 0 ? null : { address: canonical, port };
}

/** Decimal, without leading zeros, at most 65535; -1 for all else. */
function portOf(digits: string): number {
  if (digits.length === 0 || digits.length > 5 || (digits.length > 1 && digits.startsWith("0"))) return -1;
  let port = 0;
  for (let at = 0; at < digits.length; at += 1) {
    const digit = digits.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    port = port * 10 + digit;
  }
  return port > 65_535 ? -1 : port;
}

// ——— version 2

function readV2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length > 12 && bytes[12]! >> 4 !== 2) return invalid("a version other than 2");
  if (bytes.length < V2_FIXED_BYTES) return BEGUN;
  const command = bytes[12]! & 0x0f;
  if (command !== LOCAL && command !== PROXY) return invalid("a command other than LOCAL and PROXY");
  const used = V2_FIXED_BYTES + bytes.readUInt16BE(14);
  if (used > V2_BYTES_MAX) return invalid(`longer than ${V2_BYTES_MAX} bytes`);
  const transport = bytes[13]!;
  const family = transport >> 4;
  // §2.2: of LOCAL and of UNSPEC everything that follows is to be ignored.
  const isIgnored = command === LOCAL || transport === 0;
  if (!isIgnored && !isKnown(transport)) return invalid("an unknown address family or transport");
  if (!isIgnored && used < V2_FIXED_BYTES + ADDRESS_BYTES[family]!) return invalid("too short for its addresses");
  if (bytes.length < used) return BEGUN;
  if (isIgnored) return { kind: "header", source: null, destination: null, used };
  const problem = tlvProblem(bytes, V2_FIXED_BYTES + ADDRESS_BYTES[family]!, used);
  if (problem !== "") return invalid(problem);
  if (family === UNIX) return { kind: "header", source: null, destination: null, used };
  const size = family === INET ? 4 : 16;
  const ports = V2_FIXED_BYTES + 2 * size;
  return {
    kind: "header",
    source: { address: addressAt(bytes, V2_FIXED_BYTES, size), port: bytes.readUInt16BE(ports) },
    destination: { address: addressAt(bytes, V2_FIXED_BYTES + size, size), port: bytes.readUInt16BE(ports + 2) },
    used,
  };
}

/** An address family that has addresses, over streams (1) or datagrams (2). */
function isKnown(transport: number): boolean {
  const family = transport >> 4;
  const protocol = transport & 0x0f;
  return family >= INET && family <= UNIX && (protocol === 1 || protocol === 2);
}

function addressAt(bytes: Buffer, at: number, size: number): string {
  if (size === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  const groups: string[] = [];
  for (let group = at; group < at + size; group += 2) groups.push(bytes.readUInt16BE(group).toString(16));
  const text = groups.join(":");
  return canonicalIp(text) ?? text;
}

/** Walks over the TLVs in `bytes[from, end)` (§2.2.7); checks the checksum if there is one. "" when all is well. */
function tlvProblem(bytes: Buffer, from: number, end: number): string {
  let checksumAt = -1;
  for (let at = from; at < end; ) {
    if (at + 3 > end) return "a TLV that is cut off";
    const length = bytes.readUInt16BE(at + 1);
    if (at + 3 + length > end) return "a TLV longer than the header";
    if (bytes[at] === TLV_CRC32C) {
      if (length !== 4 || checksumAt >= 0) return "a malformed checksum TLV";
      checksumAt = at + 3;
    }
    at += 3 + length;
  }
  if (checksumAt < 0) return "";
  return crc32c(bytes, 0, end, checksumAt) === bytes.readUInt32BE(checksumAt) ? "" : "a wrong checksum";
}

// ——— writing

/**
 * The header that announces a connection from `source` to `destination`. Where the two are not known (null, or a peer
 * on a unix socket), and for the proxy's own connections such as health checks, it is the one that says so: UNKNOWN in
 * version 1, LOCAL in version 2.
 */
export function writeProxyHeader(
  version: "v1" | "v2",
  source: PeerAddress | null,
  destination: PeerAddress | null,
): Buffer {
  const from = source === null ? null : familyOf(source.address);
  const to = destination === null ? null : familyOf(destination.address);
  if (source === null || destination === null || from === null || to === null) return UNANNOUNCED[version];
  const isV4 = from === 4 && to === 4;
  return version === "v1" ? writeV1(source, destination, isV4) : writeV2(source, destination, isV4);
}

const UNANNOUNCED = {
  v1: Buffer.from("PROXY UNKNOWN\r\n", "latin1"),
  v2: Buffer.concat([V2_SIGNATURE, Buffer.from([0x20, 0, 0, 0])]),
} as const;

const familyOf = (address: string): 4 | 6 | null => parseIp(address)?.family ?? null;

function writeV1(source: PeerAddress, destination: PeerAddress, isV4: boolean): Buffer {
  const from = isV4 ? canonicalIp(source.address)! : v6Text(source.address);
  const to = isV4 ? canonicalIp(destination.address)! : v6Text(destination.address);
  const line = `PROXY ${isV4 ? "TCP4" : "TCP6"} ${from} ${to} ${source.port} ${destination.port}\r\n`;
  return Buffer.from(line, "latin1");
}

/** Both addresses of a header are of one family: beside an IPv6 address, an IPv4 one is written as mapped. */
function v6Text(address: string): string {
  const canonical = canonicalIp(address)!;
  return canonical.includes(":") ? canonical : `::ffff:${canonical}`;
}

function writeV2(source: PeerAddress, destination: PeerAddress, isV4: boolean): Buffer {
  const size = isV4 ? 4 : 16;
  const out = Buffer.alloc(V2_FIXED_BYTES + 2 * size + 4);
  V2_SIGNATURE.copy(out);
  out[12] = 0x20 | PROXY;
  out[13] = ((isV4 ? INET : INET6) << 4) | 1;
  out.writeUInt16BE(2 * size + 4, 14);
  putAddress(out, V2_FIXED_BYTES, source.address, isV4);
  putAddress(out, V2_FIXED_BYTES + size, destination.address, isV4);
  out.writeUInt16BE(source.port, V2_FIXED_BYTES + 2 * size);
  out.writeUInt16BE(destination.port, V2_FIXED_BYTES + 2 * size + 2);
  return out;
}

function putAddress(out: Buffer, at: number, address: string, isV4: boolean): void {
  const { family, words } = parseIp(address)!;
  if (family === 6) {
    for (let i = 0; i < 4; i += 1) out.writeUInt32BE(words[i]!, at + 4 * i);
    return;
  }
  if (!isV4) out.writeUInt16BE(0xffff, at + 10);
  out.writeUInt32BE(words[0]!, isV4 ? at : at + 12);
}
