import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { createLog } from "../observe/log.ts";
import type { QuotaNotice } from "../pipeline/events.ts";
import { UsageNotices } from "./usage-notices.ts";
import { UsageStore } from "./usage-store.ts";

const SECRET = "a secret of twenty letters";
const NOTICE: QuotaNotice = {
  consumer: "acme",
  plan: "gold",
  limit: "gold-day",
  unit: "requests",
  period: "day",
  used: 80,
  of: 100,
  share: 80,
};

interface Posted {
  readonly headers: Headers;
  readonly body: string;
}

/** Who is told: what came, and the statuses that it is answered with, the last one from then on. */
function receiver(...statuses: number[]) {
  const posted: Posted[] = [];
  let more = Promise.withResolvers<void>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      posted.push({ headers: request.headers, body: await request.text() });
      const status = statuses.length > 1 ? statuses.shift()! : statuses[0]!;
      more.resolve();
      more = Promise.withResolvers<void>();
      return new Response("", { status, headers: { location: "/elsewhere" } });
    },
  });
  const until = async (count: number): Promise<void> => {
    while (posted.length < count) await more.promise;
  };
  return { url: `http://127.0.0.1:${server.port}/hook?key=1`, posted, until, stop: () => server.stop(true) };
}

test("a webhook is told once for each threshold, signed, and again until it answers", async () => {
  const there = receiver(500, 200);
  const store = new UsageStore(null);
  const notices = new UsageNotices(createLog("error"), store);
  notices.use([{ url: there.url, secret: SECRET }]);
  expect([notices.tell(NOTICE), notices.tell(NOTICE), notices.tell({ ...NOTICE, used: 81 })]).toEqual([
    true,
    false,
    false,
  ]);
  await there.until(2);
  const ids = new Set(there.posted.map(({ headers }) => headers.get("webhook-id")));
  expect(ids.size).toBe(1);
  for (const { headers, body } of there.posted) {
    const signed = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`;
    const signature = createHmac("sha256", SECRET).update(signed).digest("base64");
    expect(headers.get("webhook-signature")).toBe(`v1,${signature}`);
    expect(JSON.parse(body)).toMatchObject({ type: "quota.threshold", data: NOTICE });
  }
  expect(notices.tell({ ...NOTICE, used: 100, share: 100 })).toBe(true);
  expect(notices.tell({ ...NOTICE, consumer: "bob" })).toBe(true);
  await there.until(4);
  notices.stop();
  store.close();
  there.stop();
}, 15_000);

test("what could not be told is told by the next process, and nothing twice", async () => {
  const away = receiver(302);
  const store = new UsageStore(null);
  const first = new UsageNotices(createLog("error"), store);
  first.use([{ url: away.url, secret: `whsec_${Buffer.from(SECRET).toString("base64")}` }]);
  expect(first.tell(NOTICE)).toBe(true);
  await away.until(1);
  first.stop();
  away.stop();
  const waiting = () => store.db.query<{ due: number }, []>("SELECT due FROM deliveries").all();
  expect(waiting()).toHaveLength(1);
  const next = new UsageNotices(createLog("error"), store);
  expect(next.tell(NOTICE)).toBe(false);
  // Its webhook is not configured any more.
  store.db.run("UPDATE deliveries SET due = 0");
  next.use([]);
  expect(next.tell({ ...NOTICE, share: 100 })).toBe(true);
  const gone = Date.now() + 5000;
  while (waiting().length > 0 && Date.now() < gone) await Bun.sleep(20);
  expect(waiting()).toEqual([]);
  next.stop();
  store.close();
}, 15_000);
