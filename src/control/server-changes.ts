// What operators have changed about servers while the proxy runs: kept apart from the configuration, over which it is
// laid, so that a reload keeps it; and on disk, where that was asked for.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { parseServer } from "../config/address.ts";
import type { ServerMode } from "../upstream/member.ts";

export const SERVER_MODES = ["ready", "drain", "drain-sticky", "disabled"] as const satisfies readonly ServerMode[];

const changeSchema = z.strictObject({
  /** Set for a server that only the API has named. */
  url: z
    .string()
    .refine((url) => parseServer(url) !== null)
    .optional(),
  weight: z.int().min(0).max(1000).optional(),
  backup: z.boolean().optional(),
  zone: z.string().optional(),
  mode: z.enum(SERVER_MODES).optional(),
  /** A server of the configuration that is not to be used. */
  removed: z.literal(true).optional(),
});
const fileSchema = z.strictObject({ upstreams: z.record(z.string(), z.record(z.string(), changeSchema)) });

/** What was changed about one server; what is absent is as the configuration says. */
export type ServerChange = z.output<typeof changeSchema>;

export class ServerChanges {
  readonly #path: string | null;
  readonly #live = new Map<string, Map<string, ServerChange>>();
  /** What outlives the process. */
  readonly #kept = new Map<string, Map<string, ServerChange>>();

  /** `path` is the file that keeps changes; null for none. Throws an Error when the file is there and cannot be used. */
  constructor(path: string | null) {
    this.#path = path;
    if (path === null) return;
    for (const [upstream, servers] of Object.entries(readKept(path))) {
      this.#live.set(upstream, new Map(Object.entries(servers)));
      this.#kept.set(upstream, new Map(Object.entries(servers)));
    }
  }

  /** Whether changes can be kept. */
  get keeps(): boolean {
    return this.#path !== null;
  }

  /** The changes of an upstream by the server's id. */
  of(upstream: string): ReadonlyMap<string, ServerChange> {
    return this.#live.get(upstream) ?? NONE;
  }

  /** Forgets what is changed about a server, unless it is kept on disk. */
  forget(upstream: string, id: string): void {
    if (this.#kept.get(upstream)?.has(id) !== true) put(this.#live, upstream, id, null);
  }

  /**
   * Replaces what is changed about a server; null for nothing. With `keep` on disk too: throws what cannot be written,
   * and then nothing has changed.
   */
  set(upstream: string, id: string, change: ServerChange | null, keep: boolean): void {
    if (keep && this.#path !== null) {
      const before = this.#kept.get(upstream)?.get(id) ?? null;
      put(this.#kept, upstream, id, change);
      try {
        this.#write(this.#path);
      } catch (error) {
        put(this.#kept, upstream, id, before);
        throw error;
      }
    }
    put(this.#live, upstream, id, change);
  }

  /** Renamed into place, so that whoever reads it never sees half of it. */
  #write(path: string): void {
    const upstreams = Object.fromEntries([...this.#kept].map(([name, servers]) => [name, Object.fromEntries(servers)]));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, `${JSON.stringify({ upstreams }, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

const NONE: ReadonlyMap<string, ServerChange> = new Map();

function put(
  all: Map<string, Map<string, ServerChange>>,
  upstream: string,
  id: string,
  change: ServerChange | null,
): void {
  const servers = all.get(upstream) ?? new Map<string, ServerChange>();
  if (change === null) servers.delete(id);
  else servers.set(id, change);
  if (servers.size > 0) all.set(upstream, servers);
  else all.delete(upstream);
}

function readKept(path: string): Record<string, Record<string, ServerChange>> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
  try {
    return fileSchema.parse(JSON.parse(text)).upstreams;
  } catch {
    throw new Error(`admin.state: ${path} is not a file of kept changes; mend it or move it away`);
  }
}
