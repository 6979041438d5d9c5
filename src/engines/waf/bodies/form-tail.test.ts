import { expect, test } from "bun:test";
import { FormTail } from "./form-tail.ts";

const TYPE = "multipart/form-data; boundary=b";
const LIMIT = 1000;
const FIELD = 'Content-Disposition: form-data; name="f"';
const FILE = `${FIELD}; filename="x.txt"`;
const LONG = `--b|${FILE}||${"-\r\n--c\r\n".repeat(200)}|`;

/** What is collected of a body that comes in pieces of that size. */
function tailOf(body: string, size: number, limit = LIMIT): string {
  const tail = new FormTail(TYPE, limit);
  const bytes = Buffer.from(body.replaceAll("|", "\r\n"), "latin1");
  for (let at = 0; at < bytes.length; at += size) tail.push(bytes.subarray(at, at + size));
  tail.end();
  return tail.pending ? tail.take().replaceAll("\r\n", "|") : "";
}

const CASES: readonly (readonly [name: string, body: string, collected: string])[] = [
  ["a file alone", `${LONG}--b--|`, ""],
  ["a file alone, without a last line end", `${LONG}--b--`, ""],
  ["fields before a file", `--b|${FIELD}||v|${LONG}--b--|`, ""],
  ["a field behind a file", `${LONG}--b|${FIELD}||v\r\n\n--|--b--|`, `--b|${FIELD}||v|\n--|--b--|`],
  ["an empty field", `${LONG}--b|${FIELD}||--b--|`, `--b|${FIELD}||--b--|`],
  ["another file", `${LONG}--b|${FILE}||x|--b--|`, `--b|${FILE}|||--b--|`],
  ["a field between files", `${LONG}--b|${FIELD}||v|--b|${FILE}||x|--b--|`, `--b|${FIELD}||v|--b|${FILE}|||--b--|`],
  ["a head that is cut off", `${LONG}--b|${FIELD}`, `--b|${FIELD}`],
  ["a field that is cut off", `${LONG}--b|${FIELD}||v`, `--b|${FIELD}||v`],
  ["no last boundary", LONG, `--b|${FILE}|||`],
  ["data behind the last boundary", `${LONG}--b--|--b|${FIELD}||v|--b--|`, "--b--|x"],
  ["a malformed boundary", `${LONG}--bx|y|--b--|`, `--b|${FILE}||--bx||--b--|`],
  ["a disguised boundary", `${LONG}-- b|y|--b--|`, `--b|${FILE}||-- b||--b--|`],
  ["line ends of one byte", `${LONG}--b\n${FIELD}\n\nv\n--b--\n`, `--b\n${FIELD}\n\nv\n--b--\n`],
  ["a boundary behind LF", `${LONG.slice(0, -1)}x\n--b--|`, `--b|${FILE}||\n--b--|`],
  ["a part without a head", `${LONG}--b|--b--|`, "--b|--b--|"],
];
for (const [name, body, collected] of CASES)
  test(`collects of ${name}`, () => {
    for (const size of [1, 2, 3, 5, 7, 64, 1000, 100_000])
      expect([size, tailOf(body, size)]).toEqual([size, collected]);
  });

test("cuts at every byte make no difference", () => {
  const body = `${LONG}--b|${FIELD}||a\r\n--c\n-|--b|${FILE}||--x|--b|${FIELD}||w|--b--|`.replaceAll("|", "\r\n");
  const bytes = Buffer.from(body, "latin1");
  const whole = tailOf(body, bytes.length);
  for (let cut = 1; cut < bytes.length; cut += 1) {
    const tail = new FormTail(TYPE, LIMIT);
    tail.push(bytes.subarray(0, cut));
    tail.push(bytes.subarray(cut));
    tail.end();
    expect(tail.take().replaceAll("\r\n", "|")).toBe(whole);
  }
});

test("a field is collected wherever the limit lies in it, and only then", () => {
  const before = `--b|${FIELD}||0|`.replaceAll("|", "\r\n");
  const body = `${before}--b|${FIELD}||0123456789|--b--|`.replaceAll("|", "\r\n");
  for (let limit = before.length + 300; limit < before.length + 400; limit += 1) {
    const pad = "p".repeat(300);
    const text = body.replace("0123456789", pad);
    const end = text.length;
    const found = tailOf(text, 50, limit);
    expect([limit, found.includes(pad)]).toEqual([limit, limit < end]);
  }
});

test("what is collected is bounded", () => {
  const tail = new FormTail(TYPE, LIMIT);
  tail.push(Buffer.from(`${LONG}--b|${FIELD}||`.replaceAll("|", "\r\n")));
  expect([tail.tooLong, tail.complete, tail.pending]).toEqual([false, false, true]);
  tail.push(Buffer.alloc(LIMIT, "v"));
  expect(tail.tooLong).toBeTrue();
});
