import { describe, expect, test } from "bun:test";
import { ConfigError } from "./diagnostic.ts";
import { checkConfig } from "./load.ts";

/** What is wrong with a `files` action; "" for nothing. */
function said(files: object): string {
  try {
    checkConfig({ listeners: [{ address: ":1" }], routes: [{ files: { root: "/", ...files } }] });
    return "";
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

describe("files", () => {
  for (const [what, files, message] of [
    ["nothing more", {}, null],
    [
      "all of it",
      { index: ["a.html"], spa: "app/main.html", headers: { "*": { x: "1" } }, followSymlinks: true },
      null,
    ],
    ["links", { earlyHints: { "*": ["</a>; rel=preload"] } }, null],
    ["no field", { headers: { "*": { "a b": "1" } } }, "is not a header name"],
    ["a field of the connection", { headers: { "*": { Connection: "close" } } }, "by the proxy alone"],
    ["Date", { headers: { "*": { date: "now" } } }, "by the proxy alone"],
    ["a length", { headers: { "*": { "content-length": "1" } } }, "made from the file itself"],
    ["a tag", { headers: { "*": { ETag: "x" } } }, "made from the file itself"],
    ["a line break", { headers: { "*": { x: "a\r\nb: c" } } }, "cannot be sent"],
    ["no link", { earlyHints: { "*": ["a.css"] } }, "is not a link"],
    ["a page outside", { spa: "../a.html" }, "is not a file of the root"],
    ["a page from the root", { spa: "/a.html" }, "is not a file of the root"],
    ["a hidden page", { spa: ".a/b.html" }, "is not a file of the root"],
    ["an application without a page", { spa: true, index: [] }, "there is no `index`"],
    ["an index elsewhere", { index: ["a/b"] }, "without a slash"],
    ["an index that is a dot segment", { index: [".."] }, "the name of a file"],
  ] as const)
    test(what, () => {
      if (message === null) expect(said(files)).toBe("");
      else expect(said(files)).toContain(message);
    });
});
