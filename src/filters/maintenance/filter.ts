// `maintenance`: answers in place of servers, but for those who may look already. Whether it is on is a matter of the
// configuration, or of what an operator has switched since (pipeline/switches.ts): every route has this filter in the
// list that is used while anything is switched.
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { CompileError, within } from "../../config/compile-error.ts";
import type { MaintenanceConfig } from "../../config/schema-traffic.ts";
import { fault } from "../../core/faults.ts";
import { CidrSet } from "../../core/ip.ts";
import { firstCookie, receivedCookies } from "../../http/cookies.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import { errorReply } from "../../pipeline/error-reply.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { Reply } from "../../pipeline/reply.ts";
import type { Live, Shared } from "../../pipeline/shared.ts";
import { readSwitches, SWITCHES, type Switches } from "../../pipeline/switches.ts";
import type { FilterDefinition, Policies } from "../definition.ts";

export const MAINTENANCE = "maintenance";

const STATUS = 503;
/** A page is sent from memory, to everybody. */
const PAGE_BYTES_MAX = 1_048_576;
const SECOND_MS = 1000;

export const maintenance: FilterDefinition = {
  key: "maintenance",
  compile({ maintenance: config, cors }, { route, api, shared }) {
    const closing = new Closing(config ?? null, [route, api], cors !== undefined, shared);
    return [Object.freeze<Filter>({ name: MAINTENANCE, request: (x) => closing.request(x) })];
  },
};

/** Whether the filter has something to do while nothing is switched: no server is to see the secret then either. */
export const isAlwaysClosing = ({ maintenance: config }: Policies): boolean =>
  config !== undefined && (config.enabled || config.bypass?.header !== undefined);

class Closing {
  readonly #config: MaintenanceConfig | null;
  /** Of the route, and of the API that it is a part of. */
  readonly #names: readonly [route: string, api: string];
  readonly #allowed: CidrSet | null;
  readonly #secret: Buffer | null;
  readonly #page: { readonly bytes: Buffer; readonly type: string } | null;
  readonly #answersPreflights: boolean;
  readonly #switches: Live<Switches>;
  readonly #shared: Shared;

  constructor(
    config: MaintenanceConfig | null,
    names: readonly [route: string, api: string],
    answersPreflights: boolean,
    shared: Shared,
  ) {
    this.#config = config;
    this.#names = names;
    const allow = config?.allow ?? [];
    this.#allowed = allow.length === 0 ? null : within("allow", () => new CidrSet(allow));
    this.#secret = config?.bypass === undefined ? null : digestOf(config.bypass.secret);
    this.#page = config === null ? null : pageOf(config);
    this.#answersPreflights = answersPreflights;
    this.#switches = shared.live(SWITCHES, readSwitches);
    this.#shared = shared;
    for (const name of Object.keys(config?.headers ?? {}))
      within("headers", () => HeaderBlock.of([[name, config!.headers[name]!]]));
  }

  request(x: Exchange): Reply | undefined {
    const sent = this.#takeSecret(x);
    const reason = this.#reason();
    if (reason === null || this.#mayPass(x, sent)) return undefined;
    const cause = fault("maintenance.on", reason, this.#retryAfter());
    x.fault ??= cause; // for the log
    const { status = STATUS, headers = {} } = this.#config ?? {};
    const answer =
      this.#page === null ? errorReply(cause, x.requestId, x.request.header("accept"), status) : this.#own();
    for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value);
    return { ...answer, status };
  }

  /** Why there is maintenance; null where there is none. */
  #reason(): string | null {
    const { maintenance: switched } = this.#switches.current;
    const [route, api] = this.#names;
    const said = switched.get(route) ?? switched.get(api) ?? switched.get("");
    if (said === undefined || (said.untilMs !== null && said.untilMs <= this.#shared.wallNow()))
      return this.#config?.enabled === true ? "by the configuration" : null;
    return said.enabled ? said.reason : null;
  }

  #retryAfter(): number {
    const { retryAfter = 0 } = this.#config ?? {};
    return Math.ceil(retryAfter / SECOND_MS);
  }

  /** What stands in the field for it, which goes no further: it is between the two of us. */
  #takeSecret({ request }: Exchange): string | null {
    const header = this.#config?.bypass?.header;
    const sent = header === undefined ? null : request.header(header);
    if (sent !== null) request.headers.remove(header!);
    return sent;
  }

  #mayPass(x: Exchange, sent: string | null): boolean {
    if (this.#allowed?.has(x.ip) === true) return true;
    if (this.#answersPreflights && isPreflight(x)) return true;
    const bypass = this.#config?.bypass;
    if (bypass === undefined || this.#secret === null) return false;
    if (sent !== null && this.#isSecret(sent)) return true;
    const cookie = bypass.cookie === undefined ? null : firstCookie(receivedCookies(x.request.headers), bypass.cookie);
    return cookie !== null && this.#isSecret(cookie);
  }

  #isSecret(text: string): boolean {
    return timingSafeEqual(digestOf(text), this.#secret!);
  }

  #own(): Reply {
    const { bytes, type } = this.#page!;
    const headers = new HeaderBlock();
    headers.add("content-type", type);
    headers.add("cache-control", "no-store");
    const seconds = this.#retryAfter();
    if (seconds > 0) headers.add("retry-after", String(seconds));
    return { status: STATUS, headers, body: bytes };
  }
}

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest();

/** What says that pages of another origin may be told is not a matter of maintenance. */
const isPreflight = ({ request }: Exchange): boolean =>
  request.method === "OPTIONS" &&
  request.header("origin") !== null &&
  request.header("access-control-request-method") !== null;

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".htm": "text/html; charset=utf-8",
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
  ".xml": "application/xml",
};

function pageOf({ page, body, contentType }: MaintenanceConfig): { bytes: Buffer; type: string } | null {
  if (page !== undefined && body !== undefined)
    throw new CompileError("`page` and `body` exclude each other", ["body"]);
  if (page === undefined && body === undefined) {
    if (contentType !== undefined)
      throw new CompileError("there is no `page` or `body` that it is of", ["contentType"]);
    return null;
  }
  const type = contentType ?? TYPES[page === undefined ? ".txt" : extname(page).toLowerCase()] ?? "text/html";
  return { bytes: page === undefined ? Buffer.from(body ?? "") : within("page", () => read(page)), type };
}

function read(path: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new RangeError(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
  if (bytes.length > PAGE_BYTES_MAX) throw new RangeError(`${path} is longer than ${PAGE_BYTES_MAX} bytes`);
  return bytes;
}
