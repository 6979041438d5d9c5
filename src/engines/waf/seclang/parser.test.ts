import { describe, expect, test } from "bun:test";
import { SecLangError } from "./error.ts";
import { parseSecLang } from "./parser.ts";
import type { RuleSyntax, TargetSyntax } from "./syntax.ts";

const rule = (text: string): RuleSyntax => {
  const [first] = parseSecLang("a.conf", text);
  if (first?.kind !== "rule") throw new Error("not a rule");
  return first;
};

const showTarget = ({ mode, variable, selector }: TargetSyntax): string => {
  const sign = { take: "", except: "!", count: "&" }[mode];
  const part = selector === null ? "" : selector.kind === "name" ? `:${selector.name}` : `~${selector.source}`;
  return `${sign}${variable}${part}`;
};

describe("targets", () => {
  const CASES: readonly (readonly [text: string, targets: readonly string[]])[] = [
    ["ARGS", ["ARGS"]],
    ["args|REQUEST_HEADERS:User-Agent", ["ARGS", "REQUEST_HEADERS:user-agent"]],
    ["ARGS|!ARGS:password|&ARGS:x", ["ARGS", "!ARGS:password", "&ARGS:x"]],
    ["TX:/^x_|y/|ARGS", ["TX~^x_|y", "ARGS"]],
    ["REQUEST_COOKIES:/a\\/b/", ["REQUEST_COOKIES~a/b"]],
    ["REQUEST_COOKIES:'/a|b/'|ARGS", ["REQUEST_COOKIES~a|b", "ARGS"]],
    ["XML:/*|XML://@*", ["XML:/*", "XML://@*"]],
    ["ARGS_NAMES:/^[\\w]+\\[x\\]$/", ["ARGS_NAMES~^[\\w]+\\[x\\]$"]],
    ["ARGS,FILES", ["ARGS", "FILES"]],
  ];
  for (const [text, targets] of CASES) {
    test(text, () => expect(rule(`SecRule ${text} "@rx a" "id:1"`).targets.map(showTarget)).toEqual([...targets]));
  }
});

describe("operators", () => {
  const CASES: readonly (readonly [text: string, name: string, negated: boolean, argument: string])[] = [
    ['"@rx ^a b$"', "rx", false, "^a b$"],
    ['"!@beginsWith /x"', "beginswith", true, "/x"],
    ['"^plain"', "rx", false, "^plain"],
    ['"!plain"', "rx", true, "plain"],
    ['"@rx say \\"hi\\""', "rx", false, 'say "hi"'],
    ['"@rx \\x22\\d"', "rx", false, "\\x22\\d"],
    ['"@detectSQLi"', "detectsqli", false, ""],
    ["@eq", "eq", false, ""],
  ];
  for (const [text, name, negated, argument] of CASES) {
    test(text, () => expect(rule(`SecRule ARGS ${text} "id:1"`).operator).toMatchObject({ name, negated, argument }));
  }
});

describe("actions", () => {
  const CASES: readonly (readonly [text: string, actions: readonly string[]])[] = [
    ["id:1,phase:2", ["id=1", "phase=2"]],
    ["id:1, msg:'a, b', t:none", ["id=1", "msg=a, b", "t=none"]],
    ["msg:'it\\'s',log", ["msg=it's", "log="]],
    ["setvar:tx.a='b, c',pass", ["setvar=tx.a='b, c'", "pass="]],
    ["setvar:'tx.a=+%{tx.b}'", ["setvar=tx.a=+%{tx.b}"]],
    ["ctl:ruleRemoveTargetById=1;ARGS:a[0][b]", ["ctl=ruleRemoveTargetById=1;ARGS:a[0][b]"]],
  ];
  for (const [text, actions] of CASES) {
    test(text, () => {
      const shown = rule(`SecRule ARGS a "${text}"`).actions.map(({ name, value }) => `${name}=${value}`);
      expect(shown).toEqual([...actions]);
    });
  }
});

test("continued lines keep their places, comments and empty lines are left out", () => {
  const text = '# a comment\r\n\r\nSecRule ARGS "@rx a" \\\r\n    "id:1,\\\r\n    nope:2"\nSecMarker END\n';
  const [first, second] = parseSecLang("a.conf", text);
  expect(first?.place).toEqual({ file: "a.conf", line: 3, column: 1 });
  expect((first as RuleSyntax).actions[1]?.place).toEqual({ file: "a.conf", line: 5, column: 5 });
  expect(second).toMatchObject({ kind: "directive", name: "SecMarker", words: ["END"], place: { line: 6 } });
});

describe("errors", () => {
  const CASES: readonly (readonly [name: string, text: string, message: RegExp])[] = [
    ["no directive", "SecRuel ARGS a", /^a\.conf:1:1: SecRuel is not a directive/],
    ["a quote that is not closed", 'SecRule ARGS "a', /^a\.conf:1:14: this " is not closed/],
    ["a quote of an action", `SecRule ARGS a "id:1,msg:'a"`, /^a\.conf:1:26: this ' is not closed/],
    ["too few words", "SecRule ARGS", /takes two or three words/],
    ["too many words", "SecRule ARGS a b c d", /takes two or three words/],
    ["no variable", 'SecRule "" a "id:1"', /^a\.conf:1:10: a rule needs at least one variable/],
    ["no name", 'SecRule "ARGS|!" a "id:1"', /^a\.conf:1:16: the name of a variable/],
    ["a section", "<Location />", /sections of a web server/],
    ["text behind a quote", 'SecRule ARGS "a"b', /white space is expected/],
    ["wrong separator", "SecRule ARGS;FILES a", /^a\.conf:1:13: "\|" is expected/],
  ];
  for (const [name, text, message] of CASES) {
    test(name, () => {
      expect(() => parseSecLang("a.conf", text)).toThrow(SecLangError);
      expect(() => parseSecLang("a.conf", text)).toThrow(message);
    });
  }
});
