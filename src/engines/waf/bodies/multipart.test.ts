import { expect, test } from "bun:test";
import { type MultipartBody, parseMultipart } from "./multipart.ts";
import { MULTIPART_FLAG } from "./multipart-flags.ts";

const TYPE = "multipart/form-data; boundary=b";

function read(body: string, type = TYPE, parts = 10, files = 10): MultipartBody {
  return parseMultipart(body.replaceAll("|", "\r\n"), type, { parts, files });
}

const flagsOf = (form: MultipartBody): string[] =>
  Object.entries(MULTIPART_FLAG)
    .filter(([name, flag]) => name !== "crlfLine" && (form.flags & flag) !== 0)
    .map(([name]) => name);

const show = (form: MultipartBody): string[] =>
  form.parts.map((part) => (part.fileName === null ? `${part.name}=${part.value}` : `${part.name}@${part.fileName}`));

const FIELD = 'Content-Disposition: form-data; name="f"';
const FILE = `${FIELD}; filename="x.txt"`;

const GOOD: readonly (readonly [name: string, body: string, parts: readonly string[]])[] = [
  ["a field", `--b|${FIELD}||v|--b--|`, ["f=v"]],
  ["no line end behind the last boundary", `--b|${FIELD}||v|--b--`, ["f=v"]],
  ["two fields", `--b|${FIELD}||1|--b|${FIELD}||2|--b--|`, ["f=1", "f=2"]],
  ["an empty field", `--b|${FIELD}|||--b--|`, ["f="]],
  ["no content", `--b|${FIELD}|||--b--|`, ["f="]],
  ["line ends within", `--b|${FIELD}||a|b||--b--|`, ["f=a\r\nb\r\n"]],
  ["a file", `--b|${FILE}|Content-Type: text/plain||data|--b--|`, ["f@x.txt"]],
  ["a file that was not chosen", `--b|${FIELD}; filename=""||x|--b--|`, ["f=x"]],
  ["a token", "--b|Content-Disposition: form-data; name=f||v|--b--|", ["f=v"]],
  ["escapes", '--b|Content-Disposition: form-data; name="a\\"b\\\\c\\d"||v|--b--|', ['a"b\\c\\d=v']],
  ["an apostrophe within quotes", `--b|${FIELD}; filename="o'b.txt"||v|--b--|`, ["f@o'b.txt"]],
  ["field names in any case", "--b|content-DISPOSITION:form-data ;name=f||v|--b--|", ["f=v"]],
  ["dashes in content", `--b|${FIELD}||a--c --|--b--|`, ["f=a--c --"]],
  ["nothing", "", []],
];
for (const [name, body, parts] of GOOD)
  test(`reads ${name}`, () => {
    const form = read(body);
    expect(form.fault).toBe("");
    expect(show(form)).toEqual([...parts]);
    expect(flagsOf(form)).toEqual([]);
    expect([form.strictError, form.unmatchedBoundary]).toEqual([false, 0]);
  });

const FLAGGED: readonly (readonly [name: string, body: string, flags: readonly string[], parts: readonly string[]])[] =
  [
    ["data before", `x|--b|${FIELD}||v|--b--|`, ["dataBefore"], ["f=v"]],
    ["data after", `--b|${FIELD}||v|--b--|x`, ["dataAfter"], ["f=v"]],
    ["LF", `--b\n${FIELD}\n\nv\n--b--\n`, ["lfLine"], ["f=v"]],
    ["LF before a boundary", `--b|${FIELD}||v\n--b--|`, ["lfLine"], ["f=v"]],
    ["a boundary behind a head", `--b|${FIELD}||--b--|`, ["invalidPart"], ["f="]],
    ["LF among CRLF", `--b|${FIELD}|\nv|--b--|`, ["lfLine"], ["f=v"]],
    ["folding", `--b|${FIELD};| filename=x||v|--b--|`, ["headerFolding"], ["f@x"]],
    ["other folding", `--b|${FIELD};|\v filename=x||v|--b--|`, ["headerFolding", "invalidHeaderFolding"], ["f@x"]],
    ["apostrophes", "--b|Content-Disposition: form-data; name='f'||v|--b--|", ["invalidQuoting"], ["f=v"]],
    [
      "an apostrophe in a token",
      "--b|Content-Disposition: form-data; name=o'b||v|--b--|",
      ["invalidQuoting"],
      ["o'b=v"],
    ],
    ["another kind of file name", `--b|${FIELD}; filename*=UTF-8''a%20b||v|--b--|`, ["invalidPart"], ["f@"]],
    ["a part without a head", `--b|--b|${FIELD}||v|--b--|`, ["invalidPart"], ["f=v"]],
  ];
for (const [name, body, flags, parts] of FLAGGED)
  test(`flags ${name}`, () => {
    const form = read(body);
    expect(form.fault).toBe("");
    expect(flagsOf(form)).toEqual([...flags]);
    expect(show(form)).toEqual([...parts]);
    expect(form.strictError).toBeTrue();
  });

const BAD: readonly (readonly [name: string, body: string, fault: string])[] = [
  ["no boundary", "x|y|", "there is no boundary"],
  ["no final boundary", `--b|${FIELD}||v|`, "the final boundary is missing"],
  ["a final boundary that is cut off", `--b|${FIELD}||v|--b-`, "the final boundary is missing"],
  ["a head that is cut off", `--b|${FIELD}`, "the final boundary is missing"],
  ["more on a boundary's line", `--bx|${FIELD}||v|--b--|`, "a boundary line is malformed"],
  ["a blank behind a boundary", `--b |${FIELD}||v|--b--|`, "a boundary line is malformed"],
  ["a disguised boundary", `--b|${FIELD}||v|-- b|--b--|`, "a boundary has blanks before it"],
  ["no Content-Disposition", "--b|Content-Type: x||v|--b--|", "a part has no Content-Disposition"],
  ["no colon", `--b|${FIELD}|x||v|--b--|`, "a line of a head has no colon"],
  ["no name of a field", `--b|${FIELD}|: x||v|--b--|`, "a line of a head has no name"],
  ["a field twice", `--b|${FIELD}|content-disposition: x||v|--b--|`, "a head has a field twice"],
  ["NUL in a head", `--b|${FIELD}\0||v|--b--|`, "a head has a NUL byte"],
  ["folding at the beginning", `--b| x|${FIELD}||v|--b--|`, "a head begins with a folded line"],
  ["a long line", `--b|X: ${"x".repeat(5000)}|${FIELD}||v|--b--|`, "a line of a head is too long"],
  ["a long folded line", `--b|X: x|${` ${"x".repeat(3000)}|`.repeat(2)}||v|--b--|`, "a line of a head is too long"],
  [
    "many lines",
    `--b|${Array.from({ length: 40 }, (_, at) => `X${at}: x|`).join("")}|v|--b--|`,
    "a head has too many lines",
  ],
  [
    "another type",
    "--b|Content-Disposition: attachment; name=f||v|--b--|",
    "Content-Disposition of a part: it is not form-data",
  ],
  ["no name", "--b|Content-Disposition: form-data||v|--b--|", "Content-Disposition of a part: the name is missing"],
  [
    "an empty name",
    '--b|Content-Disposition: form-data; name=""||v|--b--|',
    "Content-Disposition of a part: the name is missing",
  ],
  ["two names", `--b|${FIELD}; name=g||v|--b--|`, "Content-Disposition of a part: a parameter comes twice"],
  ["two file names", `--b|${FILE}; filename=g||v|--b--|`, "Content-Disposition of a part: a parameter comes twice"],
  [
    "an empty and a full one",
    `--b|${FIELD}; filename=""; filename=g||v|--b--|`,
    "Content-Disposition of a part: a parameter comes twice",
  ],
  [
    "a quote that is not ended",
    '--b|Content-Disposition: form-data; name="f||v|--b--|',
    "Content-Disposition of a part: a quoted value is not ended",
  ],
  ["something behind a quote", `--b|${FIELD}x||v|--b--|`, "Content-Disposition of a part: something follows a value"],
  [
    "a parameter without a value",
    `--b|${FIELD}; x||v|--b--|`,
    "Content-Disposition of a part: a parameter has no value",
  ],
  ["an unknown parameter", `--b|${FIELD}; x=y||v|--b--|`, "Content-Disposition of a part: a parameter is not known"],
  [
    "a disguised file name",
    `--b|${FIELD}; filename ="x"||v|--b--|`,
    "Content-Disposition of a part: the file name is disguised",
  ],
];
for (const [name, body, fault] of BAD)
  test(`refuses ${name}`, () => {
    const form = read(body);
    expect(form.fault).toBe(`Multipart: ${fault}`);
    expect(form.strictError).toBeTrue();
  });

const BOUNDARIES: readonly (readonly [type: string, fault: string, flags?: readonly string[]])[] = [
  ["multipart/form-data; boundary=b", ""],
  ["Multipart/Form-Data;boundary=b", ""],
  ['multipart/form-data; boundary="b"', "", ["boundaryQuoted"]],
  ["multipart/form-data; boundary =b", "", ["boundaryWhitespace"]],
  ["multipart/form-data boundary=b", "", ["missingSemicolon"]],
  ["multipart/form-data", "missing"],
  ["multipart/form-data; Boundary=b", "case"],
  ["multipart/mixed; boundary=b", "type"],
  ["multipart/form-data; boundary=b; boundary=c", "several"],
  ["multipart/form-data; x=y; boundary=b", "malformed"],
  ["multipart/form-data;; boundary=b", "malformed"],
  ["multipart/form-data; boundary", "malformed"],
  ["multipart/form-data; boundaryx=b", "parameter name"],
  ["multipart/form-data; boundary=", "empty"],
  ['multipart/form-data; boundary=""', "empty"],
  ['multipart/form-data; boundary="b', "quote"],
  ["multipart/form-data; boundary=b; charset=x", "characters"],
  ["multipart/form-data; boundary=b\0", "characters"],
  [`multipart/form-data; boundary=${"b".repeat(71)}`, "length"],
  [`multipart/form-data; boundary=${"b".repeat(2000)}`, "length"],
];
for (const [type, fault, flags] of BOUNDARIES)
  test(`boundary of ${type.slice(0, 60)}`, () => {
    const form = read(`--b|${FIELD}||v|--b--|`, type);
    expect(form.fault).toBe(fault === "" ? "" : `Multipart: invalid boundary in Content-Type (${fault})`);
    if (fault === "") expect(flagsOf(form)).toEqual([...(flags ?? [])]);
  });

const UNMATCHED: readonly (readonly [body: string, unmatched: number])[] = [
  [`--b|${FIELD}||v|--c|--b--|`, 2],
  [`--b|${FIELD}||v--b|--b--|`, 2],
  [`--b|${FIELD}||v--b--|`, 1],
  [`--c|--b|${FIELD}||v|--b--|`, 2],
  [`--c|--b|${FIELD}||v|`, 1],
  [`--b|${FIELD}||--\n--b--|`, 0],
];
for (const [body, unmatched] of UNMATCHED)
  test(`unmatched boundaries of ${JSON.stringify(body)}`, () => {
    expect(read(body).unmatchedBoundary).toBe(unmatched as 0 | 1 | 2);
  });

test("parts have their lines and where their content lies", () => {
  const text = `--b|${FILE}|Content-Type: a/b||data|--b|${FIELD}||v|--b--|`;
  const form = read(text);
  expect(form.parts[0]!.headers).toEqual([FILE, "Content-Type: a/b"]);
  const body = text.replaceAll("|", "\r\n");
  expect(form.parts.map(({ start, end }) => body.slice(start, end))).toEqual(["data", "v"]);
  const heads = `${FILE}|Content-Type: a/b||${FIELD}||`.replaceAll("|", "\r\n");
  expect(form.noFilesLength).toBe(heads.length + "v".length);
  expect(read(`--b|${FIELD}; filename*=UTF-8''a%20b+c||v|--b--|`).parts[0]!.fileNameExtended).toBe("a b+c");
});

test("parts and files are bounded", () => {
  const three = `--b|${FILE}||1|`.repeat(3);
  expect(flagsOf(read(`${three}--b--|`, TYPE, 10, 2))).toEqual(["fileLimitExceeded"]);
  expect(flagsOf(read(`${three}--b--|`, TYPE, 10, 3))).toEqual([]);
  expect(read(`${three}--b--|`, TYPE, 3).fault).toBe("");
  expect(read(`${three}--b--|`, TYPE, 2).fault).toBe("Multipart: there are too many parts");
  expect(read("--b|".repeat(20)).fault).toBe("Multipart: there are too many parts");
});
