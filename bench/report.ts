// The report as markdown: the same text for bench/results/latest.md and for the README.
import {
  type IdleSample,
  type LoadSample,
  type Report,
  type ResilienceResult,
  type Row,
  type ScenarioResult,
  showFigure,
} from "./results.ts";

const README_BEGIN = "<!-- bench:begin -->";
const README_END = "<!-- bench:end -->";

/** Cost of every scenario side by side, the details of each in a folded part, and what it ran on. */
export function renderMarkdown(report: Report): string {
  const { results, resilience } = report;
  const parts = resilience.map((result) => `**${capital(result.title)}**\n\n${resilienceTable(result)}`);
  return results.length === 0 ? `${parts.join("\n\n")}\n` : [renderCosts(report), ...parts].join("\n\n");
}

function renderCosts({ environment, results }: Report): string {
  const peers = [...new Set(results.flatMap(({ rows }) => rows.map((row) => row.peer)))];
  const overview = table(
    ["CPU of the proxy per request", ...peers],
    results.map((result) => [result.title, ...peers.map((peer) => overviewCell(result, peer))]),
  );
  const details = results.map((result) => `**${capital(result.title)}**\n\n${detailTable(result)}`);
  const [versions, generators] = [environment.versions, environment.generators].map((found) =>
    Object.entries(found).map(([name, version]) => `${name} ${version}`),
  );
  return `${overview}

Medians of ${environment.rounds} alternating runs of ${environment.seconds} s each; one core for the proxy, another one
for the load generator and the backend. Less is better. Versions: ${versions!.join(", ")}; load by
${generators!.join(", ")}. ${environment.cpu}, Linux ${environment.kernel}.

<details><summary>Latency, throughput and memory of the same runs</summary>

${details.join("\n\n")}

</details>
`;
}

function resilienceTable({ columns, rows }: ResilienceResult): string {
  return table(
    ["", ...columns.map(({ title }) => title)],
    rows.map((row) => {
      const cells = columns.map(({ figure, unit }) => showFigure(row.median[figure]!, unit));
      return [row.problem === null ? row.name : `${row.name} (${row.problem})`, ...cells];
    }),
  );
}

/**
 * Puts the text between the two markers of a README.
 *
 * @throws Error when the markers are not there, once each and in order.
 */
export function replaceBlock(readme: string, text: string): string {
  const [begin, end] = [readme.indexOf(README_BEGIN), readme.indexOf(README_END)];
  if (begin < 0 || end < begin) throw new Error(`README.md has no ${README_BEGIN} … ${README_END} block`);
  return `${readme.slice(0, begin + README_BEGIN.length)}\n${text.trim()}\n${readme.slice(end)}`;
}

function overviewCell(result: ScenarioResult, peer: string): string {
  const row = result.rows.find((candidate) => candidate.peer === peer);
  if (row === undefined) return "–";
  if (row.median === null) return "invalid";
  const { median } = row;
  const cost = median.kind === "load" ? micros(median.cpuMicros) : `${kilobytes(median.bytesPerConnection)} each`;
  return peer === "sluice" ? `**${cost}**` : cost;
}

function detailTable(result: ScenarioResult): string {
  const idle = result.rows.some((row) => row.rounds[0]?.kind === "idle");
  const ratios = ["× nginx", "× HAProxy"];
  const head = idle
    ? ["proxy", "memory per connection", ...ratios, "empty process", "with all of them"]
    : ["proxy", "CPU per request", ...ratios, "requests/s", "p50", "p99", "memory", "errors"];
  return table(
    head,
    result.rows.map((row) => detailCells(row, head.length)),
  );
}

function detailCells(row: Row, width: number): string[] {
  if (row.median === null) {
    const reason = (row.problem ?? "").replaceAll(/\s+/g, " ").replaceAll("|", "/").slice(0, 160);
    return [row.peer, `invalid: ${reason}`, ...Array.from({ length: width - 2 }, () => "")];
  }
  const ratios = [row.toNginx, row.toHaproxy].map((ratio) => (ratio === null ? "–" : ratio.toFixed(2)));
  return row.median.kind === "idle"
    ? [row.peer, ...idleCells(row.median, ratios)]
    : [row.peer, ...loadCells(row.median, ratios)];
}

function loadCells(sample: LoadSample, ratios: readonly string[]): string[] {
  return [
    micros(sample.cpuMicros),
    ...ratios,
    Math.round(sample.requestsPerSecond).toLocaleString("en"),
    `${sample.p50Ms.toFixed(2)} ms`,
    `${sample.p99Ms.toFixed(2)} ms`,
    megabytes(sample.residentBytes),
    String(sample.errors),
  ];
}

function idleCells(sample: IdleSample, ratios: readonly string[]): string[] {
  const sizes = [sample.residentBytesBefore, sample.residentBytes].map(megabytes);
  return [kilobytes(sample.bytesPerConnection), ...ratios, ...sizes];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, index) => (index === 0 ? "---" : "---:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function micros(value: number): string {
  return `${value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} µs`;
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KB`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MB`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
