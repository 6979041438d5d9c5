// Files that filters and listeners look things up in: lists of addresses, databases of places, users. The supervisor
// reads each of them once, into memory that all threads share, and follows it.
import { readFileSync, statSync } from "node:fs";
import { parseUsersFile } from "../auth/basic/users.ts";
import { FileFollower, fileSignature } from "../certificates/file-follower.ts";
import { parseAddressFile } from "../config/address-file.ts";
import type { ConfigPath } from "../config/diagnostic.ts";
import { reasonOf } from "../config/expand.ts";
import type { Config } from "../config/schema.ts";
import { layOut } from "../core/ip-map.ts";
import type { Log } from "../observe/log.ts";
import { Places } from "../pipeline/places.ts";
import type { Memories } from "./shared.ts";

/** Databases of cities have a hundred megabytes; this stops a wrong path from filling the memory. */
const FILE_BYTES_MAX = 512 * 1024 * 1024;

type Kind = "addresses" | "database" | "users";

/** A file that a configuration names. */
export interface NamedFile {
  readonly kind: Kind;
  readonly file: string;
  /** The first key that names it. */
  readonly path: ConfigPath;
}

/** Every file that a configuration looks things up in, once. */
export function sharedFilesOf({ listeners, defaults, routes }: Config): NamedFile[] {
  const found = new Map<string, NamedFile>();
  const add = (kind: Kind, file: string, path: ConfigPath): void => {
    const name = nameOf(kind, file);
    if (!found.has(name)) found.set(name, { kind, file, path });
  };
  const addLists = (access: object, path: ConfigPath): void => {
    const lists: { readonly allowFiles?: readonly string[]; readonly denyFiles?: readonly string[] } = access;
    for (const key of ["allowFiles", "denyFiles"] as const)
      for (const [at, file] of (lists[key] ?? []).entries()) add("addresses", file, [...path, key, at]);
  };
  listeners.forEach(({ access }, at) => {
    if (access !== undefined) addLists(access, ["listeners", at, "access"]);
  });
  const policies = [[defaults, ["defaults"]] as const, ...routes.map((route, at) => [route, ["routes", at]] as const)];
  for (const [{ auth }, path] of policies)
    for (const [at, { basic }] of (auth === undefined || auth === false ? [] : [auth].flat()).entries())
      if (basic?.usersFile !== undefined)
        add("users", basic.usersFile, [...path, "auth", ...(Array.isArray(auth) ? [at] : []), "basic", "usersFile"]);
  for (const [at, { tagging }] of routes.entries())
    if (tagging?.geo !== undefined) add("database", tagging.geo, ["routes", at, "tagging", "geo"]);
  for (const [{ waf }, path] of policies)
    if (waf && waf.geo !== undefined) add("database", waf.geo, [...path, "waf", "geo"]);
  for (const [{ access }, path] of policies) {
    if (access === undefined || access === false) continue;
    addLists(access, [...path, "access"]);
    for (const key of ["countries", "networks"] as const) {
      const database = access[key]?.database;
      if (database !== undefined) add("database", database, [...path, "access", key, "database"]);
    }
  }
  return [...found.values()];
}

const nameOf = (kind: Kind, file: string): string => `${kind} ${file}`;

/** A file as memory. Throws an Error that says in plain words why it cannot be used. */
export function readSharedFile({ kind, file }: Pick<NamedFile, "kind" | "file">): SharedArrayBuffer {
  let bytes: Buffer;
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw new RangeError("it is not a regular file");
    if (stat.size > FILE_BYTES_MAX) throw new RangeError("it is too large for what it should be");
    bytes = readFileSync(file);
  } catch (error) {
    throw new Error(error instanceof RangeError ? error.message : `it cannot be read: ${reasonOf(error)}`);
  }
  if (kind === "addresses") return layOut(parseAddressFile(bytes.toString("utf8")));
  if (kind === "users") parseUsersFile(bytes.toString("utf8")); // it says what is wrong with it
  const memory = new SharedArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  if (kind === "database") new Places(memory); // it says what is wrong with it
  return memory;
}

interface Known extends Pick<NamedFile, "kind" | "file"> {
  readonly memory: SharedArrayBuffer;
  readonly signature: string;
}

/** Files that are ready to be used. One of the two is called, or neither: then nothing has changed. */
export interface PreparedFiles {
  readonly memories: Memories;
  commit(): void;
}

export class SharedFiles {
  readonly #log: Log;
  readonly #changed: (name: string, memory: SharedArrayBuffer) => void;
  #known: ReadonlyMap<string, Known> = new Map();
  #follower: FileFollower | null = null;

  /** `changed` gets the new memory of a file that has changed. */
  constructor(log: Log, changed: (name: string, memory: SharedArrayBuffer) => void) {
    this.#log = log;
    this.#changed = changed;
  }

  get memories(): Memories {
    return memoriesOf(this.#known);
  }

  /** Reads what a configuration needs and is not known yet. Throws an Error for a file that cannot be used. */
  prepare(config: Config): PreparedFiles {
    const next = new Map<string, Known>();
    for (const { kind, file } of sharedFilesOf(config)) {
      const name = nameOf(kind, file);
      const signature = fileSignature(file);
      const before = this.#known.get(name);
      if (before?.signature === signature) {
        next.set(name, before);
        continue;
      }
      try {
        next.set(name, { kind, file, signature, memory: readSharedFile({ kind, file }) });
      } catch (error) {
        throw new Error(`${file}: ${messageOf(error)}`);
      }
    }
    return {
      memories: memoriesOf(next),
      commit: () => {
        this.#known = next;
        this.#follower?.stop();
        this.#follower = null;
        if (next.size === 0) return;
        this.#follower = new FileFollower(
          [...next.values()].map(({ file }) => file),
          () => this.#look(),
        );
        this.#follower.follow();
      },
    };
  }

  stop(): void {
    this.#follower?.stop();
    this.#follower = null;
  }

  /** A file that cannot be used any more stays as it was. */
  #look(): void {
    for (const [name, known] of this.#known) {
      const { kind, file } = known;
      const signature = fileSignature(file);
      if (signature === known.signature) continue;
      let { memory } = known;
      try {
        memory = readSharedFile({ kind, file });
        this.#log.info("a file has changed and is in use", { file });
        this.#changed(name, memory);
      } catch (error) {
        this.#log.error("a file has changed and cannot be used; it stays as it was", { file, error: messageOf(error) });
      }
      this.#known = new Map([...this.#known, [name, { kind, file, memory, signature }]]);
    }
  }
}

const memoriesOf = (known: ReadonlyMap<string, Known>): Memories =>
  new Map([...known].map(([name, { memory }]) => [name, memory]));
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
