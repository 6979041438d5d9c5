// ctl: what a rule changes for the rest of its transaction.
import { compileRegex, RegexError } from "../regex/regex.ts";
import { type Place, SecLangError } from "../seclang/error.ts";
import { parseTargets } from "../seclang/targets.ts";
import type { State } from "../transaction/state.ts";
import type { Action } from "./actions.ts";
import type { RuleIndex } from "./rule-index.ts";
import { auditMode, engineMode, onOff } from "./settings.ts";

const PROCESSORS = ["URLENCODED", "MULTIPART", "JSON", "XML"];

interface ControlContext {
  readonly place: Place;
  readonly index: RuleIndex;
  warn(problem: string): void;
}

/** Compiles `name=value` of a `ctl` action. */
export function compileControl(text: string, context: ControlContext): Action {
  const equals = text.indexOf("=");
  const name = (equals < 0 ? text : text.slice(0, equals)).trim();
  const value = equals < 0 ? "" : text.slice(equals + 1).trim();
  const made = CONTROLS[name.toLowerCase()];
  if (made === undefined) throw new SecLangError(context.place, `ctl has no ${name}; correct its name`);
  try {
    return made(value, context);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new SecLangError(context.place, error.message);
  }
}

type ControlMaker = (value: string, context: ControlContext) => Action;

function required<T>(value: T | undefined | null, context: ControlContext, expected: string): T {
  if (value === undefined || value === null) throw new SecLangError(context.place, `${expected} is expected here`);
  return value;
}

const whole = (value: string, context: ControlContext): number =>
  required(/^\d{1,15}$/.test(value) ? Number(value) : null, context, "a number of bytes");

const bySwitch =
  (apply: (state: State, on: boolean) => void): ControlMaker =>
  (value, context) => {
    const on = required(onOff(value), context, "On or Off");
    return (state) => apply(state, on);
  };

const removal =
  (select: (value: string, context: ControlContext) => Uint8Array): ControlMaker =>
  (value, context) => {
    const rules = select(value, context);
    return (state) => {
      state.anyRemoved = true;
      for (let at = 0; at < rules.length; at += 1) state.removed[at] = state.removed[at]! | rules[at]!;
    };
  };

/** `942100;ARGS:password` */
const exclusion =
  (select: (value: string, context: ControlContext) => Uint8Array): ControlMaker =>
  (value, context) => {
    const at = value.indexOf(";");
    if (at < 0) throw new SecLangError(context.place, "rules and a variable are expected here, as 942100;ARGS:name");
    const rules = select(value.slice(0, at).trim(), context);
    const targets = parseTargets(value.slice(at + 1).trim(), () => context.place);
    const excluded = targets.map(({ variable, selector }) => ({
      rules,
      variable,
      name: selector?.kind === "name" ? selector.name : null,
      regex: selector?.kind === "regex" ? compileRegex(selector.source, { ignoreCase: true }) : null,
    }));
    return (state) => {
      for (let each = 0; each < excluded.length; each += 1) state.exclusions.push(excluded[each]!);
    };
  };

const byId = (value: string, context: ControlContext) =>
  required(context.index.byId(value), context, "an id or a range of ids, as 942000-942999");
const byTag = (value: string, context: ControlContext) => context.index.byTag(value);
const byMsg = (value: string, context: ControlContext) => context.index.byMsg(value);

const CONTROLS: Readonly<Record<string, ControlMaker>> = {
  ruleengine: (value, context) => {
    const mode = required(engineMode(value), context, "On, Off or DetectionOnly");
    return (state) => {
      state.engine = mode;
    };
  },
  auditengine: (value, context) => {
    const mode = required(auditMode(value), context, "On, Off or RelevantOnly");
    return (state) => {
      state.auditEngine = mode;
    };
  },
  auditlogparts: (value) => (state) => {
    state.auditParts = changedParts(state.auditParts, value);
  },
  requestbodyaccess: bySwitch((state, on) => {
    state.requestBodyAccess = on;
  }),
  responsebodyaccess: bySwitch((state, on) => {
    state.responseBodyAccess = on;
  }),
  forcerequestbodyvariable: bySwitch((state, on) => {
    state.forceRequestBody = on;
  }),
  parsexmlintoargs: bySwitch((state, on) => {
    state.settings = { ...state.settings, parseXmlIntoArgs: on };
  }),
  requestbodylimit: (value, context) => {
    const bytes = whole(value, context);
    return (state) => {
      state.requestBodyLimit = bytes;
    };
  },
  responsebodylimit: (value, context) => {
    const bytes = whole(value, context);
    return (state) => {
      state.responseBodyLimit = bytes;
    };
  },
  requestbodyprocessor: (value, context) => {
    const upper = value.toUpperCase();
    const processor = PROCESSORS.includes(upper) ? upper : null;
    const name = required(processor, context, `one of ${PROCESSORS.join(", ")}`);
    return (state) => {
      state.bodyProcessor = name;
    };
  },
  debugloglevel: (_value, context) => {
    context.warn("ctl:debugLogLevel has no effect: the level log of the proxy takes this place");
    return () => {};
  },
  ruleremovebyid: removal(byId),
  ruleremovebytag: removal(byTag),
  ruleremovebymsg: removal(byMsg),
  ruleremovetargetbyid: exclusion(byId),
  ruleremovetargetbytag: exclusion(byTag),
  ruleremovetargetbymsg: exclusion(byMsg),
};

/** `+E` adds a part, `-E` takes one away, `ABZ` are all parts. */
function changedParts(parts: string, change: string): string {
  if (change.startsWith("+")) return parts + [...change.slice(1)].filter((part) => !parts.includes(part)).join("");
  if (change.startsWith("-")) return [...parts].filter((part) => !change.slice(1).includes(part)).join("");
  return change;
}
