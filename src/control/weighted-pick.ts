// Requests shared between targets by weight.

/**
 * Smooth weighted round robin: of `sum(weights)` requests in a row each target gets exactly its weight, spread out as
 * evenly as can be. Always the same order. At least one weight is above 0.
 */
export function weightedPick(targets: readonly { readonly name: string; readonly weight: number }[]): () => string {
  const used = targets.filter((target) => target.weight > 0);
  const names = used.map((target) => target.name);
  const first = names[0];
  if (first === undefined) throw new RangeError("no target has a weight above 0");
  if (names.length === 1) return () => first;
  const weights = Int32Array.from(used, (target) => target.weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const credit = new Int32Array(weights.length);
  return () => {
    let best = 0;
    for (let at = 0; at < weights.length; at += 1) {
      credit[at] = credit[at]! + weights[at]!;
      if (credit[at]! > credit[best]!) best = at;
    }
    credit[best] = credit[best]! - total;
    return names[best]!;
  };
}
