import { describe, expect, test } from "bun:test";
import { type Entry, tarOf } from "./tar.testing.ts";
import { readTar } from "./tar.ts";

const read = (archive: Buffer): string[] => [...readTar(archive)].map(({ name, content }) => `${name}=${content}`);

/** A line of an extended head, whose length counts itself. */
const pax = (line: string): string => {
  const text = ` ${line}\n`;
  return `${text.length + 2}${text}`;
};

test("files are read, whatever stands between them", () => {
  const entries: Entry[] = [
    { name: "pax_global_header", type: "g", content: pax("comment=abc") },
    { name: "crs/", type: "5" },
    { name: "crs/a.conf", content: "one" },
    { name: "crs/link", type: "2" },
    { name: "crs/hard", type: "1" },
    { name: "short", type: "x", content: pax("path=crs/long.conf") },
    { name: "crs/lo", content: "x".repeat(600) },
    { name: "././@LongLink", type: "L", content: "crs/longer.conf\0" },
    { name: "crs/lon", content: "" },
  ];
  expect(read(tarOf(entries))).toEqual(["crs/a.conf=one", `crs/long.conf=${"x".repeat(600)}`, "crs/longer.conf="]);
});

describe("refused are", () => {
  for (const name of ["/etc/cron.d/x", "../x", "a/../../x", "a/.."]) {
    test(`names that lead elsewhere: ${name}`, () => {
      expect(() => read(tarOf([{ name, content: "x" }]))).toThrow("outside of its folder");
    });
  }
  test("such a name in an extended head", () => {
    const entries: Entry[] = [{ name: "x", type: "x", content: pax("path=../evil.txt") }, { name: "fine" }];
    expect(() => read(tarOf(entries))).toThrow("outside of its folder");
  });
  const whole = tarOf([{ name: "a", content: "x".repeat(1000) }]);
  test("archives that end too early", () => expect(() => read(whole.subarray(0, 1000))).toThrow("ends too early"));
  test("archives that were changed", () => {
    const changed = Buffer.from(whole);
    changed[0] = 0x62;
    expect(() => read(changed)).toThrow("damaged");
  });
  test("what is no archive", () => expect(() => read(Buffer.from("not a tar".repeat(100)))).toThrow("damaged"));
});
