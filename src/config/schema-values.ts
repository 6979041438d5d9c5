// Values with units as users write them, and as numbers once parsed.
import { z } from "zod";
import { parseDataRate, parseDuration, parseRate, parseSize } from "../core/units.ts";

/** A duration as users write it (`5s`), in milliseconds once parsed. */
export const duration = z
  .string()
  .transform((text, issue) => {
    const ms = parseDuration(text);
    if (ms !== null) return ms;
    issue.addIssue({ code: "custom", message: `"${text}" is not a duration: write it like 250ms, 5s, 1m, 2h or 30d` });
    return z.NEVER;
  })
  .meta({ title: "duration", pattern: "^\\d+(\\.\\d+)?(ms|s|m|h|d)$" });

/** A size as users write it (`64KB`, powers of 1024), in bytes once parsed. */
export const size = z
  .string()
  .transform((text, issue) => {
    const bytes = parseSize(text);
    if (bytes !== null) return bytes;
    issue.addIssue({ code: "custom", message: `"${text}" is not a size: write it like 512B, 64KB, 10MB or 1GB` });
    return z.NEVER;
  })
  .meta({ title: "size", pattern: "^\\d+(\\.\\d+)?(B|KB|MB|GB|TB)$" });

/** A data rate as users write it (`10MB/s`), in bytes per second once parsed. */
export const dataRate = z
  .string()
  .transform((text, issue) => {
    const rate = parseDataRate(text);
    if (rate !== null) return rate;
    issue.addIssue({ code: "custom", message: `"${text}" is not a data rate: write it like 64KB/s or 10MB/s` });
    return z.NEVER;
  })
  .meta({ title: "data rate", pattern: "^\\d+(\\.\\d+)?(B|KB|MB|GB|TB)/(s|m|h|d)$" });

/** A rate of requests as users write it (`100/s`), as a count and the time it is for once parsed. */
export const requestRate = z
  .string()
  .transform((text, issue) => {
    const rate = parseRate(text);
    if (rate !== null) return rate;
    issue.addIssue({
      code: "custom",
      message: `"${text}" is not a rate: write it like 100/s, 1000/m, 10000/h or 50000/d`,
    });
    return z.NEVER;
  })
  .meta({ title: "rate", pattern: "^[1-9]\\d{0,8}/(s|m|h|d)$" });

/** A share as users write it (`20%`), as a number once parsed: 0.2. `max` is the largest share in percent. */
export const share = (max = 100) =>
  z
    .string()
    .transform((text, issue) => {
      const parts = /^(\d{1,5}(?:\.\d{1,6})?)%$/.exec(text);
      if (parts !== null && Number(parts[1]) <= max) return Number(parts[1]) / 100;
      const most = parts === null ? "" : ` of at most ${max}%`;
      issue.addIssue({ code: "custom", message: `"${text}" is not a share${most}: write it like 20% or 0.5%` });
      return z.NEVER;
    })
    .meta({ title: "share", pattern: "^\\d+(\\.\\d+)?%$" });

export const oneOrMany = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1)]);
export const fieldMap = z.record(z.string(), z.string());
