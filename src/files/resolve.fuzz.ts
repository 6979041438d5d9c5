// Whatever path is asked for, what is opened lies inside of the root: said of the name, and tried on a real folder with
// links that lead out of it.
import { closeSync, mkdirSync, mkdtempSync, readlinkSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import type { Rng } from "../core/fuzz.testing.ts";
import { runAlone } from "../core/fuzz.testing.ts";
import { normalizePath } from "../http/path.ts";
import { Root } from "./open.ts";
import { fileNameOf } from "./resolve.ts";

const PIECES = [
  ..."/////....%%25aA;\\~-_ ",
  "..",
  "../",
  "/..",
  "%2e",
  "%2E%2E",
  "%2f",
  "%5c",
  "%00",
  "%c0%ae",
  "%c3%a9",
  "..;",
  "a",
  "folder",
  "inside",
  "outside",
  "file.txt",
  "secret",
  ".hidden",
  ".well-known",
  "loop",
  "\x00",
  "é",
] as const;

/** A root with links of all kinds, and a file beside it that nobody may have. */
export function makeRoot(): { readonly root: string; readonly base: string } {
  const base = realpathSync(mkdtempSync(join(tmpdir(), "sluice-root-")));
  const root = join(base, "root");
  for (const folder of ["root/folder/a", "root/.hidden", "root/.well-known", "beside"])
    mkdirSync(join(base, folder), { recursive: true });
  for (const file of ["file.txt", "a", "folder/file.txt", "folder/a/file.txt", ".hidden/secret", ".well-known/a"])
    writeFileSync(join(root, file), file);
  writeFileSync(join(base, "beside/secret"), "secret");
  writeFileSync(join(base, "secret"), "secret");
  for (const [name, to] of [
    ["inside", "folder"],
    ["folder/inside", "../file.txt"],
    ["outside", "../beside"],
    ["folder/outside", join(base, "beside/secret")],
    ["secret", "../secret"],
    ["loop", "loop"],
    ["folder/loop", ".."],
    ["folder/secret", "../.hidden/secret"],
  ] as const)
    symlinkSync(to, join(root, name));
  return { root, base };
}

/** The law for a folder made by `makeRoot`. */
export function resolveLaw(folder: string): (rng: Rng) => void {
  const roots = (["inside", "none"] as const).flatMap((links) =>
    [true, false].map((dotfiles) => ({ root: new Root(folder, links, dotfiles), links, dotfiles })),
  );
  return (rng) => {
    let raw = "/";
    for (let left = rng.below(10); left >= 0; left -= 1) raw += rng.pick(PIECES);
    // Half of them as they come, to see that nothing relies on the normalisation alone.
    const path = rng.oneIn(2) ? normalizePath(raw) : raw;
    const { root, links, dotfiles } = rng.pick(roots);
    const name = path === null ? null : fileNameOf(path, dotfiles);
    if (name === null) return;
    if (name.split("/").includes("..") || name.startsWith("/") || name.includes("\0"))
      throw new Error(`${JSON.stringify(raw)} leads out: ${name}`);
    if (!normalize(root.pathOf(name)).startsWith(`${folder}/`)) throw new Error(`${JSON.stringify(raw)} is outside`);
    const opened = root.open(name);
    if ("code" in opened) return;
    const real = readlinkSync(`/proc/self/fd/${opened.fd}`);
    closeSync(opened.fd);
    if (!real.startsWith(`${folder}/`)) throw new Error(`${JSON.stringify(raw)} opened ${real}`);
    if (links === "none" && real !== join(folder, name))
      throw new Error(`${JSON.stringify(raw)} went by a link: ${real}`);
    if (!dotfiles && real.includes("/.hidden")) throw new Error(`${JSON.stringify(raw)} opened a dotfile: ${real}`);
  };
}

if (import.meta.main) runAlone("paths of files", resolveLaw(makeRoot().root));
