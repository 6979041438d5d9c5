// A root with its rules: which file a path stands for, and which fields it is given.
import type { FilesConfig } from "../config/schema-files.ts";
import { Root } from "./open.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** A pattern and the fields of the files that it fits. */
interface FieldRule {
  readonly pattern: RegExp;
  /** It is compared with the whole path, and not with the file's name alone. */
  readonly whole: boolean;
  readonly fields: Fields;
}

/** What a path stands for. */
export type Found =
  /** This file, by its name below the root. */
  | { readonly kind: "file"; readonly name: string }
  /** A folder, whose path has a slash at its end. */
  | { readonly kind: "folder" }
  /** This file, whose path is better known without its last `remove` characters. */
  | { readonly kind: "shorter"; readonly name: string; readonly remove: number }
  | { readonly kind: "listing"; readonly name: string }
  | { readonly kind: "none" };

const NONE: Found = { kind: "none" };
const HTML = ".html";
const FOLDER: Found = { kind: "folder" };

export class Site {
  readonly root: Root;
  readonly config: FilesConfig;
  /** Name of the page of an application that finds its way by itself; "" without one. */
  readonly fallback: string;
  readonly #rules: readonly FieldRule[];
  readonly #hints: readonly FieldRule[];

  constructor(config: FilesConfig) {
    this.config = config;
    this.root = new Root(config.root, linkPolicy(config.followSymlinks), config.dotfiles);
    this.fallback = config.spa === false ? "" : config.spa === true ? (config.index[0] ?? "") : config.spa;
    this.#rules = Object.entries(config.headers).map(([pattern, fields]) => ruleOf(pattern, Object.entries(fields)));
    this.#hints = Object.entries(config.earlyHints).map(([pattern, links]) =>
      ruleOf(
        pattern,
        links.map((link) => ["Link", link] as const),
      ),
    );
  }

  /** What a name below the root stands for. Costs a system call for each place that is looked at. */
  find(name: string): Found {
    if (name === "" || name.endsWith("/")) return this.#findIn(name);
    const { cleanUrls } = this.config;
    if (cleanUrls && name.endsWith(HTML)) {
      const clean = this.#cleanForm(name);
      if (clean !== null) return clean;
    }
    const there = this.root.look(name);
    if (there?.isFile() === true) return { kind: "file", name };
    if (cleanUrls && this.root.look(name + HTML)?.isFile() === true) return { kind: "file", name: name + HTML };
    if (there?.isDirectory() !== true) return NONE;
    return this.#findIn(`${name}/`).kind === "none" ? NONE : FOLDER;
  }

  #findIn(name: string): Found {
    for (const index of this.config.index)
      if (this.root.look(name + index)?.isFile() === true) return { kind: "file", name: name + index };
    return this.config.listing && this.root.look(name)?.isDirectory() === true ? { kind: "listing", name } : NONE;
  }

  /** `/about.html` is known as `/about`, and `/docs/index.html` as `/docs/`. */
  #cleanForm(name: string): Found | null {
    if (this.root.look(name)?.isFile() !== true) return null;
    const base = name.slice(name.lastIndexOf("/") + 1);
    const remove = this.config.index.includes(base) ? base.length : HTML.length;
    const clean = name.slice(0, name.length - remove);
    // Where the shorter path would lead to another file, this one keeps its own.
    const found = remove === base.length ? this.#findIn(clean) : this.#cleanFile(clean);
    return found.kind === "file" && found.name === name ? { kind: "shorter", name, remove } : null;
  }

  #cleanFile(clean: string): Found {
    return this.root.look(clean)?.isFile() === true ? NONE : { kind: "file", name: clean + HTML };
  }

  /** The fields that rules give to a file, hints included; of the same name the later rule counts. */
  fieldsOf(name: string): Fields {
    const fields = new Map<string, readonly [string, string]>();
    for (const rule of this.#rules)
      if (fits(rule, name)) for (const field of rule.fields) fields.set(field[0].toLowerCase(), field);
    return [...this.hintsOf(name), ...fields.values()];
  }

  /** The Link fields that clients are told before the file itself is sent (RFC 8297). */
  hintsOf(name: string): Fields {
    return this.#hints.filter((rule) => fits(rule, name)).flatMap((rule) => rule.fields);
  }
}

const linkPolicy = (follow: FilesConfig["followSymlinks"]): "inside" | "none" | "all" =>
  follow === "inside" ? "inside" : follow ? "all" : "none";

/** A pattern with a slash is one of whole paths; `*` stands for any characters. */
function ruleOf(pattern: string, fields: Fields): FieldRule {
  const whole = pattern.includes("/");
  const text = whole && !pattern.startsWith("/") ? `*/${pattern}` : pattern;
  const parts = text.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return { pattern: new RegExp(`^${parts.join(".*")}$`, "s"), whole, fields };
}

function fits(rule: FieldRule, name: string): boolean {
  return rule.pattern.test(rule.whole ? `/${name}` : name.slice(name.lastIndexOf("/") + 1));
}
