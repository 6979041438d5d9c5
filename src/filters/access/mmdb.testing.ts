// Writes small databases in MaxMind's format (https://maxmind.github.io/MaxMind-DB/) for tests.
import { parseCidr } from "../../core/ip.ts";

type Value = string | number | { readonly [key: string]: Value };

const MARKER = Buffer.from("\xab\xcd\xefMaxMind.com", "latin1");
const RECORD_BITS = 24;

/** A database for IPv6 with these records, by network. */
export function mmdbOf(records: Readonly<Record<string, Value>>): Buffer {
  type Node = [number | Node | null, number | Node | null];
  const root: Node = [null, null];
  const data: Buffer[] = [];
  let dataBytes = 0;
  for (const [text, value] of Object.entries(records)) {
    const { family, words, prefix } = parseCidr(text)!;
    const bits = [...(family === 4 ? [0, 0, 0, ...words] : words)].flatMap((word) =>
      Array.from({ length: 32 }, (_, bit) => (word >>> (31 - bit)) & 1),
    );
    const length = family === 4 ? prefix + 96 : prefix;
    let node = root;
    for (let at = 0; at < length - 1; at += 1) {
      const next = node[bits[at]!];
      const fresh: Node = Array.isArray(next) ? next : [null, null];
      node[bits[at]!] = fresh;
      node = fresh;
    }
    node[bits[length - 1]!] = dataBytes;
    const encoded = encode(value);
    data.push(encoded);
    dataBytes += encoded.length;
  }
  const nodes: Node[] = [];
  const number = (node: Node): void => {
    nodes.push(node);
    for (const side of node) if (Array.isArray(side)) number(side);
  };
  number(root);
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [at, node] of nodes.entries())
    for (const [half, side] of node.entries()) {
      const record =
        side === null ? nodes.length : Array.isArray(side) ? nodes.indexOf(side) : nodes.length + 16 + side;
      tree.writeUIntBE(record, at * 6 + half * 3, 3);
    }
  const metadata = encode({
    node_count: nodes.length,
    record_size: RECORD_BITS,
    ip_version: 6,
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1,
    database_type: "Test",
    description: {},
    languages: {},
  });
  return Buffer.concat([tree, Buffer.alloc(16), ...data, MARKER, metadata]);
}

const STRING = 2;
const UINT32 = 6;
const MAP = 7;

function encode(value: Value): Buffer {
  if (typeof value === "string") return Buffer.concat([control(STRING, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([control(UINT32, 4), bytes]);
  }
  const members = Object.entries(value);
  return Buffer.concat([
    control(MAP, members.length),
    ...members.flatMap(([key, item]) => [encode(key), encode(item)]),
  ]);
}

/** The size must be below 29: longer ones take more bytes. */
const control = (type: number, size: number): Buffer => Buffer.from([(type << 5) | size]);
