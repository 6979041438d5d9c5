// All that one transaction knows. Rules read and write it; nothing of it is made anew for a request.
import { Scan } from "../regex/scan.ts";
import type { EngineMode, Settings } from "../rules/settings.ts";
import type { Shape } from "../rules/shape.ts";
import type { Place as FilePlace } from "../seclang/error.ts";
import type { StoredEntries } from "./collections.ts";
import { COLUMN_COUNT, FIRST_RESPONSE_COLUMN, namedColumn } from "./columns.ts";
import type { Geo, Host } from "./host.ts";
import { Pair, PairGroup, type Touched } from "./pairs.ts";
import { Place } from "./place.ts";
import { TxValues } from "./tx-values.ts";
import { Column, View } from "./values.ts";

/** What a rule decided about the request. */
export interface Interruption {
  readonly action: "deny" | "drop" | "redirect";
  readonly status: number;
  /** Where a redirect leads to. */
  readonly url: string;
  readonly rule: number;
}

/** What is told of a rule. */
export interface RuleFacts {
  readonly id: number;
  readonly place: FilePlace;
  /** As they stand in the rules, variables not expanded. */
  readonly msg: { readonly text: string } | null;
  readonly logdata: { readonly text: string } | null;
  readonly tags: readonly string[];
  /** 0 emergency … 7 debug; -1 for none. */
  readonly severity: number;
  readonly rev: string;
  readonly ver: string;
}

/** One rule that matched. */
export interface Match {
  readonly rule: RuleFacts;
  readonly phase: number;
  /** The variable that matched first, and its value, cut to what a log can bear. */
  readonly variable: string;
  readonly value: string;
  readonly message: string;
  readonly data: string;
  /** How many values matched, and in which variables; of many, some. */
  readonly count: number;
  readonly variables: readonly string[];
  /** What the expression found in the value, cut as well; empty where the rule does not keep it (`capture`). */
  readonly matched: string;
  /** What the rule added to the score of the request, or of the answer. */
  readonly score: number;
  /** Whether the rule is only tried: it neither decides nor counts. */
  readonly dry: boolean;
}

/** Entries that a run-time change takes out of a rule's targets. */
export interface Exclusion {
  /** By the number of the rule, 1 where it is meant. */
  readonly rules: Uint8Array;
  /** In upper case. */
  readonly variable: string;
  /** In lower case; null for the whole variable. */
  readonly name: string | null;
  readonly regex: { test(input: string): boolean } | null;
}

export class State {
  readonly shape: Shape;
  readonly host: Host;
  readonly columns: Column[] = [];
  readonly pairs: Pair[] = [];
  readonly views: View[] = [];
  readonly groups: PairGroup[] = [];
  readonly tx: TxValues;
  /** Pairs of start and end, for @rx with `capture`: ten groups and the rest, as expressions have up to 99. */
  readonly captures = new Int32Array(200);

  readonly #touched: Touched = [];

  /** Where the rules go on after a step. */
  readonly place = new Place();
  /** A value that an expression is not through with. */
  readonly scan = new Scan();
  /** The operator that ran last gave up, so that it is not known whether the value matches. */
  gaveUp = false;
  /** One has given up since the request began, as MSC_PCRE_LIMITS_EXCEEDED says. */
  limitsExceeded = false;

  phase = 0;
  /** The rule that runs, the first one of its chain. */
  rule: RuleFacts | null = null;
  matchedPrefix = "";
  matchedKey = "";
  matchedValue = "";
  readonly allPrefixes: string[] = [];
  readonly allKeys: string[] = [];
  readonly allValues: string[] = [];

  engine: EngineMode = "on";
  settings: Settings;
  requestBodyAccess = false;
  requestBodyLimit = 0;
  forceRequestBody = false;
  /** URLENCODED, MULTIPART, JSON, XML, or empty. */
  bodyProcessor = "";
  responseBodyAccess = false;
  responseBodyLimit = 0;
  auditEngine: Settings["auditEngine"] = "relevant";
  auditParts = "";
  /** Whether a rule with `auditlog` matched. */
  toAudit = false;

  interruption: Interruption | null = null;
  /** What would have been decided, where the engine only detects. */
  detected: Interruption | null = null;
  /** `allow`: 0 none, 1 this phase, 2 the phases of the request, 3 all. */
  allowed = 0;
  /** Where to go on in the program of the phase; -1 for the next rule. */
  jump = -1;
  readonly matches: Match[] = [];
  /** The most severe of all matches; 255 for none. */
  highestSeverity = 255;
  /** Scores of all rules that matched, those that are only tried among them. */
  inboundScore = 0;
  outboundScore = 0;
  /** What the rule that added last has added. */
  scored = 0;
  scoredBy: RuleFacts | null = null;
  startedMs = 0;

  /** By the number of the rule: 1 when it was removed for this transaction. */
  readonly removed: Uint8Array;
  anyRemoved = false;
  readonly exclusions: Exclusion[] = [];
  readonly stored = new Map<string, StoredEntries>();
  sessionId = "";
  userId = "";
  webAppId = "";
  geo: Geo | null = null;
  readonly env = new Map<string, string>();

  constructor(shape: Shape, host: Host) {
    this.shape = shape;
    this.host = host;
    this.settings = shape.settings;
    this.tx = new TxValues(shape.txNames);
    this.removed = new Uint8Array(shape.ruleCount);
    for (let id = 0; id < COLUMN_COUNT; id += 1) {
      const named = namedColumn(id);
      this.columns.push(new Column(shape.atoms[id] ?? null, named < 0 ? null : this.columns[named]!));
    }
    for (const spec of shape.views) this.views.push(new View(spec, this.columns[spec.column]!));
    for (const spec of shape.pairs) {
      const parent = spec.parent < 0 ? null : this.pairs[spec.parent]!;
      const column = this.columns[spec.column]!;
      const values = spec.column < FIRST_RESPONSE_COLUMN ? shape.requestValues : shape.responseValues;
      this.pairs.push(new Pair(column, parent, spec.step, values, this.#touched));
    }
    for (const group of shape.groups) this.groups.push(new PairGroup(group.map((pair) => this.pairs[pair]!)));
    this.reset();
  }

  /** Takes the settings of the rules again and forgets the last request. */
  reset(): void {
    const { settings } = this.shape;
    for (let id = 0; id < this.columns.length; id += 1) {
      const column = this.columns[id]!;
      // The column of names shares its keys with the other one, which may have been cleared just now.
      if (column.keys.length > 0 || column.atoms.length > 0 || namedColumn(id) >= 0) column.clear();
    }
    for (let at = 0; at < this.#touched.length; at += 1) this.#touched[at]!.clear();
    this.#touched.length = 0;
    for (let at = 0; at < this.groups.length; at += 1) this.groups[at]!.clear();
    this.tx.clear();
    this.place.begin();
    this.scan.clear();
    this.limitsExceeded = false;
    this.phase = 0;
    this.rule = null;
    this.matchedPrefix = "";
    this.matchedKey = "";
    this.matchedValue = "";
    this.forgetMatched();
    this.settings = settings;
    this.engine = settings.engine;
    this.requestBodyAccess = settings.requestBodyAccess;
    this.requestBodyLimit = settings.requestBodyLimit;
    this.forceRequestBody = false;
    this.bodyProcessor = "";
    this.responseBodyAccess = settings.responseBodyAccess;
    this.responseBodyLimit = settings.responseBodyLimit;
    this.auditEngine = settings.auditEngine;
    this.auditParts = settings.auditParts;
    this.toAudit = false;
    this.interruption = null;
    this.detected = null;
    this.allowed = 0;
    this.jump = -1;
    this.matches.length = 0;
    this.highestSeverity = 255;
    this.inboundScore = 0;
    this.outboundScore = 0;
    this.scored = 0;
    this.scoredBy = null;
    if (this.anyRemoved) this.removed.fill(0);
    this.anyRemoved = false;
    this.exclusions.length = 0;
    if (this.stored.size > 0) this.stored.clear();
    this.sessionId = "";
    this.userId = "";
    this.webAppId = settings.webAppId;
    this.geo = null;
    if (this.env.size > 0) this.env.clear();
  }

  /** An expression took too many steps: rules are told, as ModSecurity tells them. */
  giveUp(): void {
    this.gaveUp = true;
    this.limitsExceeded = true;
    this.tx.set("msc_pcre_error", "1");
    this.tx.set("msc_pcre_limits_exceeded", "1");
  }

  forgetMatched(): void {
    if (this.allValues.length === 0) return;
    this.allPrefixes.length = 0;
    this.allKeys.length = 0;
    this.allValues.length = 0;
  }

  /** Notes that a value matched. */
  matched(prefix: string, key: string, value: string): void {
    this.matchedPrefix = prefix;
    this.matchedKey = key;
    this.matchedValue = value;
    this.allPrefixes.push(prefix);
    this.allKeys.push(key);
    this.allValues.push(value);
  }

  /** Notes what the rule that runs adds to a score. */
  addScore(points: number, outbound: boolean): void {
    if (outbound) this.outboundScore += points;
    else this.inboundScore += points;
    if (this.scoredBy !== this.rule) this.scored = 0;
    this.scoredBy = this.rule;
    this.scored += points;
  }

  /** `ARGS:name` of the last match. */
  matchedName(): string {
    return fullName(this.matchedPrefix, this.matchedKey);
  }
}

/** The name of an entry as rules see it: `ARGS:a`, or the variable alone. */
export const fullName = (prefix: string, key: string): string => (key === "" ? prefix : `${prefix}:${key}`);
