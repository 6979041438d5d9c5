// Heads for the benchmarks of parts.

import { HeaderBlock } from "../src/http/header-block.ts";
import { idOfBytes } from "../src/http/header-names.ts";

/** What a browser sends with a request beside its Host: our idea of an everyday head. */
export const BROWSER_FIELDS: readonly string[] = [
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.9,de;q=0.8",
  "Accept-Encoding: gzip, deflate, br",
  "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1",
  "Referer: https://example.com/some/page?with=query",
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Site: same-origin",
  "Upgrade-Insecure-Requests: 1",
  "Cache-Control: max-age=0",
];

/** Fields as a head block with bytes, as the readers of heads make it. */
export function blockOf(lines: readonly string[]): HeaderBlock {
  const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(""), "latin1");
  const block = new HeaderBlock();
  block.reset(bytes);
  let at = 0;
  for (const line of lines) {
    const nameEnd = at + line.indexOf(":");
    const end = at + line.length;
    block.push(idOfBytes(bytes, at, nameEnd), at, nameEnd, nameEnd + 2, end, end + 2);
    at = end + 2;
  }
  return block;
}
