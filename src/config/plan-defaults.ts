// Defaults of `quota` and `usage` that threads without the schema need as well.
import type { Config } from "./schema.ts";
import type { QuotaPolicy, UsageConfig } from "./schema-plans.ts";

/** What `quota: true` stands for. */
export const QUOTA_DEFAULTS: QuotaPolicy = {
  per: "consumer",
  cost: 1,
  free: [],
  clients: 10_000,
  onStoreError: "local",
  headers: true,
};

/** What `usage: true` stands for, and plans or quotas without `usage`. */
const USAGE_DEFAULTS: UsageConfig = {
  series: 10_000,
  keep: { hours: 24 * 35, days: 400 },
  thresholds: ["80%", "100%"],
  webhooks: [],
};

type Metered = Pick<Config, "usage" | "plans" | "defaults" | "routes">;

/** How it is metered what consumers use; null where it is not. */
export function usageSettings({ usage, plans, defaults, routes }: Metered): UsageConfig | null {
  if (usage === false) return null;
  if (usage !== undefined) return usage === true ? USAGE_DEFAULTS : usage;
  const isHeld = [defaults, ...routes].some(({ quota }) => quota !== undefined && quota !== false);
  return isHeld || Object.keys(plans).length > 0 ? USAGE_DEFAULTS : null;
}

/** Shares of a quota at which it is told, in their order. */
export const thresholdsOf = (config: Metered): readonly number[] =>
  (usageSettings(config)?.thresholds ?? []).map((text) => Number.parseInt(text, 10) / 100).sort((a, b) => a - b);
