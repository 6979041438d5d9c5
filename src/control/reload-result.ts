// How a reload that did not work is told, and what loading leaves behind.
import type { ReloadResult } from "./admin-backend.ts";

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function failed(message: string, file = ""): ReloadResult {
  return { ok: false, diagnostics: [{ severity: "error", message, file, line: 0, column: 0, path: [] }] };
}

/** What reading and checking a configuration leaves behind would stay for as long as nothing happens in this thread. */
export function forgetWhatLoadingTook(): void {
  Bun.gc(true);
}
