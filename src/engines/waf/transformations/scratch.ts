// One buffer in which transformations work. A value is a string of Latin-1 characters, one for each byte: it is laid
// out here in one native call, decoded where it lies, and read back in another.

/** Larger ones are made for one value and let go: bodies are rarely transformed, and a thread should not hold them. */
const KEPT_MAX = 256 * 1024;

/** Where a decoder may write one byte behind the end (a path's last slash) without looking. */
const SPARE = 8;

let kept: Buffer = Buffer.allocUnsafe(4096);

/** A buffer for at least `size` bytes, with whatever in it. The next call may give the same one. */
export function scratch(size: number): Buffer {
  const wanted = size + SPARE;
  if (wanted <= kept.length) return kept;
  if (wanted > KEPT_MAX) return Buffer.allocUnsafe(wanted);
  kept = Buffer.allocUnsafe(Math.min(KEPT_MAX, wanted * 2));
  return kept;
}

/** The bytes of a value, to be changed in place. */
export function laidOut(value: string): Buffer {
  const bytes = scratch(value.length);
  bytes.latin1Write(value, 0);
  return bytes;
}
