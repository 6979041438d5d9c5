// How exact quotas and metering are: 1,000,000 requests by 100 consumers on two workers, killed (SIGKILL) in the middle
// and started again. `bun bench/quota-exactness.ts [REQUESTS]`. A second's worth of traffic may be lost, or counted too
// much, and nobody gets 2 % more than the quota.
import { exactness } from "../test/support/quota-rig.ts";

const SECONDS_MAX = 1;
const PERCENT_MAX = 2;
const CONSUMERS = 100;
const AT_ONCE = 16;

const requests = Number(process.argv[2] ?? 1_000_000);
const quota = Math.floor((requests / CONSUMERS) * 0.9);
const found = await exactness({
  requests,
  consumers: CONSUMERS,
  quota,
  atOnce: AT_ONCE,
  perSecond: Number.POSITIVE_INFINITY,
});
const { seconds, passed, refused, unanswered, beyond, lost, lostSeconds } = found;
console.log(
  `${requests} requests of ${CONSUMERS} consumers in ${seconds.toFixed(1)} s: ${passed} let through, ` +
    `${refused} refused, ${unanswered} without an answer`,
);
console.log(
  `of a quota of ${quota}, at most ${beyond.toFixed(2)} % beyond it; ${lost} not metered, ` +
    `${lostSeconds.toFixed(2)} s of the traffic`,
);
if (lostSeconds > SECONDS_MAX || beyond > PERCENT_MAX) throw new Error("this is not exact enough");
