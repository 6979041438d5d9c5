// The actions of one rule, read and put in order, before they are compiled.
import { SecLangError } from "../seclang/error.ts";
import type { ActionSyntax } from "../seclang/syntax.ts";

/** What the actions of a rule say. Texts are not yet compiled. */
export interface Draft {
  id: number;
  phase: number;
  chain: boolean;
  /** `block` and, for rules without any, the default of the phase are put in by the compiler. */
  disruption: "none" | "pass" | "deny" | "drop" | "redirect" | "block" | "allow" | "allow-phase" | "allow-request";
  redirect: string;
  status: number;
  log: boolean | null;
  auditLog: boolean | null;
  capture: boolean;
  multiMatch: boolean;
  /** From the last `t:none` on. */
  transformations: ActionSyntax[];
  /** Whether there was a `t:none`, so that those of SecDefaultAction do not hold. */
  ownTransformations: boolean;
  setVars: ActionSyntax[];
  /** ctl, initcol, expirevar and the like, in order. */
  others: ActionSyntax[];
  skip: number;
  skipAfter: string;
  msg: string;
  logdata: string;
  tags: string[];
  severity: number;
  rev: string;
  ver: string;
}

const PHASES: Readonly<Record<string, number>> = { request: 2, response: 4, logging: 5 };
const SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

const ALLOW: Readonly<Record<string, Draft["disruption"]>> = {
  "": "allow",
  phase: "allow-phase",
  request: "allow-request",
};

type Reader = (draft: Draft, value: string, action: ActionSyntax) => void;

const disruption =
  (name: Draft["disruption"]): Reader =>
  (draft) => {
    draft.disruption = name;
  };
const other: Reader = (draft, _value, action) => draft.others.push(action);

function numberOf(value: string, action: ActionSyntax, from: number, to: number): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : -1;
  if (number < from || number > to) {
    throw new SecLangError(action.place, `${action.name} needs a number from ${from} to ${to}`);
  }
  return number;
}

function severityOf(value: string, action: ActionSyntax): number {
  if (/^[0-7]$/.test(value)) return Number(value);
  const at = SEVERITIES.indexOf(value.toLowerCase());
  if (at < 0) throw new SecLangError(action.place, `severity needs one of ${SEVERITIES.join(", ")}, or 0 to 7`);
  return at;
}

const refused =
  (why: string): Reader =>
  (_draft, _value, action) => {
    throw new SecLangError(action.place, `the action ${action.name} is not supported: ${why}`);
  };

const NO_PROGRAMS = "no programs are run; use a plugin of the proxy";
const NO_CHANGES = "answers are not changed by rules; use a filter of the proxy";

const READERS: Readonly<Record<string, Reader>> = {
  id: (draft, value, action) => {
    draft.id = numberOf(value, action, 1, 999_999_999);
  },
  phase: (draft, value, action) => {
    draft.phase = PHASES[value.toLowerCase()] ?? numberOf(value, action, 1, 5);
  },
  chain: (draft) => {
    draft.chain = true;
  },
  pass: disruption("pass"),
  deny: disruption("deny"),
  drop: disruption("drop"),
  block: disruption("block"),
  allow: (draft, value, action) => {
    const kind = ALLOW[value.toLowerCase()];
    if (kind === undefined) throw new SecLangError(action.place, "allow takes phase, request, or nothing");
    draft.disruption = kind;
  },
  redirect: (draft, value) => {
    draft.disruption = "redirect";
    draft.redirect = value;
  },
  status: (draft, value, action) => {
    draft.status = numberOf(value, action, 200, 599);
  },
  log: (draft) => {
    draft.log = true;
  },
  nolog: (draft) => {
    draft.log = false;
    draft.auditLog ??= false;
  },
  auditlog: (draft) => {
    draft.auditLog = true;
  },
  noauditlog: (draft) => {
    draft.auditLog = false;
  },
  capture: (draft) => {
    draft.capture = true;
  },
  multimatch: (draft) => {
    draft.multiMatch = true;
  },
  t: (draft, value, action) => {
    if (value.toLowerCase() === "none") {
      draft.transformations = [];
      draft.ownTransformations = true;
    } else draft.transformations.push(action);
  },
  setvar: (draft, _value, action) => draft.setVars.push(action),
  ctl: other,
  initcol: other,
  setsid: other,
  setuid: other,
  setrsc: other,
  setenv: other,
  expirevar: other,
  skip: (draft, value, action) => {
    draft.skip = numberOf(value, action, 1, 999_999_999);
  },
  skipafter: (draft, value) => {
    draft.skipAfter = value;
  },
  msg: (draft, value) => {
    draft.msg = value;
  },
  logdata: (draft, value) => {
    draft.logdata = value;
  },
  tag: (draft, value) => draft.tags.push(value),
  severity: (draft, value, action) => {
    draft.severity = severityOf(value, action);
  },
  rev: (draft, value) => {
    draft.rev = value;
  },
  ver: (draft, value) => {
    draft.ver = value;
  },
  // What their authors think of them.
  maturity: () => {},
  accuracy: () => {},
  // How an XML document's prefixes are named: the two selectors that exist do not look at names.
  xmlns: () => {},
  append: refused(NO_CHANGES),
  prepend: refused(NO_CHANGES),
  deprecatevar: refused("use expirevar, or subtract with setvar"),
  exec: refused(NO_PROGRAMS),
  pause: refused("a request is never held up on purpose; use a rate limit"),
  proxy: refused("use the routes of the proxy"),
  sanitisearg: refused("name what the audit log leaves out in its configuration"),
  sanitisematched: refused("name what the audit log leaves out in its configuration"),
  sanitisematchedbytes: refused("name what the audit log leaves out in its configuration"),
  sanitiserequestheader: refused("name what the audit log leaves out in its configuration"),
  sanitiseresponseheader: refused("name what the audit log leaves out in its configuration"),
};

/** Puts the actions of a rule in order. Throws SecLangError for one that does not exist, or a value that is no good. */
export function draftOf(actions: readonly ActionSyntax[]): Draft {
  const draft: Draft = {
    ...{ id: 0, phase: 0, chain: false, disruption: "none" as const, redirect: "", status: 0 },
    ...{ log: null, auditLog: null, capture: false, multiMatch: false },
    ...{ transformations: [], ownTransformations: false, setVars: [], others: [], skip: 0, skipAfter: "" },
    ...{ msg: "", logdata: "", tags: [], severity: -1, rev: "", ver: "" },
  };
  for (const action of actions) {
    const read = Object.hasOwn(READERS, action.name) ? READERS[action.name]! : null;
    if (read === null) throw new SecLangError(action.place, `there is no action ${action.name}; correct its name`);
    read(draft, action.value, action);
  }
  return draft;
}

/** Actions of which a rule may have several; of all others the last one counts. */
const SEVERAL = new Set(["t", "setvar", "ctl", "initcol", "setenv", "expirevar", "tag"]);
const DISRUPTIVE = new Set(["pass", "deny", "drop", "block", "allow", "redirect"]);

/** The actions of a rule after SecRuleUpdateActionById. A rule keeps its id, and its place in a chain. */
export function updatedActions(old: readonly ActionSyntax[], change: readonly ActionSyntax[]): ActionSyntax[] {
  const wanted = change.filter(({ name }) => name !== "id" && name !== "chain" && name !== "phase");
  const names = new Set(wanted.map(({ name }) => name));
  const disruptive = wanted.some(({ name }) => DISRUPTIVE.has(name));
  const kept = old.filter(({ name }) => {
    if (DISRUPTIVE.has(name) && disruptive) return false;
    return SEVERAL.has(name) || !names.has(name);
  });
  return [...kept, ...wanted];
}
