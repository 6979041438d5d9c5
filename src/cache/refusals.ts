// Why an answer is not stored, and what that says of others.
import type { Refusal } from "../engines/cache/storing.ts";
import type { Exchange } from "../pipeline/exchange.ts";

export type Why = Refusal | "outdated";

/** What speaks against storing an answer for the sake of the client who asked for it. */
export const OF_THE_CLIENT: ReadonlySet<Why> = new Set(["authorization", "cookie", "path"]);
/** What says nothing of the next answer. */
export const OF_THIS_ONE: ReadonlySet<Why> = new Set(["request-no-store", "outdated"]);

const FROM_STORE: ReadonlySet<string> = new Set(["hit", "stale", "revalidated"]);

/** Targets whose stored answers end with one that was refused: what came for a request alone says nothing about any. */
export const refused = ({ cacheResult, cacheStatus, request }: Exchange): readonly string[] =>
  FROM_STORE.has(cacheResult) || cacheStatus.includes("; stored") ? [request.target] : [];
