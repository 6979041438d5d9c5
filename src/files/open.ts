// Opens files below a root and nothing else, whatever links lie about or are changed meanwhile. What is checked is not
// the path, which may lead elsewhere a moment later, but the file that has been opened: the system tells where it lies.
import { closeSync, constants, fstatSync, openSync, readlinkSync, realpathSync, type Stats, statSync } from "node:fs";
import { type Fault, fault } from "../core/faults.ts";
import { hidesDotfile } from "./resolve.ts";

/** Which symbolic links are followed: those that stay inside of the root, none at all, or every one. */
export type LinkPolicy = "inside" | "none" | "all";

/** What tells one state of a file from another. Times are milliseconds since 1970, with fractions. */
export interface FileState {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly ino: number;
  readonly dev: number;
}

export interface OpenedFile {
  /** To be closed by who has asked for it. */
  readonly fd: number;
  readonly state: FileState;
}

// A pipe or a device must not hold up the thread when it is opened; what is no file is closed again at once.
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
const QUIET = { throwIfNoEntry: false } as const;
/** What a removed file has behind its name in /proc. */
const DELETED = " (deleted)";

const GONE: readonly string[] = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EINVAL", "ENXIO"];
const DENIED: readonly string[] = ["EACCES", "EPERM"];

export const NO_FILE: Fault = fault("file.none");

export class Root {
  readonly folder: string;
  readonly #links: LinkPolicy;
  readonly #dotfiles: boolean;
  /** Where the folder really is; it may be a link itself, which is set to another folder with every release. */
  #real = "";

  constructor(folder: string, links: LinkPolicy, dotfiles: boolean) {
    this.folder = folder === "/" ? "" : folder;
    this.#links = links;
    this.#dotfiles = dotfiles;
  }

  /** The path of a name below the root. */
  pathOf(name: string): string {
    return `${this.folder}/${name}`;
  }

  /** What lies there, links followed; null for nothing, or nothing that can be looked at. Costs one system call. */
  look(name: string): Stats | null {
    try {
      return statSync(this.pathOf(name), QUIET) ?? null;
    } catch {
      return null;
    }
  }

  /** Opens a regular file. A fault where there is none, it may not be read, or it lies elsewhere. */
  open(name: string): OpenedFile | Fault {
    let fd: number;
    try {
      fd = openSync(this.pathOf(name), FLAGS);
    } catch (error) {
      return faultOf(error);
    }
    const refused = this.#refusal(fd, name);
    if (refused === null) return { fd, state: fstatSync(fd) };
    closeSync(fd);
    return refused;
  }

  /** Opens the file that was opened before in this state; null if it is another one by now. */
  openSame(name: string, state: FileState): OpenedFile | null {
    let fd: number;
    try {
      fd = openSync(this.pathOf(name), FLAGS);
    } catch {
      return null;
    }
    const now = fstatSync(fd);
    if (isSame(now, state)) return { fd, state };
    closeSync(fd);
    return null;
  }

  #refusal(fd: number, name: string): Fault | null {
    try {
      if (!fstatSync(fd).isFile()) return NO_FILE;
      return this.shows(realPathOf(fd, this.pathOf(name)), name) ? null : OUTSIDE;
    } catch (error) {
      return faultOf(error);
    }
  }

  /** Whether what really lies at `real` may be shown under this name. */
  shows(real: string, name: string): boolean {
    return this.#links === "all" || this.#holds(real, name) || (this.#moved() && this.#holds(real, name));
  }

  #holds(real: string, name: string): boolean {
    if (this.#real === "" && !this.#moved()) return false;
    const prefix = this.#real === "/" ? "/" : `${this.#real}/`;
    if (real === this.#real) return name === ""; // the root itself
    if (!real.startsWith(prefix)) return false;
    const relative = real.slice(prefix.length);
    if (relative === name) return true;
    if (this.#links !== "inside" || relative.endsWith(DELETED)) return false;
    return this.#dotfiles || !hidesDotfile(relative);
  }

  /** Looks where the folder is now; whether that is elsewhere than before. */
  #moved(): boolean {
    let real = "";
    try {
      real = realpathSync(this.pathOf(""));
    } catch {
      // It is not there at the moment.
    }
    const moved = real !== this.#real;
    this.#real = real;
    return moved;
  }
}

const OUTSIDE = fault("file.none", "a symbolic link leads to where none may lead");

/** Where an open file lies. */
function realPathOf(fd: number, path: string): string {
  if (process.platform === "linux") return readlinkSync(`/proc/self/fd/${fd}`);
  // Elsewhere the path is looked up, and must lead to the very file that is open.
  const real = realpathSync(path);
  if (!isSame(statSync(real), fstatSync(fd))) throw Object.assign(new Error("replaced"), { code: "ENOENT" });
  return real;
}

/** Whether nothing has happened to the file, nor another one come in its place. */
export function isSame(a: FileState, b: FileState): boolean {
  return a.mtimeMs === b.mtimeMs && a.size === b.size && a.ino === b.ino && a.ctimeMs === b.ctimeMs && a.dev === b.dev;
}

/** Whether the bytes that a file had are still there: it is the same, or has only grown, as a log does. */
export function isIntact(now: FileState, before: FileState): boolean {
  // Another name, or one less, changes the inode's time and none of the bytes.
  return now.mtimeMs === before.mtimeMs ? now.size === before.size : now.size > before.size;
}

function faultOf(error: unknown): Fault {
  const { code = "", message } = error as { code?: string; message: string };
  if (GONE.includes(code)) return NO_FILE;
  return fault(DENIED.includes(code) ? "file.denied" : "file.failed", code === "" ? message : code);
}
