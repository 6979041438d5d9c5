// Stored answers for tests of what holds them.
import { NO_VARY } from "../engines/cache/vary.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { layOut } from "../http/laid-out.ts";
import { Body } from "./body.ts";
import { Address, Entry } from "./entry.ts";

/** The answers of one address: each with this content, and another rest of its key where there are several. */
export function answersOf(...contents: readonly string[]): Address {
  const address = new Address();
  for (const [at, content] of contents.entries()) address.add(entryOf(content, `route\napp\n${at}`));
  return address;
}

function entryOf(content: string, extra: string): Entry {
  const fields: [string, string][] = [
    ["Date", "Mon, 23 Nov 2026 12:00:00 GMT"],
    ["Content-Type", "text/html; charset=utf-8"],
    ["ETag", '"5f4d-400"'],
    ["Cache-Control", "public, max-age=3600"],
    ["Content-Length", String(content.length)],
  ];
  const stored = { status: 200, reason: "OK", headers: layOut(new HeaderBlock(), 200, "OK", fields) };
  const times = {
    bornAt: 1000,
    freshUntil: 9000,
    refreshUntil: 10_000,
    errorUntil: 11_000,
    downUntil: 12_000,
    mayBeStale: true,
    immutable: false,
  };
  const stamp = { slot: 17, count: -3, purges: 2, disk: 5 };
  const variant = { rule: NO_VARY, key: "", encoding: "", language: "" };
  const body = new Body(content.length, null);
  const bytes = Buffer.from(content, "latin1");
  body.append(bytes, 0, bytes.length);
  body.finish(null);
  return new Entry(extra, variant, ["one", "two"], stamp, times, stored, body);
}

/** All of the content. */
export function contentOf({ body }: Entry): string {
  let text = "";
  for (let at = 0; at < body.pieces; at += 1) text += body.piece(at)!.latin1Slice(0, body.filled(at));
  return text;
}
