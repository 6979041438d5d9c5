// What a plan lets its consumers do, and what one consumer may instead: one shape for the configuration, the admin API
// and the filter that holds to it.
import type { Rate } from "./units.ts";

/** Periods of the calendar, in UTC. */
export const PERIODS = ["minute", "hour", "day", "month"] as const;
export type Period = (typeof PERIODS)[number];

/** How long a period is; a month as windows are told, of 30 days. */
export const PERIOD_MS: Readonly<Record<Period, number>> = {
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  month: 2_592_000_000,
};

/** So many in each period. */
export interface Quota {
  readonly count: number;
  readonly per: Period;
}

/** What is absent is not limited; in a consumer's own limits it is as the plan has it. */
export interface PlanLimits {
  readonly rate?: Rate | undefined;
  /** Requests that may come at once; a tenth of what `rate` counts when absent. */
  readonly burst?: number | undefined;
  /** Requests, by what they cost. */
  readonly quota?: readonly Quota[] | undefined;
  /** Tokens of language models. */
  readonly tokens?: readonly Quota[] | undefined;
  /** Requests under way at a time. */
  readonly concurrent?: number | undefined;
}

const SHORT: Readonly<Record<string, Period>> = { h: "hour", d: "day" };

/** `100000/d`, `1000/hour`, `300000/month` as a quota; null when it is none. */
export function parseQuota(text: string): Quota | null {
  const parts = /^([1-9]\d{0,9})\/([a-z]{1,6})$/.exec(text);
  const per = parts === null ? undefined : (SHORT[parts[2]!] ?? PERIODS.find((each) => each === parts[2]));
  const count = Number(parts?.[1]);
  return per === undefined || count > QUOTA_MAX ? null : { count, per };
}

/** Counts are numbers of 32 bits, and what is charged beyond a quota has to fit too. */
const QUOTA_MAX = 2_000_000_000;
