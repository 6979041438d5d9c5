// Where Sluice keeps what must survive a restart when the configuration names no folder.
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** `/var/lib/sluice` for root, else `$XDG_DATA_HOME/sluice`, which is `~/.local/share/sluice` by default. */
export function defaultStorageFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  uid: number | undefined = process.geteuid?.(),
): string {
  if (uid === 0) return "/var/lib/sluice";
  const data = environment.XDG_DATA_HOME;
  // The specification wants what is not absolute ignored.
  if (data !== undefined && isAbsolute(data)) return join(data, "sluice");
  return join(environment.HOME || homedir(), ".local", "share", "sluice");
}

/** The folder that a configuration names, or else that one. */
export const storageFolderOf = ({ storage }: { readonly storage?: string | undefined }): string =>
  storage ?? defaultStorageFolder();
