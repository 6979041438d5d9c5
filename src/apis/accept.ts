// Which of some media types a client would rather have (RFC 9110 §12.5.1).

/** More ranges than this no client has a use for. */
const RANGES_MAX = 64;

/** The place of the best of the types, the first of those that are wanted equally; -1 where none is wanted. */
export function bestType(accept: string | null, types: readonly string[]): number {
  if (accept === null || accept.trim() === "") return types.length > 0 ? 0 : -1;
  const ranges = accept.toLowerCase().split(",", RANGES_MAX).map(rangeOf);
  let best = -1;
  let bestWeight = 0;
  for (const [index, type] of types.entries()) {
    const weight = weightOf(ranges, type.toLowerCase());
    if (weight > bestWeight) {
      best = index;
      bestWeight = weight;
    }
  }
  return best;
}

interface Range {
  readonly type: string;
  readonly weight: number;
}

function rangeOf(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim());
  const quality = parameters.find((each) => each.startsWith("q="))?.slice(2);
  const weight = quality === undefined ? 1 : Number(quality);
  return { type, weight: Number.isFinite(weight) ? Math.min(Math.max(weight, 0), 1) : 0 };
}

/** The most specific range that fits says what a type is worth. */
function weightOf(ranges: readonly Range[], type: string): number {
  const essence = type.split(";", 1)[0]!.trim();
  const group = `${essence.split("/", 1)[0]}/*`;
  for (const wanted of [essence, group, "*/*"]) {
    const range = ranges.find((each) => each.type === wanted);
    if (range !== undefined) return range.weight;
  }
  return 0;
}
