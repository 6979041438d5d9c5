import { describe, expect, test } from "bun:test";
import { normalizePath } from "../http/path.ts";
import { fileNameOf, hidesDotfile } from "./resolve.ts";

/** As a request comes: refused by the normalisation, or by the names of files. */
const fileOf = (raw: string, dotfiles = false): string | null => {
  const path = normalizePath(raw);
  return path === null ? null : fileNameOf(path, dotfiles);
};

const LONG = "a".repeat(255);

describe("paths and the files that they name", () => {
  for (const [path, name] of [
    ["/", ""],
    ["/a.txt", "a.txt"],
    ["/a/b/", "a/b/"],
    ["/a//b", "a/b"],
    ["/a/./b/../c", "a/c"],
    ["/a%20b", "a b"],
    ["/%61.txt", "a.txt"],
    ["/caf%C3%A9", "café"],
    ["/100%25", "100%"],
    ["/%252e%252e/x", "%2e%2e/x"],
    ["/%252Fetc", "%2Fetc"],
    ["/a%23b%3Fc", "a#b?c"],
    ["/a;b=c", "a;b=c"],
    ["/~user", "~user"],
    ["/.well-known/security.txt", ".well-known/security.txt"],
    ["/.well-known/", ".well-known/"],
    ["/a..b/c...", "a..b/c..."],
    [`/${LONG}`, LONG],
  ] as const)
    test(path.slice(0, 40), () => {
      expect(fileOf(path)).toBe(name);
    });
});

describe("paths that name no file", () => {
  for (const path of [
    "",
    "a.txt",
    "*",
    "/../etc/passwd",
    "/a/../../etc/passwd",
    "/%2e%2e/etc/passwd",
    "/%2E%2e/etc/passwd",
    "/.%2e/etc/passwd",
    "/..%2fetc/passwd",
    "/..%2Fetc%2Fpasswd",
    "/a%2f..%2f..%2fetc/passwd",
    "/a%2fb",
    "/a%2Fb",
    "/%2fetc/passwd",
    "/..\\..\\etc",
    "/a\\b",
    "/a%5cb",
    "/a%5C..%5C..%5Cetc",
    "/a%00.txt",
    "/a.txt%00",
    "/a%0a",
    "/a%0d%0ab",
    "/a%7f",
    "/a\x00",
    "/%c0%ae%c0%ae/etc/passwd", // overlong dots are no UTF-8
    "/%e0%80%ae%e0%80%ae/",
    "/%c0%af",
    "/%ff",
    "/%ed%a0%80", // half of a surrogate pair
    "/%",
    "/%2",
    "/%zz",
    "/..;/etc/passwd",
    "/..;x=y/etc",
    "/.env",
    "/.git/config",
    "/a/.git/config",
    "/a/.htaccess",
    "/%2egit/config",
    "/a/.well-known/x",
    "/.well-known/.env",
    "/.well-known2",
    "/...",
    `/${LONG}a`,
    `/${"a/".repeat(2100)}`,
  ])
    test(JSON.stringify(path).slice(0, 40), () => {
      expect(fileOf(path)).toBeNull();
    });
});

describe("what the normalisation would not let through is refused here too", () => {
  for (const path of ["/../x", "/a/../x", "/./x", "/a//b", "//x", "/a\\b", "/a\x00b", "/a\x1f", "/a\x7f", "/%2e%2e/x"])
    for (const dotfiles of [true, false])
      test(`${JSON.stringify(path)} ${dotfiles}`, () => {
        expect(fileNameOf(path, dotfiles)).toBeNull();
      });
});

test("names that begin with a dot can be allowed; dot segments cannot", () => {
  expect(fileOf("/.env", true)).toBe(".env");
  expect(fileOf("/a/.git/config", true)).toBe("a/.git/config");
  expect(fileNameOf("/a/..", true)).toBeNull();
});

test("dotfiles are seen wherever they stand in a real path", () => {
  for (const [path, hidden] of [
    ["a/b", false],
    ["a.b/c.d", false],
    [".env", true],
    ["a/.git/config", true],
    [".well-known/x", false],
    ["a/.well-known/x", true],
  ] as const)
    expect([path, hidesDotfile(path)]).toEqual([path, hidden]);
});
