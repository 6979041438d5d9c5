// What was used, as JSON, CSV (RFC 4180) and OpenMetrics.
import type { UsageRow } from "./usage-store.ts";

/** What readers get of a row: names that say what it is, and nothing that was not asked for. */
export interface UsageItem {
  readonly time?: string;
  readonly consumer?: string;
  readonly user?: string;
  readonly route?: string;
  readonly status?: string;
  readonly requests: number;
  readonly errors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly units: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Seconds from request to end, summed up. */
  readonly seconds: number;
}

const NAMES = ["requests", "errors", "bytesIn", "bytesOut", "units", "tokensIn", "tokensOut", "seconds"] as const;

/** Nobody known has neither `consumer` nor `user`. */
export function itemOf(row: UsageRow): UsageItem {
  const { time, kind, subject, route, status } = row;
  return {
    ...(time === "" ? {} : { time }),
    ...(kind === "consumer" ? { consumer: subject } : kind === "user" ? { user: subject } : {}),
    ...(route === "" ? {} : { route }),
    ...(status === "" ? {} : { status }),
    requests: row.requests,
    errors: row.errors,
    bytesIn: row.bytes_in,
    bytesOut: row.bytes_out,
    units: row.units,
    tokensIn: row.tokens_in,
    tokensOut: row.tokens_out,
    seconds: row.millis / 1000,
  };
}

const LABELS = ["time", "consumer", "user", "route", "status"] as const;

export function csvOf(items: readonly UsageItem[]): string {
  const lines = [[...LABELS, ...NAMES].join(",")];
  for (const item of items)
    lines.push([...LABELS.map((name) => cell(item[name] ?? "")), ...NAMES.map((name) => item[name])].join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** Names come from outside: one that a spreadsheet would take for a formula is told to be a text. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const METRICS: readonly (readonly [name: string, of: (typeof NAMES)[number], unit: string, help: string])[] = [
  ["sluice_usage_requests", "requests", "", "Requests that have ended."],
  ["sluice_usage_errors", "errors", "", "Requests that failed, or were answered with 5xx."],
  ["sluice_usage_received_bytes", "bytesIn", "bytes", "Bytes of bodies from clients."],
  ["sluice_usage_sent_bytes", "bytesOut", "bytes", "Bytes of bodies to clients."],
  ["sluice_usage_units", "units", "", "What requests took from quotas."],
  ["sluice_usage_input_tokens", "tokensIn", "", "Tokens that language models have read."],
  ["sluice_usage_output_tokens", "tokensOut", "", "Tokens that language models have written."],
  ["sluice_usage_duration_seconds", "seconds", "seconds", "Time from request to end, summed up."],
];

/** Sums since metering began, which only grow. */
export function openMetricsOf(items: readonly UsageItem[]): string {
  const lines: string[] = [];
  for (const [name, of, unit, help] of METRICS) {
    lines.push(`# TYPE ${name} counter`);
    if (unit !== "") lines.push(`# UNIT ${name} ${unit}`);
    lines.push(`# HELP ${name} ${help}`);
    for (const item of items) {
      const labels = (["consumer", "user", "route", "status"] as const)
        .filter((label) => item[label] !== undefined)
        .map((label) => `${label}="${escaped(item[label]!)}"`);
      lines.push(`${name}_total{${labels.join(",")}} ${item[of]}`);
    }
  }
  return `${lines.join("\n")}\n# EOF\n`;
}

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
