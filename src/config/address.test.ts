import { expect, test } from "bun:test";
import { type Address, looksLikeUrl, parseListen, parseServer } from "./address.ts";

const show = (address: Address | null): string | null =>
  address === null ? null : address.kind === "unix" ? `unix ${address.path}` : `${address.host} ${address.port}`;

const LISTEN: readonly (readonly [text: string, want: string | null])[] = [
  [":8080", ":: 8080"],
  [":0", ":: 0"],
  ["127.0.0.1:80", "127.0.0.1 80"],
  ["LocalHost:80", "localhost 80"],
  ["[::1]:65535", "::1 65535"],
  ["[fe80::1%eth0]:80", "fe80::1%eth0 80"],
  ["unix:/run/sluice.sock", "unix /run/sluice.sock"],
  [`unix:/${"a".repeat(106)}`, `unix /${"a".repeat(106)}`],
  [`unix:/${"a".repeat(107)}`, null],
  ["unix:relative.sock", null],
  ["unix:/a\0b", null],
  ["8080", null],
  ["", null],
  [":", null],
  [":65536", null],
  [":+80", null],
  ["localhost", null],
  ["::1:80", null],
  ["[::1]", null],
  ["[1.2.3.4]:80", null],
  ["1.2.3:80", null],
  ["999.1.1.1:80", null],
  ["a b:80", null],
  ["a..b:80", null],
  ["http://localhost:80", null],
];
for (const [text, want] of LISTEN) {
  test(`listen ${JSON.stringify(text)}`, () => expect(show(parseListen(text))).toBe(want));
}

const SERVER: readonly (readonly [text: string, want: string | null])[] = [
  ["127.0.0.1:3001", "127.0.0.1 3001"],
  ["app_1:3001", "app_1 3001"],
  ["app", "app 80"],
  ["http://app", "app 80"],
  ["HTTP://App.Internal:81/", "app.internal 81"],
  ["http://[::1]:81", "::1 81"],
  ["[::1]", "::1 80"],
  ["unix:/run/app.sock", "unix /run/app.sock"],
  ["http://app/path", null],
  ["http://user@app", null],
  ["http://", null],
  ["https://app", "app 443"],
  ["h2c://app", "app 80"],
  ["h2://app", "app 443"],
  ["h2c://app/path", null],
  ["h3://app", null],
  ["app:0", null],
  [":3001", null],
  ["app:", null],
  ["-app:80", null],
];
for (const [text, want] of SERVER) {
  test(`server ${JSON.stringify(text)}`, () => expect(show(parseServer(text))).toBe(want));
}

const URLS: readonly (readonly [text: string, want: boolean])[] = [
  ["http://a", true],
  ["h2c://a", true],
  ["unix:/a", true],
  ["app", false],
  ["app:80", false],
];
for (const [text, want] of URLS) {
  test(`${text} ${want ? "is" : "is not"} meant as a URL`, () => expect(looksLikeUrl(text)).toBe(want));
}
