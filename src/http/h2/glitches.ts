// Budgets of what abuse consists of (RFC 9113 §10.5). Each of these events is harmless by itself and cheap to make; a
// peer that makes more of them than its traffic explains is told ENHANCE_YOUR_CALM, and the connection ends.

interface Budget {
  /** Milliseconds after which counting begins anew. */
  readonly per: number;
  /** How many are free within that time. */
  readonly base: number;
  /** How many more for each piece of useful traffic within that time: an answer, a DATA frame with content. */
  readonly perUse: number;
  /** Only answers count as useful. */
  readonly answersOnly?: boolean;
  /** Part of normal traffic: only told to metrics when there are too many. */
  readonly usual: boolean;
  /** What the peer is told in GOAWAY. */
  readonly text: string;
}

const SECOND = 1000;
const TEN_SECONDS = 10_000;

export const BUDGETS = {
  // Rapid reset (CVE-2023-44487): people leave pages and cancel downloads, but those are streams with an answer begun.
  reset: { per: TEN_SECONDS, base: 200, perUse: 1, answersOnly: true, usual: false, text: "too many streams reset" },
  // Made-you-reset (CVE-2025-8671): the same, with a frame that makes us do it. No working client does that at all.
  error: { per: TEN_SECONDS, base: 200, perUse: 0, usual: false, text: "too many stream errors" },
  // Streams above the limit, refused: a client may send a burst of them before it has our SETTINGS.
  refused: { per: TEN_SECONDS, base: 1000, perUse: 0, usual: false, text: "too many streams above the limit" },
  // Keep-alives come once in a while. gRPC clients measure the round trip with one PING for each that brings data.
  ping: { per: SECOND, base: 100, perUse: 1, usual: true, text: "too_many_pings" },
  settings: { per: SECOND, base: 100, perUse: 0, usual: true, text: "too many SETTINGS" },
  // DATA without content, HEADERS and CONTINUATION without a byte: work for us, and nothing from the peer. One for each
  // answer comes from servers that flush before they have anything to say.
  empty: { per: TEN_SECONDS, base: 100, perUse: 1, usual: false, text: "too many empty frames" },
  // Clients of RFC 7540 send a few for each request; browsers reprioritise images in view.
  priority: { per: TEN_SECONDS, base: 100, perUse: 4, usual: true, text: "too many priority changes" },
  // Two for each DATA frame that we have sent is usual. Go's client sends two for every 4 KB that a program with
  // a small buffer reads, so eight. A byte at a time buys frames that do not count.
  window: { per: TEN_SECONDS, base: 1000, perUse: 10, usual: true, text: "too many WINDOW_UPDATE" },
  // Extension frames (RFC 9113 §5.5) are ignored; browsers send one now and then to keep servers honest.
  unknown: { per: TEN_SECONDS, base: 100, perUse: 1, usual: false, text: "too many unknown frames" },
  // What was on its way to a stream that we reset: an upload of a full window in small frames.
  late: { per: TEN_SECONDS, base: 2000, perUse: 1, usual: false, text: "too many frames on closed streams" },
  // Answers to questions that nobody asked, settings by the hundred, and the like.
  odd: { per: TEN_SECONDS, base: 100, perUse: 0, usual: false, text: "too many useless frames" },
} as const satisfies Record<string, Budget>;

export type GlitchKind = keyof typeof BUDGETS;

export const GLITCH_KINDS = Object.keys(BUDGETS) as readonly GlitchKind[];
const INDEX = Object.fromEntries(GLITCH_KINDS.map((kind, index) => [kind, index])) as Record<GlitchKind, number>;
const KINDS = GLITCH_KINDS.length;

export class Glitches {
  /** Per kind: how many, what use there was before counting began, and when that was. Made with the first one. */
  #counts: Float64Array | null = null;
  /** Answers begun so far, and DATA frames with content in both directions. */
  answers = 0;
  dataFrames = 0;
  readonly #patience: number;

  /** `patience`: the part of what is free that this peer has, above 0 and up to 1. */
  constructor(patience = 1) {
    this.#patience = patience;
  }

  /** Counts one more. Returns whether that is over the budget. `now` in milliseconds. */
  count(kind: GlitchKind, now: number): boolean {
    const index = INDEX[kind];
    const budget: Budget = BUDGETS[kind];
    let counts = this.#counts;
    if (counts === null) {
      counts = new Float64Array(KINDS * 3);
      for (let i = 0; i < KINDS; i += 1) counts[KINDS * 2 + i] = Number.NEGATIVE_INFINITY;
      this.#counts = counts;
    }
    const uses = budget.answersOnly === true ? this.answers : this.answers + this.dataFrames;
    if (now - counts[KINDS * 2 + index]! >= budget.per) {
      counts[index] = 0;
      counts[KINDS + index] = uses;
      counts[KINDS * 2 + index] = now;
    }
    const count = counts[index]! + 1;
    counts[index] = count;
    return count > budget.base * this.#patience + budget.perUse * (uses - counts[KINDS + index]!);
  }
}
