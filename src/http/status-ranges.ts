// Which statuses of an answer count as healthy: `200-399`, `200, 204`, `200-299, 404`.

const STATUS_END = 600; // RFC 9110 §15: three digits, the first from 1 to 5

/** A set of statuses, read once and asked by index. */
export class StatusRanges {
  readonly #members: Uint8Array;

  private constructor(members: Uint8Array) {
    this.#members = members;
  }

  /** Reads the configuration's text. Throws RangeError with what is wrong. */
  static parse(text: string): StatusRanges {
    const members = new Uint8Array(STATUS_END);
    for (const part of text.split(",")) {
      const range = /^\s*([1-5]\d\d)(?:-([1-5]\d\d))?\s*$/.exec(part);
      if (range === null) throw new RangeError(`"${part.trim()}" is not a status or a range of them`);
      const from = Number(range[1]);
      const to = Number(range[2] ?? range[1]);
      if (from > to) throw new RangeError(`"${part.trim()}" ends before it begins`);
      members.fill(1, from, to + 1);
    }
    return new StatusRanges(members);
  }

  has(status: number): boolean {
    return this.#members[status] === 1;
  }
}
