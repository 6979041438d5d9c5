// What characters become where a program has only ASCII and takes the most similar: letters without their marks, one
// kind of each quote, dash and bracket. It is what ModSecurity's recommended configuration (code page 20127) asks for.

/** Blocks with such characters: Latin, modifiers, punctuation, symbols, circled letters, small and full-width forms. */
const BLOCKS: readonly (readonly [first: number, last: number])[] = [
  [0x00a0, 0x024f],
  [0x02b0, 0x02ff],
  [0x1e00, 0x1eff],
  [0x2000, 0x22ff],
  [0x2460, 0x24ff],
  [0xfe50, 0xfe6f],
  [0xff01, 0xff5e],
];

/** Those that Unicode does not say to be compatible with ASCII, but that look like it. */
const SIMILAR: readonly (readonly [ascii: string, points: readonly number[]])[] = [
  ["'", [0x00b4, 0x02b9, 0x02bb, 0x02bc, 0x02c8, 0x2018, 0x2019, 0x201b, 0x2032]],
  ['"', [0x02ba, 0x02dd, 0x201c, 0x201d, 0x201e, 0x201f, 0x2033]],
  ["`", [0x02cb, 0x2035]],
  ["<", [0x00ab, 0x2039, 0x2329, 0x27e8, 0x3008, 0x300a]],
  [">", [0x00bb, 0x203a, 0x232a, 0x27e9, 0x3009, 0x300b]],
  ["[", [0x301a]],
  ["]", [0x301b]],
  ["-", [0x00ad, 0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212]],
  ["/", [0x2044, 0x2215]],
  ["\\", [0x2216]],
  ["*", [0x2217]],
  ["|", [0x00a6, 0x2223]],
  [":", [0x2236]],
  ["~", [0x02dc, 0x223c]],
  ["^", [0x02c4, 0x02c6, 0x2303]],
  ["_", [0x02cd, 0x2017]],
  [",", [0x00b8, 0x201a]],
  [".", [0x00b7, 0x2022]],
  ["+", [0x00b1]],
  [" ", [0x3000]],
];

/** By character: the ASCII byte, 0 for none. */
const BEST_FIT: Uint8Array = new Uint8Array(0x10000);
for (const [first, last] of BLOCKS)
  for (let point = first; point <= last; point += 1) {
    const base = String.fromCharCode(point)
      .normalize("NFKD")
      .replace(/[\u0300-\u036f]/g, "");
    if (base.length === 1 && base.charCodeAt(0) < 0x80) BEST_FIT[point] = base.charCodeAt(0);
  }
for (const [ascii, points] of SIMILAR) for (const point of points) BEST_FIT[point] = ascii.charCodeAt(0);

/** The byte for a sixteen-bit character: the similar one of ASCII, or its lower half. */
export const bestFit = (high: number, low: number): number => BEST_FIT[(high << 8) | low]! || low;
