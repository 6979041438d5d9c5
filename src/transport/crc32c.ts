// CRC-32C (Castagnoli; RFC 3720 §12.1, appendix B.4), which the PROXY protocol protects its headers with.

const POLYNOMIAL = 0x82f63b78; // reflected
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value >>> 0;
});

/** The checksum of `bytes[from, end)`, with the four bytes at `hole` (where it stands itself) taken as zeros. */
export function crc32c(bytes: Uint8Array, from: number, end: number, hole: number): number {
  let crc = 0xffffffff;
  for (let at = from; at < end; at += 1) {
    const byte = at >= hole && at < hole + 4 ? 0 : bytes[at]!;
    crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff]!;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
