// Trailer sections (RFC 9113 §8.1): no pseudo-header fields, and none of the fields that a recipient must know before
// the content.
import { TRAILER_LIMITS } from "../h1/limits.ts";
import { NOT_IN_TRAILERS } from "../h1/writer.ts";
import { HeaderBlock } from "../header-block.ts";
import { ID_COUNT } from "../header-names.ts";
import { actionTable, SectionBuilder } from "./section-builder.ts";

const DROPPED: readonly number[] = Array.from({ length: ID_COUNT }, (_, id) => id).filter(
  (id) => NOT_IN_TRAILERS.table[id] === 1,
);
const FORBIDDEN_TOO = actionTable([]);
/** Dropped where no other rule forbids the field altogether. */
const ACTIONS = actionTable(DROPPED).map((action, id) => (FORBIDDEN_TOO[id] === 2 ? 2 : action));

const NO_BYTES: Buffer = Buffer.alloc(0);

export class TrailerBuilder extends SectionBuilder {
  readonly #fields: HeaderBlock = new HeaderBlock();

  constructor() {
    super(ACTIONS);
  }

  begin(dropUnderscores: boolean): void {
    this.beginSection(this.#fields, TRAILER_LIMITS, dropUnderscores);
  }

  /**
   * The section is complete. Returns its fields, null without any; they are valid until the next
   * section begins. Look at `malformed` and `fault` first.
   */
  finish(): HeaderBlock | null {
    this.endSection();
    return this.#fields.count === 0 ? null : this.#fields;
  }

  /** Nobody needs the fields any more: the bytes that they lie in are not kept for the next section. */
  letGo(): void {
    this.#fields.bytes = NO_BYTES;
    this.buffer = NO_BYTES;
  }

  protected pseudo(): void {
    this.bad("pseudo-header field in trailers");
  }
  protected pseudoDone(): void {}
  protected known(): boolean {
    return false;
  }
  protected moved(): void {}
}

/** A copy that stays. */
export function copyBlock(block: HeaderBlock): HeaderBlock {
  const copy = new HeaderBlock();
  if (block.count > 0) {
    const from = block.lineStart(0);
    const bytes = Buffer.from(block.bytes.subarray(from, block.end));
    copy.reset(bytes);
    for (let i = 0; i < block.count; i += 1) {
      if (block.removed[i] === 1) continue;
      const nameStart = block.lineStart(i) - from;
      const valueEnd = block.valueEnd(i) - from;
      const nameEnd = nameStart + block.nameAt(i).length;
      copy.push(block.ids[i]!, nameStart, nameEnd, block.valueStart(i) - from, valueEnd, block.lineEnd(i) - from);
      if (block.secret?.[i] === 1) copy.keepSecret(copy.count - 1);
    }
  }
  copy.added = block.added === null ? null : [...block.added];
  return copy;
}
