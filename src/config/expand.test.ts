// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders are what this file is about
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expand } from "./expand.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-expand-"));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "token"), "s3cret\n");
writeFileSync(join(folder, "windows"), "s3cret\r\n");
writeFileSync(join(folder, "two"), "a\n\n");
writeFileSync(join(folder, "large"), Buffer.alloc(1024 * 1024 + 1));

const ENVIRONMENT = { NAME: "ann", EMPTY: "", N: "4", ON: "true", NESTED: "${NAME}" };

const TEXTS: readonly (readonly [text: string, want: string])[] = [
  ["plain", "plain"],
  ["${NAME}", "ann"],
  ["a ${NAME} b ${NAME}", "a ann b ann"],
  ["${NAME:-bob}", "ann"],
  ["${OTHER:-bob}", "bob"],
  ["${OTHER:-}", ""],
  ["${OTHER:-a:-b c}", "a:-b c"],
  ["${EMPTY}", ""],
  ["${EMPTY:-bob}", "bob"],
  ["${NESTED}", "${NAME}"],
  ["$${NAME}", "${NAME}"],
  ["$$ $1 $NAME ${NAME} $", "$$ $1 $NAME ann $"],
  ["/new/$1", "/new/$1"],
  ["${file:token}", "s3cret"],
  ["${file:./windows}", "s3cret"],
  ["${file:two}", "a\n"],
  [`\${file:${folder}/token}`, "s3cret"],
];
for (const [text, want] of TEXTS) {
  test(`fills in ${text.replace(folder, "FOLDER")}`, () => {
    const { value, problems } = expand({ log: { x: [text] } }, folder, ENVIRONMENT);
    expect(problems).toEqual([]);
    expect(value).toEqual({ log: { x: [want] } });
  });
}

const WRONG: readonly (readonly [text: string, message: RegExp, hint: RegExp])[] = [
  ["${OTHER}", /OTHER is not set/, /\$\{OTHER:-default\}/],
  ["${NAM}", /NAM is not set/, /did you mean NAME\?/],
  ["${}", /not a placeholder/, /\$\$\{/],
  ["${1a}", /not a placeholder/, /NAME/],
  ["${NAME", /not closed/, /\$\$\{/],
  ["${file:nothing}", /"nothing" cannot be read: there is no such file/, /looked for/],
  ["${file:.}", /it is not a file/, /looked for/],
  ["${file:large}", /larger than 1 MB/, /looked for/],
];
for (const [text, message, hint] of WRONG) {
  test(`refuses ${text}`, () => {
    const { problems } = expand({ a: ["", text] }, folder, ENVIRONMENT);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toMatch(message);
    expect(problems[0]?.hint).toMatch(hint);
    expect(problems[0]?.path).toEqual(["a", 1]);
  });
}

test("becomes a number or a truth value only where no text may stand", () => {
  const input = {
    workers: "${N}",
    listeners: [{ address: "${N}", halfClose: "${ON}" }],
    routes: [{ match: { query: { a: "${ON}" } } }],
  };
  expect(expand(input, folder, ENVIRONMENT).value).toEqual({
    workers: 4,
    listeners: [{ address: "4", halfClose: true }],
    routes: [{ match: { query: { a: "true" } } }],
  });
  expect(expand({ workers: "4" }, folder, ENVIRONMENT).value).toEqual({ workers: "4" });
});

test("leaves keys, plugins and the input itself alone", () => {
  const plugin = { name: "${NAME}" };
  const input = { "${NAME}": "${NAME}", routes: [{ use: [plugin] }] };
  const { value } = expand(input, folder, ENVIRONMENT) as unknown as { value: typeof input };
  expect(value["${NAME}"]).toBe("ann");
  expect(value.routes[0]?.use[0]).toBe(plugin);
  expect(input["${NAME}"]).toBe("${NAME}");
});

test("says which files it read", () => {
  expect(expand(["${file:token}"], folder, {}).files).toEqual([join(folder, "token")]);
});

test("ends at an object that holds itself", () => {
  const loop: Record<string, unknown> = {};
  loop.loop = loop;
  expect(expand(loop, folder, {}).problems[0]?.message).toMatch(/nested more than/);
});

test("ends at an object with a key that objects do not have", () => {
  expect(expand(JSON.parse('{"__proto__": {"a": 1}}'), folder, {}).problems[0]?.message).toMatch(/__proto__/);
});
