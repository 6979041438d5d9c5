// Takes the reports of browsers about what a content security policy has forbidden, or would have.
import { fault } from "../../core/faults.ts";
import type { Exchange, Filter, Outcome, RequestSink } from "../../pipeline/exchange.ts";
import { reply } from "../../pipeline/reply.ts";
import type { FilterContext } from "../definition.ts";

/** Reports have a few hundred bytes; anybody may send anything. */
const REPORT_BYTES_MAX = 16_384;
/** Lines of the log in a second and thread: a broken page makes every visitor report. All are counted. */
const LINES_MAX = 5;
const SECOND_MS = 1000;
const TEXT_MAX = 300;
const TYPES = ["application/csp-report", "application/reports+json", "application/json"];

/** The filter for the requests at `path`, which it answers. */
export function cspReports(path: string, { route, shared }: FilterContext): Filter {
  let second = 0;
  let lines = 0;
  const tell = (body: string): void => {
    shared.count("sluice_csp_reports_total", [route]);
    const now = Math.floor(shared.now() / SECOND_MS);
    lines = now === second ? lines + 1 : 1;
    second = now;
    const report = lines > LINES_MAX ? null : readReport(body);
    if (report !== null) shared.tell("a page broke its content security policy", { route, ...report });
  };
  return Object.freeze({
    name: "csp-reports",
    request(x) {
      if (x.request.path !== path || x.request.method !== "POST") return undefined;
      const type = (x.request.header("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
      if (!TYPES.includes(type)) return reply(415);
      return new Promise<Outcome>((resolve) => x.downstream.readBody(new ReportBody(x, resolve, tell)));
    },
  } satisfies Filter);
}

class ReportBody implements RequestSink {
  readonly #x: Exchange;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #tell: (body: string) => void;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(x: Exchange, resolve: (outcome: Outcome) => void, tell: (body: string) => void) {
    this.#x = x;
    this.#resolve = resolve;
    this.#tell = tell;
  }

  onRequestData(bytes: Buffer, from: number, to: number): void {
    this.#bytes += to - from;
    if (this.#bytes <= REPORT_BYTES_MAX) this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
    else {
      this.#x.downstream.discardBody();
      this.#resolve(fault("request.body_too_large", `more than ${REPORT_BYTES_MAX} bytes`));
    }
  }
  onRequestEnd(): void {
    this.#tell(Buffer.concat(this.#pieces).toString("utf8"));
    this.#resolve(reply(204));
  }
  onDownstreamDrain(): void {}
  onDownstreamGone(): void {}
}

/** What is worth a line of the first report in a body; null for what is none. Its texts are anybody's. */
function readReport(body: string): Readonly<Record<string, string>> | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return null;
  }
  const first = Array.isArray(parsed) ? parsed[0] : parsed;
  const report = memberOf(first, "csp-report") ?? memberOf(first, "body");
  if (report === null) return null;
  const text = (...names: readonly string[]): string => {
    const found = names.map((name) => memberOf(report, name)).find((value) => typeof value === "string");
    return String(found ?? "").slice(0, TEXT_MAX);
  };
  return {
    document: text("document-uri", "documentURL"),
    directive: text("effective-directive", "effectiveDirective", "violated-directive"),
    blocked: text("blocked-uri", "blockedURL"),
  };
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? ((value as Readonly<Record<string, unknown>>)[name] ?? null) : null;
