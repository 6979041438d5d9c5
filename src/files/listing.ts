// What is in a folder, as a page and as JSON.
import { opendir, realpath, stat } from "node:fs/promises";
import { fault } from "../core/faults.ts";
import { formatHttpDate } from "../http/http-date.ts";
import { encodeComponent } from "../http/path.ts";
import type { Exchange, ServeEnvironment } from "../pipeline/exchange.ts";
import { type Reply, reply } from "../pipeline/reply.ts";
import { NO_FILE, type Root } from "./open.ts";
import { fileNameOf } from "./resolve.ts";

interface Item {
  readonly name: string;
  readonly folder: boolean;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
}

/** More are not shown: a page of them takes about 200 KB. */
const ITEMS_MAX = 1000;
/** More are not read, so that a folder of millions is not sorted for every request. */
const NAMES_MAX = 10_000;
/** How many are looked at side by side. */
const LOOKS_MAX = 16;

/** Answers with what is in the folder `name` of the root ("" or with a slash at its end). */
export function sendListing(x: Exchange, env: ServeEnvironment, root: Root, name: string, dotfiles: boolean): void {
  const path = x.request.path ?? "/";
  const asJson = wantsJson(x.request.header("accept"));
  listingOf(root, name, dotfiles).then(
    (listing) => {
      if (x.over) return;
      if (listing === null) env.answer(x, NO_FILE);
      else env.answer(x, asJson ? asJsonReply(listing) : asPage(path, listing));
    },
    (error: unknown) => {
      if (!x.over) env.answer(x, fault("file.failed", String(error)));
    },
  );
}

interface Listing {
  readonly items: readonly Item[];
  /** There are more than are shown. */
  readonly cut: boolean;
}

/** Null when the folder lies where it may not be shown. */
async function listingOf(root: Root, name: string, dotfiles: boolean): Promise<Listing | null> {
  const folder = root.pathOf(name);
  if (!root.shows(await realpath(folder), name.slice(0, -1))) return null;
  const names: string[] = [];
  let read = 0;
  // The names alone: what they stand for is looked up for those that are shown.
  for await (const { name: each } of await opendir(folder)) {
    if (read === NAMES_MAX) break; // the folder is closed by that
    read += 1;
    if (fileNameOf(`/${name}${encodeName(each)}`, dotfiles) !== null) names.push(each);
  }
  names.sort((a, b) => (a < b ? -1 : 1));
  const items: Item[] = [];
  const shown = names.slice(0, ITEMS_MAX);
  for (let at = 0; at < shown.length; at += LOOKS_MAX) {
    const looks = shown.slice(at, at + LOOKS_MAX).map((each) => itemOf(root, name, each));
    for (const item of await Promise.all(looks)) if (item !== null) items.push(item);
  }
  return { items, cut: names.length > shown.length || read === NAMES_MAX };
}

/** Null for what could not be had by its link: links that lead elsewhere, pipes, what has gone. */
async function itemOf(root: Root, folder: string, name: string): Promise<Item | null> {
  const path = root.pathOf(folder + name);
  try {
    const found = await stat(path);
    if (!found.isFile() && !found.isDirectory()) return null;
    if (!root.shows(await realpath(path), folder + name)) return null;
    return { name, folder: found.isDirectory(), size: found.size, modified: found.mtimeMs };
  } catch {
    return null;
  }
}

const encodeName = (name: string): string => encodeComponent(Buffer.from(name, "utf8").latin1Slice());

/** JSON for those that ask for it before pages. */
function wantsJson(accept: string | null): boolean {
  if (accept === null) return false;
  const json = accept.indexOf("application/json");
  const html = accept.indexOf("text/html");
  return json >= 0 && (html < 0 || json < html);
}

const FIELDS = { "cache-control": "no-cache", vary: "Accept" };

function asJsonReply({ items, cut }: Listing): Reply {
  const entries = items.map(({ name, folder, size, modified }) => ({
    name,
    type: folder ? "folder" : "file",
    ...(folder ? {} : { size }),
    modified: new Date(modified).toISOString(),
  }));
  return reply(200, JSON.stringify({ entries, truncated: cut }), { ...FIELDS, "content-type": "application/json" });
}

/** For what stands between tags and in quoted attributes. */
function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

function asPage(path: string, { items, cut }: Listing): Reply {
  const title = escapeHtml(decodedPath(path));
  const up = path === "/" ? "" : '<tr><td><a href="../">Parent folder</a></td><td></td><td></td></tr>\n';
  const rows = items.map(({ name, folder, size, modified }) => {
    const end = folder ? "/" : "";
    const link = `<a href="./${escapeHtml(encodeName(name))}${end}">${escapeHtml(name)}${end}</a>`;
    const iso = new Date(modified).toISOString();
    const time = `<time datetime="${iso}">${formatHttpDate(modified)}</time>`;
    return `<tr><td>${link}</td><td>${folder ? "" : size}</td><td>${time}</td></tr>\n`;
  });
  const note = cut ? `<p>Only the first ${ITEMS_MAX} are shown.</p>\n` : "";
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark; }
td, th { padding: 0 1rem 0 0; text-align: left; }
td:nth-child(2), th:nth-child(2) { text-align: right; }
</style>
</head>
<body>
<main>
<h1>${title}</h1>
<table>
<thead><tr><th scope="col">Name</th><th scope="col">Bytes</th><th scope="col">Modified</th></tr></thead>
<tbody>
${up}${rows.join("")}</tbody>
</table>
${note}</main>
</body>
</html>
`;
  const fields = { ...FIELDS, "content-type": "text/html; charset=utf-8" };
  return reply(200, page, { ...fields, "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'" });
}

function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // not UTF-8: shown as it is written
  }
}
