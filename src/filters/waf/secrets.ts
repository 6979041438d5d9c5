// What is told of requests is read by people who are not to know their passwords. Whatever the firewall tells, in logs,
// to the admin API and in the audit log, has passed here.
import { eachEntry, type Transaction } from "../../engines/waf/index.ts";

/** Parts of names whose values nobody is to see. */
const NAMES =
  "pass|pwd|secret|token|api[-_]?key|authoriz|credential|session|cookie|csrf|xsrf|card|cvv|cvc|iban|jwt|signature";
const HIDDEN = "***";
/** Shorter values stand in texts by chance. */
const VALUE_MIN = 4;
/** A request may have a thousand arguments with such names; each is looked for in every text. */
const VALUES_MAX = 32;

export class Secrets {
  readonly #name: RegExp;
  /** `password=…` and `"password":"…"` in a query, form or document. */
  readonly #pair: RegExp;
  readonly #member: RegExp;
  #values: string[] = [];

  readonly #none: boolean;

  /** @param more names of fields, arguments and cookies beside the known ones; null where nothing is secret */
  constructor(more: readonly string[] | null) {
    this.#none = more === null;
    const names = [NAMES, ...(more ?? []).map((name) => name.replaceAll(/[^A-Za-z0-9_-]/g, "\\$&"))].join("|");
    this.#name = new RegExp(names, "i");
    // No repetition stands beside another one that could take the same: these are linear in hostile texts.
    this.#pair = new RegExp(`((?:${names})[^\\s=&;,"']{0,64}=)[^\\s&;"']*`, "gi");
    this.#member = new RegExp(`((?:${names})[^"\\\\]{0,64}"\\s{0,8}:\\s{0,8}")[^"]*`, "gi");
  }

  /** Looks what is secret in this request. */
  begin({ state }: Transaction): void {
    this.#values = [];
    if (this.#none) return;
    const take = (name: string, value: string): void => {
      if (!this.#name.test(name)) return;
      this.#add(value);
      // `Bearer TOKEN`: the token may stand elsewhere without its scheme.
      const blank = value.indexOf(" ");
      if (blank > 0) this.#add(value.slice(blank + 1));
    };
    eachEntry(state, "requestHeaders", take);
    eachEntry(state, "responseHeaders", take);
    eachEntry(state, "arguments", take);
    eachEntry(state, "cookies", (_name, value) => this.#add(value));
  }

  #add(value: string): void {
    if (value.length >= VALUE_MIN && this.#values.length < VALUES_MAX) this.#values.push(value);
  }

  /** The value of a field or argument as others may see it. */
  valueOf(name: string, value: string): string {
    return !this.#none && this.#name.test(name) ? HIDDEN : this.text(value);
  }

  /** The same for a variable of the rules: `REQUEST_COOKIES:id`, `ARGS:password`. */
  variableIs(variable: string): boolean {
    if (this.#none) return false;
    const colon = variable.indexOf(":");
    if (variable.startsWith("REQUEST_COOKIES:")) return true;
    return colon > 0 && !variable.slice(0, colon).endsWith("_NAMES") && this.#name.test(variable.slice(colon + 1));
  }

  /** A text without the secrets in it. */
  text(text: string): string {
    if (text === "" || this.#none) return text;
    let shown = text;
    for (const value of this.#values) if (shown.includes(value)) shown = shown.replaceAll(value, HIDDEN);
    return shown.replaceAll(this.#pair, `$1${HIDDEN}`).replaceAll(this.#member, `$1${HIDDEN}`);
  }
}

/** Bytes as Latin-1, as the rules see them, in the letters that they mean. */
export function readable(text: string): string {
  for (let at = 0; at < text.length; at += 1)
    if (text.charCodeAt(at) > 0x7f) return Buffer.from(text, "latin1").toString("utf8");
  return text;
}
