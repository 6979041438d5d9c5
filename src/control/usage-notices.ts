// Tells of quotas that run out: once for each consumer, limit, period and threshold, also over restarts. Whoever is to
// be told by a POST is told until he answers, for a day; what waits lies beside what was used, in SQLite.
import { createHmac, randomUUID } from "node:crypto";
import type { UsageConfig } from "../config/schema-plans.ts";
import { wallClock } from "../core/clock.ts";
import { periodOf } from "../engines/rate-limit/quota.ts";
import type { Log } from "../observe/log.ts";
import type { QuotaNotice } from "../pipeline/events.ts";
import type { UsageStore } from "./usage-store.ts";

/** Messages that wait: a receiver that is down for a day loses the oldest beyond it. */
const WAITING_MAX = 10_000;
/** Posts under way at a time. */
const AT_ONCE = 4;
const ANSWER_MS = 10_000;
const AGAIN_MS = 1000;
const AGAIN_MAX_MS = 600_000;
const GIVE_UP_MS = 86_400_000;
const LOOK_EVERY_MS = 1000;
const SECOND_MS = 1000;
/** How secrets are written that are made for such messages (Standard Webhooks). */
const SECRET_PREFIX = "whsec_";

type Webhook = UsageConfig["webhooks"][number];

interface Delivery {
  readonly id: number;
  readonly message: string;
  readonly url: string;
  readonly body: string;
  readonly made: number;
  readonly tries: number;
}

export class UsageNotices {
  readonly #log: Log;
  readonly #store: UsageStore;
  readonly #underWay = new Map<number, AbortController>();
  #webhooks: readonly Webhook[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(log: Log, store: UsageStore) {
    this.#log = log;
    this.#store = store;
  }

  /** Who is told from now on; what waits for others is dropped when its time comes. */
  use(webhooks: readonly Webhook[]): void {
    this.#webhooks = webhooks;
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** False where it was told before. */
  tell(notice: QuotaNotice): boolean {
    const { consumer, plan, limit, unit, period, used, of, share } = notice;
    const now = wallClock();
    const [number] = periodOf(period, now);
    try {
      const { changes } = this.#store.db.run(
        "INSERT OR IGNORE INTO notices (period, starts, consumer, name, share) VALUES (?, ?, ?, ?, ?)",
        [`${period} ${number}`, now, consumer, limit, share],
      );
      if (changes === 0) return false;
      this.#log[share >= 100 ? "warn" : "info"]("a quota runs out", { consumer, plan, limit, used, of, share });
      const data = { consumer, plan, limit, unit, period, used, of, share };
      const body = JSON.stringify({ type: "quota.threshold", timestamp: new Date(now).toISOString(), data });
      for (const { url } of this.#webhooks) this.#queue(url, body, now);
    } catch (error) {
      this.#log.error("a notice cannot be kept", { consumer, limit, error: (error as Error).message });
    }
    return true;
  }

  #queue(url: string, body: string, now: number): void {
    const { db } = this.#store;
    db.run("INSERT INTO deliveries (message, url, body, made, tries, due) VALUES (?, ?, ?, ?, 0, ?)", [
      `msg_${randomUUID()}`,
      url,
      body,
      now,
      now,
    ]);
    const { changes } = db.run(
      "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries ORDER BY id DESC LIMIT -1 OFFSET ?)",
      [WAITING_MAX],
    );
    if (changes > 0) this.#log.error("a webhook does not answer: the oldest notices are dropped", { count: changes });
    this.#look();
  }

  /** Sends what is due. */
  #look(): void {
    const room = AT_ONCE - this.#underWay.size;
    if (room <= 0) return;
    try {
      const due = this.#store.db
        .query<Delivery, [number, number]>(
          "SELECT id, message, url, body, made, tries FROM deliveries WHERE due <= ? ORDER BY due LIMIT ?",
        )
        .all(wallClock(), AT_ONCE + room);
      for (const delivery of due)
        if (!this.#underWay.has(delivery.id) && this.#underWay.size < AT_ONCE) void this.#send(delivery);
    } catch (error) {
      this.#log.error("notices cannot be read", { error: (error as Error).message });
    }
  }

  async #send(delivery: Delivery): Promise<void> {
    const { id, url } = delivery;
    const webhook = this.#webhooks.find((each) => each.url === url);
    if (webhook === undefined) return this.#drop(id);
    const controller = new AbortController();
    this.#underWay.set(id, controller);
    const why = await post(webhook, delivery, controller.signal);
    if (this.#underWay.get(id) !== controller) return; // it was stopped
    this.#underWay.delete(id);
    if (why === "") this.#drop(id);
    else this.#again(delivery, why);
  }

  #again({ id, url, made, tries }: Delivery, why: string): void {
    const now = wallClock();
    if (now - made > GIVE_UP_MS) {
      this.#log.error("a webhook was not told: it does not answer", { url: withoutQuery(url), why });
      return this.#drop(id);
    }
    if (tries === 0) this.#log.warn("a webhook does not answer; it is tried again", { url: withoutQuery(url), why });
    const waitMs = Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** Math.min(tries, 20)) * (0.75 + Math.random() / 2);
    this.#write("UPDATE deliveries SET tries = tries + 1, due = ? WHERE id = ?", [now + Math.round(waitMs), id]);
  }

  #drop(id: number): void {
    this.#write("DELETE FROM deliveries WHERE id = ?", [id]);
  }

  #write(sql: string, values: number[]): void {
    try {
      this.#store.db.run(sql, values);
    } catch (error) {
      this.#log.error("notices cannot be written", { error: (error as Error).message });
    }
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    const controllers = [...this.#underWay.values()];
    this.#underWay.clear();
    for (const controller of controllers) controller.abort();
  }
}

/** Posts a message, signed. Why it was not taken; "" where it was. */
async function post({ url, secret }: Webhook, { message, body }: Delivery, stop: AbortSignal): Promise<string> {
  const seconds = String(Math.floor(wallClock() / SECOND_MS));
  const key = secret.startsWith(SECRET_PREFIX) ? Buffer.from(secret.slice(SECRET_PREFIX.length), "base64") : secret;
  const signature = createHmac("sha256", key).update(`${message}.${seconds}.${body}`).digest("base64");
  try {
    const answer = await fetch(url, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": seconds,
        "webhook-signature": `v1,${signature}`,
      },
      redirect: "manual",
      signal: AbortSignal.any([stop, AbortSignal.timeout(ANSWER_MS)]),
    });
    await answer.body?.cancel();
    return answer.ok ? "" : `status ${answer.status}`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** There may be secrets in the rest. */
const withoutQuery = (url: string): string => {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
};
