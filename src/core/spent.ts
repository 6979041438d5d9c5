// Memory of large chunks that nobody needs any more. The runtime makes a new buffer for every chunk that arrives, and
// its collector would leave hundreds of megabytes of them lying about under load; memory that is used again at once is
// still in the processor's cache.

/** Smaller chunks share their memory with others, or cost less than freeing them. */
export const SPENT_MIN = 16_384;

const spentBuffers: ArrayBuffer[] = [];

/** A chunk of which one piece is being looked at; who brought it looks at the others. */
let lent: Buffer | null = null;
let isBack = false;

/**
 * Says that nobody will look at `bytes` or anything else of their buffer again. It is freed at the end of the turn, as
 * those further up the stack may still ask how long it was. Pieces of a larger buffer are left to the collector.
 */
export function spent(bytes: Buffer): void {
  if (bytes === lent) {
    isBack = true;
    return;
  }
  if (bytes.length < SPENT_MIN || bytes.length !== bytes.buffer.byteLength) return;
  spentBuffers.push(bytes.buffer as ArrayBuffer);
}

/**
 * One piece of `bytes` is handed on now, as one that may be given up, though others of the same chunk are still needed.
 * What is returned goes to `cameBack` once the call that took the piece is over.
 */
export function lend(bytes: Buffer): Buffer | null {
  const before = lent;
  lent = bytes;
  isBack = false;
  return before;
}

/** Whether the piece that was lent has been given up already: nobody has kept it. */
export function cameBack(before: Buffer | null): boolean {
  const was = isBack;
  lent = before;
  isBack = false;
  return was;
}

/** Whether `bytes` are only lent: then they are not for anybody but the lender to give up later. */
export const isLent = (bytes: Buffer): boolean => bytes === lent;

/** Frees what was given up in this turn. */
export function freeSpent(): void {
  while (spentBuffers.length > 0) {
    const buffer = spentBuffers.pop()!;
    if (!buffer.detached) buffer.transfer(0); // given up twice in one turn
  }
}
