// Which of several weighted targets a key belongs to: always the same one, and as few keys as can be move when weights
// change. Each target draws a number for the key, and the one whose share of it is best gets it (weighted rendezvous
// hashing): who is at a target stays there as long as its weight grows and the others' do not.

interface Drawn {
  readonly name: string;
  readonly weight: number;
  readonly seed: number;
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const TWO_32 = 4_294_967_296;

/** The same on all machines, and after a restart. */
function hashOf(text: string): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  return mixed(hash);
}

/** Every bit of what comes in changes half of those that come out. */
function mixed(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** At least one weight is above 0. */
export function rendezvousPick(
  targets: readonly { readonly name: string; readonly weight: number }[],
): (key: string) => string {
  const drawn: Drawn[] = targets
    .filter(({ weight }) => weight > 0)
    .map(({ name, weight }) => ({ name, weight, seed: hashOf(name) }));
  const first = drawn[0];
  if (first === undefined) throw new RangeError("no target has a weight above 0");
  if (drawn.length === 1) return () => first.name;
  return (key) => {
    const hash = hashOf(key);
    let best = first;
    let least = Number.POSITIVE_INFINITY;
    for (const target of drawn) {
      const share = (mixed(hash ^ target.seed) + 0.5) / TWO_32;
      const score = -Math.log(share) / target.weight;
      if (score >= least) continue;
      least = score;
      best = target;
    }
    return best.name;
  };
}
