// Which store a configuration asks for.
import { FileState } from "./file-state.ts";
import type { SharedState } from "./shared-state.ts";

export type StateSettings =
  | { readonly kind: "files"; readonly folder: string }
  | {
      readonly kind: "redis";
      readonly url: string;
      readonly prefix?: string;
      /** How long connecting, and each command, may take; RedisState's own default without it. */
      readonly timeoutMs?: number;
    };

/**
 * Opens the store; `onError` is told of later failures of its connection.
 *
 * @throws Error when the folder cannot be used, or the server not reached
 */
export async function openState(settings: StateSettings, onError: (error: Error) => void): Promise<SharedState> {
  if (settings.kind === "files") return await FileState.open(settings.folder);
  // Loaded only where it is asked for: it costs megabytes.
  const { RedisState } = await import("./redis-state.ts");
  const { kind: _, ...options } = settings;
  return await RedisState.open({ ...options, onError });
}
