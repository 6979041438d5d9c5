// Maps that machines share: many small entries, each with its own end, that are few enough to be known by everybody.

/** One entry, or that it is no more. */
export interface Entry {
  /** Visible ASCII without spaces, at most 400 characters. */
  readonly key: string;
  /** Null when it was removed. */
  readonly value: string | null;
  /** When it is over, in milliseconds since 1970; Infinity for never. Of one that was removed it says nothing. */
  readonly untilMs: number;
}

export interface SharedMap {
  /** All entries whose time is not over. It reads everything: for starts, and after a connection was lost. */
  load(): Promise<Entry[]>;
  /** One entry; null where there is none, or its time is over. */
  get(key: string): Promise<Entry | null>;
  /** Writes entries or removes them, the later of two with the same key last, and tells all who follow. */
  put(entries: readonly Entry[]): Promise<void>;
  /**
   * Hears of what others put from now on; the result ends it. What is put while the connection to the store is lost is
   * not heard of.
   */
  follow(listener: (entries: readonly Entry[]) => void): Promise<() => Promise<void>>;
}

/** An entry as text, with who wrote it. */
export const textOfEntry = ({ key, value, untilMs }: Entry, by: string): string =>
  JSON.stringify([key, value, Number.isFinite(untilMs) ? Math.round(untilMs) : null, by]);

/** What `textOfEntry` wrote; null for what is damaged. */
export function entryOfText(text: string): { readonly entry: Entry; readonly by: string } | null {
  let parts: unknown;
  try {
    parts = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(parts)) return null;
  const [key, value, untilMs, by] = parts as unknown[];
  if (typeof key !== "string" || typeof by !== "string") return null;
  if (value !== null && typeof value !== "string") return null;
  if (untilMs !== null && typeof untilMs !== "number") return null;
  return { entry: { key, value, untilMs: untilMs ?? Number.POSITIVE_INFINITY }, by };
}
