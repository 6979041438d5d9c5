// What directives set for all transactions of a rule set.

export type EngineMode = "on" | "off" | "detect";

/** How much of a body is inspected; what lies beyond is let through, or the request refused. */
type LimitAction = "reject" | "process-partial";

export interface Settings {
  engine: EngineMode;
  requestBodyAccess: boolean;
  /** Bytes of a request body that are inspected. */
  requestBodyLimit: number;
  /** Bytes of a request body without its files. */
  requestBodyNoFilesLimit: number;
  requestBodyLimitAction: LimitAction;
  /** Levels of nesting in JSON and XML. */
  depthLimit: number;
  /** Arguments of a request; more than these are an error of the body, or left out of the query. */
  argumentsLimit: number;
  argumentSeparator: string;
  uploadFileLimit: number;
  responseBodyAccess: boolean;
  responseBodyLimit: number;
  responseBodyLimitAction: LimitAction;
  /** In lower case, without parameters; `*` is any type. */
  responseTypes: readonly string[];
  parseXmlIntoArgs: boolean;
  auditEngine: "on" | "off" | "relevant";
  auditParts: string;
  auditStatus: RegExp | null;
  webAppId: string;
  /** Seconds without a change after which an entry of a persistent collection is forgotten. */
  collectionTimeout: number;
  components: readonly string[];
}

/**
 * Defaults are those of ModSecurity where it has some. Depth: 512 levels are far beyond real documents, and the
 * parsers do not recurse. Bodies: 128 KB are what the recommended configuration asks for without files, and what the
 * rules can go through in a few milliseconds.
 */
export const DEFAULT_SETTINGS: Readonly<Settings> = {
  engine: "on",
  requestBodyAccess: true,
  requestBodyLimit: 131_072,
  requestBodyNoFilesLimit: 131_072,
  requestBodyLimitAction: "reject",
  depthLimit: 512,
  argumentsLimit: 1000,
  argumentSeparator: "&",
  uploadFileLimit: 100,
  responseBodyAccess: false,
  responseBodyLimit: 524_288,
  responseBodyLimitAction: "process-partial",
  responseTypes: ["text/plain", "text/html", "text/xml"],
  parseXmlIntoArgs: false,
  auditEngine: "relevant",
  auditParts: "ABIJDEFHZ",
  auditStatus: null,
  webAppId: "default",
  collectionTimeout: 3600,
  components: [],
};

const ENGINE: Readonly<Record<string, EngineMode>> = { on: "on", off: "off", detectiononly: "detect" };
const LIMIT: Readonly<Record<string, LimitAction>> = { reject: "reject", processpartial: "process-partial" };
const SWITCH: Readonly<Record<string, boolean>> = { on: true, off: false };
const AUDIT: Readonly<Record<string, Settings["auditEngine"]>> = { on: "on", off: "off", relevantonly: "relevant" };

export const engineMode = (word: string): EngineMode | undefined => ENGINE[word.toLowerCase()];
export const onOff = (word: string): boolean | undefined => SWITCH[word.toLowerCase()];
export const auditMode = (word: string): Settings["auditEngine"] | undefined => AUDIT[word.toLowerCase()];

const choices = (table: Readonly<Record<string, unknown>>): string => `one of ${Object.keys(table).join(", ")}`;

/** Sets what the directive says; the answer is what was expected where its words are no good, else null. */
export function applySetting(settings: Settings, name: string, words: readonly string[]): string | null {
  const word = words[0] ?? "";
  switch (name) {
    case "SecRuleEngine":
      return set(settings, "engine", engineMode(word), choices(ENGINE));
    case "SecRequestBodyAccess":
      return set(settings, "requestBodyAccess", onOff(word), choices(SWITCH));
    case "SecResponseBodyAccess":
      return set(settings, "responseBodyAccess", onOff(word), choices(SWITCH));
    case "SecParseXmlIntoArgs":
      return set(settings, "parseXmlIntoArgs", word.toLowerCase() === "onlyargs" || onOff(word), choices(SWITCH));
    case "SecRequestBodyLimit":
      return set(settings, "requestBodyLimit", whole(word), "a number of bytes");
    case "SecRequestBodyNoFilesLimit":
      return set(settings, "requestBodyNoFilesLimit", whole(word), "a number of bytes");
    case "SecResponseBodyLimit":
      return set(settings, "responseBodyLimit", whole(word), "a number of bytes");
    case "SecRequestBodyJsonDepthLimit":
      return set(settings, "depthLimit", whole(word), "a number");
    case "SecArgumentsLimit":
      return set(settings, "argumentsLimit", whole(word), "a number");
    case "SecUploadFileLimit":
      return set(settings, "uploadFileLimit", whole(word), "a number");
    case "SecCollectionTimeout":
      return set(settings, "collectionTimeout", whole(word), "a number of seconds");
    case "SecRequestBodyLimitAction":
      return set(settings, "requestBodyLimitAction", LIMIT[word.toLowerCase()], choices(LIMIT));
    case "SecResponseBodyLimitAction":
      return set(settings, "responseBodyLimitAction", LIMIT[word.toLowerCase()], choices(LIMIT));
    case "SecAuditEngine":
      return set(settings, "auditEngine", auditMode(word), choices(AUDIT));
    default:
      return applyText(settings, name, words);
  }
}

function applyText(settings: Settings, name: string, words: readonly string[]): string | null {
  const word = words[0] ?? "";
  switch (name) {
    case "SecArgumentSeparator":
      return set(settings, "argumentSeparator", word.length === 1 ? word : undefined, "one character");
    case "SecAuditLogParts":
      return set(settings, "auditParts", /^[A-Z]+$/.test(word) ? word : undefined, "letters of parts, as ABIJDEFHZ");
    case "SecAuditLogRelevantStatus":
      return set(settings, "auditStatus", regExp(word), "a regular expression");
    case "SecWebAppId":
      return set(settings, "webAppId", word === "" ? undefined : word, "a name");
    case "SecCookieFormat":
      return word === "0" ? null : "0, because cookies of version 1 are not in use (RFC 6265)";
    case "SecComponentSignature":
      settings.components = [...settings.components, word];
      return null;
    case "SecResponseBodyMimeType":
      settings.responseTypes = words.map((type) => type.toLowerCase());
      return words.length > 0 ? null : "at least one media type";
    case "SecResponseBodyMimeTypesClear":
      settings.responseTypes = [];
      return null;
    default:
      throw new Error(`no setting for ${name}`);
  }
}

function set<K extends keyof Settings>(
  settings: Settings,
  key: K,
  value: Settings[K] | undefined,
  expected: string,
): string | null {
  if (value === undefined) return expected;
  settings[key] = value;
  return null;
}

const whole = (word: string): number | undefined => (/^\d{1,15}$/.test(word) ? Number(word) : undefined);

/** Of a status with three digits, written by the operator: no hostile input meets this expression. */
function regExp(word: string): RegExp | undefined {
  try {
    return new RegExp(word);
  } catch {
    return undefined;
  }
}
