// What answers to HEAD tell of a stale answer to GET: that it holds again, or that it is out of date (RFC 9111 §4.3.5).
import { freshen, headSays } from "../engines/cache/validation.ts";
import { copiedResponse } from "../http/copied-head.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { Entry } from "./entry.ts";
import type { Visit } from "./visit.ts";

interface Asked {
  readonly visit: Visit;
  readonly stale: Entry;
  readonly askedAt: number;
}

/** Who has the stale answers. */
export interface HeadAnswersOwner {
  readonly now: number;
  /** Removes a stored answer; false when it has gone already. */
  drop(visit: Visit, entry: Entry): boolean;
  renew(visit: Visit, entry: Entry): void;
}

export class HeadAnswers {
  readonly #owner: HeadAnswersOwner;
  readonly #asked = new WeakMap<Exchange, Asked>();

  constructor(owner: HeadAnswersOwner) {
    this.#owner = owner;
  }

  /** A server is asked about the address of a stale answer. */
  expect(visit: Visit, stale: Entry): void {
    this.#asked.set(visit.x, { visit, stale, askedAt: this.#owner.now });
  }

  onAnswer(x: Exchange): void {
    const asked = this.#asked.get(x);
    if (asked === undefined) return;
    const { visit, stale, askedAt } = asked;
    const owner = this.#owner;
    const answer = copiedResponse(x.response);
    answer.headers.added = null; // what is for this client, such as a cookie of a sticky upstream
    const { length } = stale.body;
    const says = headSays(stale.validators, length, answer);
    if (says === "nothing" || !owner.drop(visit, stale) || says !== "update") return;
    const news = freshen(x.request, stale.stored, answer, length, askedAt, owner.now, visit.rules.policy);
    const { admission, head } = news;
    if ("refusal" in admission) return;
    const { extra, tags, stamp, body } = stale;
    owner.renew(visit, new Entry(extra, stale, tags, stamp, admission.times, head, body));
  }
}
