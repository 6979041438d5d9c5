// Classes of bytes that transformations share.

/** isspace() of C: blank, tab, line feed, vertical tab, form feed, carriage return. */
export const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d);

/** Value of a hexadecimal digit, -1 for any other byte. */
export const HEX: Int8Array = new Int8Array(256).fill(-1);
for (let digit = 0; digit < 10; digit += 1) HEX[0x30 + digit] = digit;
for (let digit = 10; digit < 16; digit += 1) {
  HEX[0x41 + digit - 10] = digit;
  HEX[0x61 + digit - 10] = digit;
}

export const isHex = (code: number): boolean => HEX[code]! >= 0;

/** The byte that two hexadecimal digits name; the caller has looked that they are digits. */
export const hexByte = (high: number, low: number): number => (HEX[high]! << 4) | HEX[low]!;

export const isOctal = (code: number): boolean => code >= 0x30 && code <= 0x37;

export const isAlphanumeric = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);

/**
 * The byte for a sixteen-bit character: its lower half. Full-width forms (U+FF01 to U+FF5E) are ASCII shifted by 0x20,
 * and servers that fold characters take them for it.
 */
export function narrowed(high: number, low: number): number {
  return high === 0xff && low > 0x00 && low < 0x5f ? low + 0x20 : low;
}
