// What is known of a request and its answer, for those who tell about it when it is over.
import { COLUMN } from "./columns.ts";
import type { State } from "./state.ts";

const SETS = {
  requestHeaders: [COLUMN.REQUEST_HEADERS],
  responseHeaders: [COLUMN.RESPONSE_HEADERS],
  cookies: [COLUMN.REQUEST_COOKIES],
  arguments: [COLUMN.ARGS_GET, COLUMN.ARGS_POST],
  files: [COLUMN.FILES],
} as const;

type EntrySet = keyof typeof SETS;

/** Calls `take` with the name and value of each, as bytes in Latin-1. */
export function eachEntry(state: State, set: EntrySet, take: (name: string, value: string) => void): void {
  for (const id of SETS[set]) {
    const { keys, values } = state.columns[id]!;
    for (let at = 0; at < keys.length; at += 1) take(keys[at]!, values[at]!);
  }
}

/** Whether the body is a form with files. */
export const isMultipart = (state: State): boolean => state.bodyProcessor === "MULTIPART";
