import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { cookieValues, firstCookie, receivedCookies } from "./cookies.ts";
import { HeaderBlock } from "./header-block.ts";
import { ID } from "./header-names.ts";

const CASES: readonly (readonly [name: string, field: string | null, want: readonly string[]])[] = [
  ["no field", null, []],
  ["an empty field", "", []],
  ["alone", "srv=1", ["1"]],
  ["first, last and between", "srv=1; a=2; srv=3; b=4; srv=5", ["1", "3", "5"]],
  ["without blanks", "a=2;srv=1;b=3", ["1"]],
  ["blanks around", "a=2;  srv =\t1 ; b=3", ["1"]],
  ["an empty value", "srv=; a=1", [""]],
  ["quoted", 'srv="1 2"; a=1', ["1 2"]],
  ["one quote", 'srv="', ['"']],
  ["an equals sign inside", "srv=a=b==", ["a=b=="]],
  ["the end of another name", "xsrv=1; x-srv=2", []],
  ["the start of another name", "srv2=1; srv-x=2", []],
  ["inside a value", "a=srv=1; b=x srv=2", []],
  ["another case is another cookie", "SRV=1", []],
  ["without equals sign", "srv; a=1", []],
  ["fields joined by a comma", "a=1, srv=2, b=3", ["2"]],
  ["a comma inside a value", "srv=1,2, 3; a=1", ["1,2, 3"]],
  ["a comma that begins no cookie", "srv=1, =2", ["1, =2"]],
];
for (const [name, field, want] of CASES)
  test(`cookies: ${name}`, () => {
    expect(cookieValues(field, "srv")).toEqual([...want]);
    expect(firstCookie(field, "srv")).toBe(want[0] ?? null);
  });

test("what is written is read back, whatever lies around it", () => {
  const value = fc.stringMatching(/^[!#-+\--:<-[\]-~]{0,20}$/);
  const name = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,5}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), name, (pairs, wanted) => {
      const field = pairs.map(([key, text]) => `${key}=${text}`).join("; ");
      expect(cookieValues(field, wanted)).toEqual(pairs.filter(([key]) => key === wanted).map(([, text]) => text));
    }),
  );
});

test("a hostile field costs no more than its length", () => {
  const fields = [", ".repeat(200_000), "srv=1;".repeat(60_000), `srv=${",  ".repeat(120_000)}`, " ".repeat(400_000)];
  const start = performance.now();
  for (const field of fields) cookieValues(field, "srv");
  expect(performance.now() - start).toBeLessThan(2000); // quadratic, it would be minutes
});

describe("as received", () => {
  const blockOf = (...values: readonly string[]): HeaderBlock => {
    const block = new HeaderBlock();
    const lines = values.map((value) => `Cookie: ${value}\r\n`);
    block.reset(Buffer.from(lines.join(""), "latin1"));
    let at = 0;
    for (const line of lines) {
      block.push(ID.cookie, at, at + 6, at + 8, at + line.length - 2, at + line.length);
      at += line.length;
    }
    return block;
  };

  test("is one field, several joined", () => {
    expect(receivedCookies(new HeaderBlock())).toBeNull();
    expect(receivedCookies(blockOf("a=1"))).toBe("a=1");
    expect(receivedCookies(blockOf("a=1", "b=2"))).toBe("a=1; b=2");
  });

  test("stays there for the proxy when an edit takes it from the servers", () => {
    const block = blockOf("a=1");
    block.remove("cookie");
    expect(block.get("cookie")).toBeNull();
    expect(receivedCookies(block)).toBe("a=1");
  });
});
