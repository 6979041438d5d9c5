// Which rules a configuration asks for, and where they stand.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { CompileError } from "../../config/compile-error.ts";
import type { WafConfig } from "../../config/schema-waf.ts";
import { compileRules, type RuleSet, SecLangError, targetProblem } from "../../engines/waf/index.ts";
import { STARTER_RULES } from "./starter-rules.ts";

interface Source {
  readonly file: string;
  readonly text: string;
}

/** Where Debian has the settings of its package, which lie apart from the rules. */
const DEBIAN_SETUP = "/etc/modsecurity/crs/crs-setup.conf";

/** Rules are bytes, as everything that they are compared with. */
const read = (file: string): Source => ({ file, text: readFileSync(file, "latin1") });

// Compiling the Core Rule Set takes most of a second: routes with the same settings share it, and a reload that changes
// nothing of it takes it over. A few sets at a time are what configurations have.
const KEPT_MAX = 8;
const kept = new Map<string, Loaded>();

interface Loaded {
  readonly rules: RuleSet;
  /** What was read while they were compiled: included files and lists of words, with their text, null where missing. */
  readonly read: ReadonlyMap<string, string | null>;
}

/** Compiles what the configuration names. Throws RangeError with what is wrong and where, or CompileError. */
export function loadRules(config: WafConfig): RuleSet {
  const sources = sourcesOf(config);
  const key = createHash("sha256")
    .update(JSON.stringify([config, sources]))
    .digest("hex");
  const known = kept.get(key);
  if (known !== undefined && isSame(known.read)) return known.rules;
  const read = new Map<string, string | null>();
  try {
    const rules = compileRules(sources, {
      settings: {
        requestBodyLimit: config.body,
        requestBodyNoFilesLimit: config.body,
        requestBodyLimitAction: "process-partial",
        responseBodyAccess: config.responses,
        auditParts: "ABFHZ",
      },
      dry: config.dryRun?.rules ?? [],
      include: (pattern, from) => included(resolve(dirname(from), pattern), read),
      data: (name, from) => textOf(resolve(dirname(from), name), read),
    });
    if (kept.size >= KEPT_MAX) kept.clear();
    kept.set(key, { rules, read });
    return rules;
  } catch (error) {
    throw error instanceof SecLangError ? configError(error) : error;
  }
}

/** What an entry of `exclude` is to blame for is said of it. */
function configError({ message, place }: SecLangError): RangeError | CompileError {
  const entry = ENTRY.exec(place.file);
  if (entry === null) return new RangeError(message);
  return new CompileError(message.slice(message.indexOf(": ") + 2), ["exclude", Number(entry[1])]);
}

const ENTRY = /^exclude\[(\d+)\]$/;

/**
 * What there is to remark on the rules of a configuration, each with the keys that are to blame. Rules that others have
 * written, and that are as they were delivered, are left alone.
 */
export function ruleWarnings(config: WafConfig): { path: (string | number)[]; message: string }[] {
  const { crs } = config;
  const own = loadRules(config).warnings.filter((text) => crs === undefined || !text.startsWith(crs));
  return own.map((text) => {
    const entry = /^(exclude|dryRun\.rules)\[(\d+)\]:1:1: (?:Sec\w+ )?(.*)$/.exec(text);
    if (entry === null) return { path: [], message: text };
    return { path: [...entry[1]!.split("."), Number(entry[2])], message: entry[3]! };
  });
}

const isSame = (read: ReadonlyMap<string, string | null>): boolean =>
  [...read].every(([file, text]) => readText(file) === text);

const readText = (file: string): string | null =>
  existsSync(file) && statSync(file).isFile() ? readFileSync(file, "latin1") : null;

function textOf(file: string, read: Map<string, string | null>): string | null {
  const known = read.get(file);
  if (known !== undefined) return known;
  const text = readText(file);
  read.set(file, text);
  return text;
}

function sourcesOf(config: WafConfig): Source[] {
  const own = [config.rules].flat();
  const starter = config.crs === undefined && own.length === 0;
  return [
    ...(config.crs === undefined ? [] : setupOf(config.crs)),
    { file: "settings of the route", text: settingsOf(config) },
    ...own.map(readNamed),
    ...(config.crs === undefined ? [] : rulesOf(config.crs)),
    ...(starter ? [{ file: "starter rules", text: STARTER_RULES }] : []),
    { file: "settings of the route", text: lastWord(config) },
    ...config.exclude.map((each, at) => ({ file: `exclude[${at}]`, text: exclusionOf(each, at) })),
  ];
}

function readNamed(file: string): Source {
  if (!existsSync(file)) throw new RangeError(`there is no file ${file}: correct the path in \`rules\``);
  return read(file);
}

/** The folder of a release has its rules in `rules`; that folder itself may be named as well. */
function rulesOf(folder: string): Source[] {
  const inner = join(folder, "rules");
  const place = existsSync(inner) ? inner : folder;
  const names = existsSync(place) ? readdirSync(place).filter((name) => name.endsWith(".conf")) : [];
  if (names.length === 0) throw new RangeError(`there are no rules in ${folder}: name the folder of a Core Rule Set`);
  return names.sort().map((name) => read(join(place, name)));
}

/** The settings that come with the rules, changed by the operator or as they were delivered. */
function setupOf(folder: string): Source[] {
  const parent = basename(folder) === "rules" ? dirname(folder) : folder;
  const places = [join(parent, "crs-setup.conf"), DEBIAN_SETUP, join(parent, "crs-setup.conf.example")];
  // Debian's settings belong to Debian's rules alone: those of another version set other names.
  const found = places.find((file) => existsSync(file) && (file !== DEBIAN_SETUP || parent.startsWith("/usr/share/")));
  return found === undefined ? [] : [read(found)];
}

// Ids from 990,000 on are not given out by the registry of rule ids; the starter rules have them too.
function settingsOf({ paranoia, threshold, dryRun }: WafConfig): string {
  // What runs, beside what counts: version 4 calls it detection, version 3 executing.
  const run = Math.max(paranoia, dryRun?.paranoia ?? paranoia);
  const names: readonly (readonly [string, number])[] = [
    ["tx.blocking_paranoia_level", paranoia],
    ["tx.detection_paranoia_level", run],
    ["tx.paranoia_level", paranoia],
    ["tx.executing_paranoia_level", run],
    ["tx.inbound_anomaly_score_threshold", threshold],
    ["tx.threshold", threshold],
  ];
  const set = names.map(([name, value]) => `setvar:${name}=${value}`).join(",");
  return `SecAction "id:990001,phase:1,pass,nolog,${set}"
${BASICS}`;
}

/**
 * Without a file of settings, versions 3 and 4 refuse all requests until tx.crs_setup_version is there, and version 3
 * knows nothing of HTTP/3. What the rules cannot see as it is must not get past them: bodies that cannot be read, forms
 * that can be read in two ways, two types of one body, arguments behind the limit of a body (files may be longer), and
 * arguments and cookies beyond the limit (1000), which are not compared. ModSecurity's recommended settings are alike.
 */
const BASICS = String.raw`
SecRule &TX:crs_setup_version "@eq 0" "id:990002,phase:1,pass,nolog,setvar:tx.crs_setup_version=400"
SecRule &TX:allowed_http_versions "@eq 0" \
  "id:990008,phase:1,pass,nolog,setvar:'tx.allowed_http_versions=HTTP/1.0 HTTP/1.1 HTTP/2 HTTP/2.0 HTTP/3 HTTP/3.0'"
SecRule REQBODY_ERROR "!@eq 0" \
  "id:990003,phase:2,deny,t:none,severity:CRITICAL,msg:'The body cannot be read: %{REQBODY_ERROR_MSG}'"
SecRule MULTIPART_STRICT_ERROR "@eq 1" \
  "id:990004,phase:2,deny,t:none,severity:CRITICAL,msg:'The form can be read in two ways'"
SecRule &ARGS "@ge 1000" "id:990005,phase:2,deny,t:none,severity:CRITICAL,msg:'More arguments than are compared'"
SecRule &REQUEST_HEADERS:Content-Type "@gt 1" \
  "id:990009,phase:1,deny,t:none,severity:CRITICAL,msg:'More than one Content-Type'"
SecRule INBOUND_DATA_ERROR "@eq 1" \
  "id:990010,phase:2,deny,status:413,t:none,severity:CRITICAL,msg:'The body is longer than what is compared',chain"
  SecRule REQBODY_PROCESSOR "@rx ^(?:URLENCODED|JSON|XML)$" "t:none"
SecRule TX:form_too_long "@eq 1" \
  "id:990011,phase:2,deny,status:413,t:none,severity:CRITICAL,msg:'The fields of the form are longer than what is compared'"
SecRule &REQUEST_COOKIES "@ge 1000" "id:990006,phase:1,deny,t:none,severity:CRITICAL,msg:'More cookies than are compared'"
`;

/** As ModSecurity's recommended settings have it: nobody knows what a value is that took an expression too long. */
const LAST = String.raw`
SecRule TX:MSC_PCRE_LIMITS_EXCEEDED "@eq 1" \
  "id:990007,phase:2,deny,t:none,severity:CRITICAL,msg:'An expression took too many steps'"
`;

/** What the configuration says holds, whatever the files say. */
function lastWord({ mode, audit }: WafConfig): string {
  const lines = [`SecRuleEngine ${mode === "block" ? "On" : "DetectionOnly"}`, "SecRequestBodyAccess On"];
  if (audit?.parts !== undefined) lines.push(`SecAuditLogParts ${audit.parts}`);
  if (audit?.only !== undefined) lines.push(`SecAuditEngine ${audit.only === "all" ? "On" : "RelevantOnly"}`);
  return `${lines.join("\n")}\n${LAST}`;
}

/** The directive of an exclusion. A target that is none is an error of the configuration. */
function exclusionOf(exclusion: WafConfig["exclude"][number], at: number): string {
  if (typeof exclusion !== "object") return `SecRuleRemoveById ${exclusion}`;
  const { rule, tag, target } = exclusion;
  const [kind, rules] = tag === undefined ? ["ById", `${rule}`] : ["ByTag", `"^${tag.replaceAll(/[.+]/g, "\\$&")}$"`];
  if (target === undefined) return `SecRuleRemove${kind} ${rules}`;
  const problem = targetProblem(target);
  if (problem !== null) throw new CompileError(problem, ["exclude", at, "target"]);
  return `SecRuleUpdateTarget${kind} ${rules} "!${target}"`;
}

/** The files of a path whose last part may have asterisks; null for none. */
function included(path: string, read: Map<string, string | null>): Source[] | null {
  const name = basename(path);
  const folder = dirname(path);
  const parts = name.split("*");
  const names = parts.length === 1 ? [name] : existsSync(folder) ? readdirSync(folder) : [];
  const sources: Source[] = [];
  for (const each of names.filter((one) => fits(one, parts)).sort()) {
    const file = join(folder, each);
    const text = textOf(file, read);
    if (text !== null) sources.push({ file, text });
  }
  return sources.length === 0 ? null : sources;
}

function fits(name: string, parts: readonly string[]): boolean {
  if (parts.length === 1) return name === parts[0];
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - last.length;
}
