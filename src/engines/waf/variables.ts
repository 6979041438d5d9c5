// The variables of SecLang: which columns they are, or how they are read while rules run.
import { COLUMN, type ColumnName } from "./transaction/columns.ts";
import { fullName, type State } from "./transaction/state.ts";

/** Where the entries of a variable go that is read while a rule runs. */
export class Found {
  readonly keys: string[] = [];
  readonly values: string[] = [];

  add(key: string, value: string): void {
    this.keys.push(key);
    this.values.push(value);
  }

  addAll(entries: ReadonlyMap<string, string>): void {
    for (const [key, value] of entries) this.add(key, value);
  }

  clear(): void {
    this.keys.length = 0;
    this.values.length = 0;
  }
}

type Reader = (state: State, found: Found) => void;

export type Variable =
  | { readonly kind: "columns"; readonly columns: readonly number[] }
  /** `stored` collections have entries that expire and are set by rules. */
  | { readonly kind: "live"; readonly read: Reader }
  | { readonly kind: "refused"; readonly why: string };

const columns = (...names: ColumnName[]): Variable => ({ kind: "columns", columns: names.map((name) => COLUMN[name]) });
const one = (read: (state: State) => string): Variable => ({
  kind: "live",
  read: (state, found) => found.add("", read(state)),
});
const refused = (why: string): Variable => ({ kind: "refused", why });

const local = (state: State): Date => new Date(state.host.now());
const two = (value: number): string => String(value).padStart(2, "0");

/** What the last of a chain's first rule says: RULE:id and the like. */
const readRule: Reader = (state, found) => {
  const { rule } = state;
  if (rule === null) return;
  found.add("id", String(rule.id));
  found.add("msg", rule.msg === null ? "" : rule.msg.text);
  found.add("logdata", rule.logdata === null ? "" : rule.logdata.text);
  if (rule.severity >= 0) found.add("severity", String(rule.severity));
  if (rule.rev !== "") found.add("rev", rule.rev);
  if (rule.ver !== "") found.add("ver", rule.ver);
};

const stored =
  (collection: string): Reader =>
  (state, found) => {
    const entries = state.stored.get(collection);
    if (entries === undefined) return;
    entries.each(state.host.now(), (name, value) => found.add(name, value));
  };

const readMatched =
  (names: boolean): Reader =>
  (state, found) => {
    for (let at = 0; at < state.allValues.length; at += 1) {
      const name = fullName(state.allPrefixes[at]!, state.allKeys[at]!);
      found.add(name, names ? name : state.allValues[at]!);
    }
  };

function fullRequest(state: State): string {
  const head: string[] = [state.columns[COLUMN.REQUEST_LINE]!.values[0] ?? ""];
  const headers = state.columns[COLUMN.REQUEST_HEADERS]!;
  for (let at = 0; at < headers.keys.length; at += 1) head.push(`${headers.keys[at]}: ${headers.values[at]}`);
  return `${head.join("\n")}\n\n${state.columns[COLUMN.REQUEST_BODY]!.values[0] ?? ""}`;
}

const NO_SCRIPT = "a proxy runs no scripts; leave this variable out";

const VARIABLES: Readonly<Record<string, Variable>> = {
  ARGS: columns("ARGS_GET", "ARGS_POST"),
  ARGS_NAMES: columns("ARGS_GET_NAMES", "ARGS_POST_NAMES"),
  // Two columns under names that say what they hold; rules reach them as XML:/* and XML://@*.
  XML: columns("XML_TEXT", "XML_ATTRIBUTES"),
  DURATION: one((state) => String(Math.max(0, Math.round(state.host.now() - state.startedMs)))),
  ENV: { kind: "live", read: (state, found) => found.addAll(state.env) },
  FULL_REQUEST: one(fullRequest),
  FULL_REQUEST_LENGTH: one((state) => String(fullRequest(state).length)),
  GEO: {
    kind: "live",
    read: (state, found) => {
      for (const [name, value] of Object.entries(state.geo ?? {})) found.add(name, value);
    },
  },
  GLOBAL: { kind: "live", read: stored("global") },
  HIGHEST_SEVERITY: one((state) => String(state.highestSeverity)),
  IP: { kind: "live", read: stored("ip") },
  MATCHED_VAR: one((state) => state.matchedValue),
  MATCHED_VARS: { kind: "live", read: readMatched(false) },
  MATCHED_VARS_NAMES: { kind: "live", read: readMatched(true) },
  MATCHED_VAR_NAME: one((state) => state.matchedName()),
  MODSEC_BUILD: one(() => "030000000"),
  MSC_PCRE_ERROR: one((state) => (state.limitsExceeded ? "1" : "0")),
  MSC_PCRE_LIMITS_EXCEEDED: one((state) => (state.limitsExceeded ? "1" : "0")),
  REQBODY_PROCESSOR: one((state) => state.bodyProcessor),
  RESOURCE: { kind: "live", read: stored("resource") },
  RULE: { kind: "live", read: readRule },
  SCRIPT_BASENAME: refused(NO_SCRIPT),
  SCRIPT_FILENAME: refused(NO_SCRIPT),
  SCRIPT_GID: refused(NO_SCRIPT),
  SCRIPT_GROUPNAME: refused(NO_SCRIPT),
  SCRIPT_MODE: refused(NO_SCRIPT),
  SCRIPT_UID: refused(NO_SCRIPT),
  SCRIPT_USERNAME: refused(NO_SCRIPT),
  SDBM_DELETE_ERROR: one(() => "0"),
  SESSION: { kind: "live", read: stored("session") },
  SESSIONID: one((state) => state.sessionId),
  STREAM_INPUT_BODY: columns("REQUEST_BODY"),
  STREAM_OUTPUT_BODY: columns("RESPONSE_BODY"),
  TIME: one((state) => {
    const date = local(state);
    return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  }),
  TIME_DAY: one((state) => String(local(state).getDate())),
  TIME_EPOCH: one((state) => String(Math.floor(state.host.now() / 1000))),
  TIME_HOUR: one((state) => String(local(state).getHours())),
  TIME_MIN: one((state) => String(local(state).getMinutes())),
  TIME_MON: one((state) => String(local(state).getMonth() + 1)),
  TIME_SEC: one((state) => String(local(state).getSeconds())),
  TIME_WDAY: one((state) => String(local(state).getDay())),
  TIME_YEAR: one((state) => String(local(state).getFullYear())),
  TX: { kind: "live", read: (state, found) => state.tx.addTo(found) },
  USER: { kind: "live", read: stored("user") },
  USERID: one((state) => state.userId),
  WEBAPPID: one((state) => state.webAppId),
  WEBSERVER_ERROR_LOG: refused("a proxy has no error log of a web server; leave this variable out"),
};

/** What a name of a variable (in upper case) stands for; null when there is no such variable. */
export function variableOf(name: string): Variable | null {
  const known = VARIABLES[name];
  if (known !== undefined) return known;
  if (!Object.hasOwn(COLUMN, name) || name === "XML_TEXT" || name === "XML_ATTRIBUTES") return null;
  return { kind: "columns", columns: [COLUMN[name as ColumnName]] };
}

/** Collections that rules may change with `setvar`, besides TX. */
export const STORED_COLLECTIONS: readonly string[] = ["ip", "session", "user", "global", "resource"];
