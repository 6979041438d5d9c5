// Actions that change what a transaction knows: setvar, expirevar, initcol, setsid, setuid, setrsc, setenv.
import { leadingNumber } from "../operators/numbers.ts";
import { type Place, SecLangError } from "../seclang/error.ts";
import type { State } from "../transaction/state.ts";
import type { TxNames } from "../transaction/tx-values.ts";
import { STORED_COLLECTIONS } from "../variables.ts";
import { compileMacro, type Macro } from "./macro.ts";

/** Runs when a rule matches. */
export type Action = (state: State) => void;

export interface SetVar {
  run(state: State): void;
}

type Change = "set" | "add" | "remove";

function changed(old: string | null, change: Change, value: string, sign: number): string | null {
  if (change === "set") return value;
  if (change === "remove") return null;
  return String(leadingNumber(old ?? "") + sign * leadingNumber(value));
}

/**
 * The names under which rules sum up what they find: those of the Core Rule Set, version 4 and 3, and of the starter
 * rules. Others (`sql_injection_score`) count the same once more, by its kind.
 */
const SCORE = /^(?:(in|out)bound_)?(?:anomaly_)?score(?:_pl[1-4])?$/;

/** TX by a name that stands in the rule: the usual case. */
class SetPlaced implements SetVar {
  readonly #place: number;
  readonly #change: Change;
  readonly #sign: number;
  readonly #value: Macro;
  readonly #constant: string | null;

  constructor(place: number, change: Change, sign: number, value: Macro) {
    this.#place = place;
    this.#change = change;
    this.#sign = sign;
    this.#value = value;
    this.#constant = value.constant ? value.text : null;
  }

  run(state: State): void {
    const { placed } = state.tx;
    const value = this.#constant ?? this.#value.expand(state);
    placed[this.#place] = changed(placed[this.#place]!, this.#change, value, this.#sign);
  }
}

/** What is added to a score: also told of the rule. Of one that is only tried, it is told and not added. */
class AddScore implements SetVar {
  readonly #outbound: boolean;
  readonly #add: SetVar | null;
  readonly #sign: number;
  readonly #value: Macro;

  constructor(outbound: boolean, add: SetVar | null, sign: number, value: Macro) {
    this.#outbound = outbound;
    this.#add = add;
    this.#sign = sign;
    this.#value = value;
  }

  run(state: State): void {
    state.addScore(this.#sign * leadingNumber(this.#value.expand(state)), this.#outbound);
    this.#add?.run(state);
  }
}

class SetNamed implements SetVar {
  readonly #name: Macro;
  readonly #change: Change;
  readonly #sign: number;
  readonly #value: Macro;

  constructor(name: Macro, change: Change, sign: number, value: Macro) {
    this.#name = name;
    this.#change = change;
    this.#sign = sign;
    this.#value = value;
  }

  run(state: State): void {
    const name = this.#name.expand(state).toLowerCase();
    state.tx.set(name, changed(state.tx.get(name), this.#change, this.#value.expand(state), this.#sign));
  }
}

class SetStored implements SetVar {
  readonly #collection: string;
  readonly #name: Macro;
  readonly #change: Change;
  readonly #sign: number;
  readonly #value: Macro;

  constructor(collection: string, name: Macro, change: Change, sign: number, value: Macro) {
    this.#collection = collection;
    this.#name = name;
    this.#change = change;
    this.#sign = sign;
    this.#value = value;
  }

  run(state: State): void {
    // Before initcol there is nothing to write to.
    const entries = state.stored.get(this.#collection);
    if (entries === undefined) return;
    const name = this.#name.expand(state).toLowerCase();
    const value = this.#value.expand(state);
    entries.change(name, state.host.now(), state.settings.collectionTimeout * 1000, (old) =>
      changed(old, this.#change, value, this.#sign),
    );
  }
}

/** `tx.score=+5`, `!ip.flag`, `tx.seen`. `dry` for a rule that is only tried: it adds to no score. */
export function compileSetVar(text: string, names: TxNames, place: Place, dry = false): SetVar {
  const remove = text.startsWith("!");
  const body = remove ? text.slice(1) : text;
  const equals = body.indexOf("=");
  const left = (equals < 0 ? body : body.slice(0, equals)).trim();
  const dot = left.search(/[.:]/);
  const collection = left.slice(0, Math.max(dot, 0)).toLowerCase();
  if (dot <= 0 || dot === left.length - 1) {
    throw new SecLangError(place, `setvar needs a collection and a name, as setvar:tx.${left || "name"}=1`);
  }
  let right = equals < 0 ? "1" : body.slice(equals + 1);
  if (right.length >= 2 && right.startsWith("'") && right.endsWith("'")) right = right.slice(1, -1);
  const sign = right.startsWith("-") ? -1 : 1;
  const change: Change = remove ? "remove" : right.startsWith("+") || right.startsWith("-") ? "add" : "set";
  const value = compileMacro(change === "add" ? right.slice(1) : right, names, place);
  const name = compileMacro(left.slice(dot + 1), names, place);
  if (collection === "tx") {
    // What rules add up of other scores is no score of their own.
    const adds = name.constant && change === "add" && !/_score_pl/i.test(right);
    const score = adds ? SCORE.exec(name.text.toLowerCase()) : null;
    const placed = name.constant ? new SetPlaced(names.place(name.text), change, sign, value) : null;
    if (score !== null) return new AddScore(score[1] === "out", dry ? null : placed, sign, value);
    if (placed !== null) return placed;
    return new SetNamed(name, change, sign, value);
  }
  if (!STORED_COLLECTIONS.includes(collection)) {
    throw new SecLangError(place, `setvar cannot change ${collection}; use tx, ${STORED_COLLECTIONS.join(", ")}`);
  }
  return new SetStored(collection, name, change, sign, value);
}

/** `ip.flag=60`: the entry is forgotten after so many seconds. */
export function compileExpireVar(text: string, names: TxNames, place: Place): Action {
  const found = /^([A-Za-z]+)[.:]([^=]+)=(.+)$/.exec(text);
  const collection = (found?.[1] ?? "").toLowerCase();
  if (found === null || !(collection === "tx" || STORED_COLLECTIONS.includes(collection))) {
    throw new SecLangError(place, "expirevar needs an entry of a collection and seconds, as expirevar:ip.flag=60");
  }
  const name = compileMacro(found[2]!, names, place);
  const seconds = compileMacro(found[3]!.replace(/^'(.*)'$/, "$1"), names, place);
  return (state) => {
    const entries = state.stored.get(collection);
    const key = name.expand(state).toLowerCase();
    const now = state.host.now();
    entries?.expire(key, now, now + leadingNumber(seconds.expand(state)) * 1000);
  };
}

// Keys are made of what requests say (addresses, hashes, session ids); longer ones only fill the memory.
const KEY_MAX = 512;

function open(state: State, collection: string, key: string): void {
  state.stored.set(collection, state.host.collections.open(collection, `${state.webAppId} ${key.slice(0, KEY_MAX)}`));
}

/** The actions that open a persistent collection. */
export const OPENS: ReadonlySet<string> = new Set(["initcol", "setsid", "setuid", "setrsc"]);

/** Whether a setvar is about a persistent collection. */
export const setsStored = (text: string): boolean => !/^!?\s*tx[.:]/i.test(text);

/** `ip=%{REMOTE_ADDR}`: opens a persistent collection. */
export function compileInitCol(text: string, names: TxNames, place: Place): Action {
  const equals = text.indexOf("=");
  const collection = text.slice(0, Math.max(equals, 0)).trim().toLowerCase();
  if (!STORED_COLLECTIONS.includes(collection)) {
    throw new SecLangError(
      place,
      `initcol needs one of ${STORED_COLLECTIONS.join(", ")}, as initcol:ip=%{REMOTE_ADDR}`,
    );
  }
  const key = compileMacro(text.slice(equals + 1).trim(), names, place);
  return (state) => open(state, collection, key.expand(state));
}

/** setsid, setuid and setrsc: each opens the collection that belongs to it. */
export function compileOwner(action: string, text: string, names: TxNames, place: Place): Action {
  const key = compileMacro(text, names, place);
  return (state) => {
    const value = key.expand(state);
    if (action === "setsid") {
      state.sessionId = value;
      open(state, "session", value);
    } else if (action === "setuid") {
      state.userId = value;
      open(state, "user", value);
    } else open(state, "resource", value);
  };
}

/** `name=value`: a variable of the transaction. The environment of the process is neither read nor changed. */
export function compileSetEnv(text: string, names: TxNames, place: Place): Action {
  const remove = text.startsWith("!");
  const body = remove ? text.slice(1) : text;
  const equals = body.indexOf("=");
  const name = equals < 0 ? body : body.slice(0, equals);
  const value = compileMacro(equals < 0 ? "1" : body.slice(equals + 1), names, place);
  return (state) => {
    if (remove) state.env.delete(name);
    else state.env.set(name, value.expand(state));
  };
}
