// What can go wrong at the start of the program.
import type { Config } from "../config/schema.ts";
import { ServerChanges } from "./server-changes.ts";

/** Something could not be bound or started: exit code 3. */
export class StartError extends Error {}

/** The changes to servers that were kept. Throws a StartError when the file that keeps them cannot be used. */
export function changesOf({ admin }: Config): ServerChanges {
  try {
    return new ServerChanges(admin === false ? null : (admin.state ?? null));
  } catch (error) {
    throw new StartError(error instanceof Error ? error.message : String(error));
  }
}

export const adminAddressOf = ({ admin }: Config): string | null => (admin === false ? null : admin.address);
