import { describe, expect, test } from "bun:test";
import { compileRules } from "./rules/compiler.ts";
import { Transaction } from "./transaction/transaction.ts";
import { idsOf, inspect, programOf, TestHost, type TestRequest, transactionOf } from "./waf.testing.ts";

const FORM = ["Content-Type", "application/x-www-form-urlencoded"] as const;
const JSON_TYPE = ["Content-Type", "application/json"] as const;
const get = (target: string, headers: TestRequest["headers"] = []): TestRequest => ({ target, headers });

describe("matching", () => {
  const CASES: readonly (readonly [name: string, rules: string, request: TestRequest, ids: readonly number[]])[] = [
    ["an argument", 'SecRule ARGS "@rx ^b$" "id:1"', get("/?a=b"), [1]],
    [
      "an argument of a form",
      'SecRule ARGS:x "@streq é" "id:1"',
      { method: "POST", headers: [FORM], body: "x=%E9" },
      [1],
    ],
    ["JSON", 'SecRule ARGS:json.a "@streq 1" "id:1"', { method: "POST", headers: [JSON_TYPE], body: '{"a":1}' }, [1]],
    [
      "names without case",
      'SecRule REQUEST_HEADERS:user-AGENT "@streq x" "id:1"',
      get("/", [["User-Agent", "x"]]),
      [1],
    ],
    ["negation", 'SecRule ARGS "!@rx ^b$" "id:1"', get("/?a=b&c=d"), [1]],
    ["negation over none", 'SecRule ARGS:z "!@rx ^b$" "id:1"', get("/?a=b"), []],
    ["a count", 'SecRule &ARGS "@eq 2" "id:1"', get("/?a=b&c=d"), [1]],
    ["a count of none", 'SecRule &ARGS:z "@eq 0" "id:1"', get("/?a=b"), [1]],
    ["an exclusion", 'SecRule ARGS|!ARGS:a "@rx b" "id:1"', get("/?a=b"), []],
    ["an exclusion by expression", 'SecRule ARGS|!ARGS:/^a/ "@rx b" "id:1"', get("/?ab=b"), []],
    ["a selector by expression", 'SecRule ARGS:/^a/ "@rx b" "id:1"', get("/?A1=b"), [1]],
    ["names", 'SecRule ARGS_NAMES "@streq a" "id:1"', get("/?a=b"), [1]],
    ["cookies", 'SecRule REQUEST_COOKIES:s "@streq 1" "id:1"', get("/", [["Cookie", "t=2; s=1"]]), [1]],
    ["the path is decoded", 'SecRule REQUEST_FILENAME "@streq /a b" "id:1"', get("/a%20b?c"), [1]],
    ["the base name", 'SecRule REQUEST_BASENAME "@streq c" "id:1"', get("/a/c?d/e"), [1]],
    ["transformations", 'SecRule ARGS "@streq ab" "id:1,t:lowercase,t:removeWhitespace"', get("/?a=A+B"), [1]],
    ["t:none forgets", 'SecRule ARGS "@streq A" "id:1,t:lowercase,t:none"', get("/?a=A"), [1]],
    ["multiMatch", 'SecRule ARGS "@streq A" "id:1,multiMatch,t:lowercase"', get("/?a=A"), [1]],
    ["a chain", 'SecRule ARGS:a b "id:1,chain"\nSecRule ARGS:c d', get("/?a=b&c=d"), [1]],
    ["half a chain", 'SecRule ARGS:a b "id:1,chain"\nSecRule ARGS:c d', get("/?a=b&c=e"), []],
    [
      "captures along a chain",
      'SecRule ARGS "@rx (\\d)-(\\d)" "id:1,capture,chain"\nSecRule TX:2 "@lt %{tx.1}"',
      get("/?a=5-3"),
      [1],
    ],
    ["MATCHED_VARS", 'SecRule ARGS x "id:1,chain"\nSecRule MATCHED_VARS "@rx ^xy$"', get("/?a=x&b=xy"), [1]],
    [
      "skipAfter",
      'SecAction "id:1,phase:2,skipAfter:M,nolog"\nSecRule ARGS b "id:2"\nSecMarker M\nSecRule ARGS b "id:3"',
      get("/?a=b"),
      [3],
    ],
    ["skip", 'SecAction "id:1,phase:2,skip:1,nolog"\nSecRule ARGS b "id:2"\nSecRule ARGS b "id:3"', get("/?a=b"), [3]],
    [
      "phases in their order",
      'SecAction "id:2,phase:2"\nSecAction "id:1,phase:1"\nSecAction "id:5,phase:5"',
      get("/"),
      [1, 2, 5],
    ],
    ["@pm", 'SecRule ARGS "@pm one TWO" "id:1"', get("/?a=xtwox"), [1]],
    ["@within", 'SecRule REQUEST_METHOD "!@within GET POST" "id:1"', { method: "PUT" }, [1]],
    ["@ipMatch", 'SecRule REMOTE_ADDR "@ipMatch 192.0.2.0/24" "id:1"', get("/"), [1]],
    ["@validateByteRange", 'SecRule ARGS "@validateByteRange 32-126" "id:1"', get("/?a=%01"), [1]],
    ["@validateUtf8Encoding", 'SecRule ARGS "@validateUtf8Encoding" "id:1"', get("/?a=%C0%AF"), [1]],
    ["@validateUrlEncoding", 'SecRule REQUEST_URI_RAW "@validateUrlEncoding" "id:1"', get("/?a=%4"), [1]],
    ["@verifyCC", 'SecRule ARGS "@verifyCC \\d{13,16}" "id:1"', get("/?a=4111111111111111"), [1]],
    ["no card", 'SecRule ARGS "@verifyCC \\d{13,16}" "id:1"', get("/?a=4111111111111112"), []],
    ["a removed rule", 'SecRule ARGS b "id:1"\nSecRuleRemoveById 1', get("/?a=b"), []],
    ["removed by tag", `SecRule ARGS b "id:1,tag:'x/y'"\nSecRuleRemoveByTag ^x/`, get("/?a=b"), []],
    ["an updated target", 'SecRule ARGS b "id:1"\nSecRuleUpdateTargetById 1 !ARGS:a', get("/?a=b"), []],
    ["an updated action", 'SecRule ARGS b "id:1"\nSecRuleUpdateActionById 1 nolog', get("/?a=b"), []],
    [
      "ctl removes a rule",
      'SecAction "id:1,phase:1,nolog,ctl:ruleRemoveById=2"\nSecRule ARGS b "id:2"',
      get("/?a=b"),
      [],
    ],
    [
      "ctl removes a target",
      'SecAction "id:1,phase:1,nolog,ctl:ruleRemoveTargetById=2;ARGS:a"\nSecRule ARGS b "id:2"',
      get("/?a=b&c=b"),
      [2],
    ],
    ["ctl turns off", 'SecAction "id:1,phase:1,nolog,ctl:ruleEngine=Off"\nSecRule ARGS b "id:2"', get("/?a=b"), []],
    ["nolog says nothing", 'SecRule ARGS b "id:1,nolog"', get("/?a=b"), []],
    ["a status", 'SecRule RESPONSE_STATUS "@rx ^5" "id:1,phase:3"', { status: 500 }, [1]],
    [
      "the body of an answer",
      'SecResponseBodyAccess On\nSecRule RESPONSE_BODY "@contains secret" "id:1,phase:4"',
      { responseHeaders: [["content-type", "text/html; charset=x"]], responseBody: "a secret" },
      [1],
    ],
    [
      "types that are not looked at",
      'SecResponseBodyAccess On\nSecRule RESPONSE_BODY "@contains secret" "id:1,phase:4"',
      { responseHeaders: [["content-type", "image/png"]], responseBody: "a secret" },
      [],
    ],
    [
      "an upload",
      'SecRule FILES "@endsWith .php" "id:1"\nSecRule ARGS:n "@streq v" "id:2"\nSecRule MULTIPART_PART_HEADERS:f "@contains image/png" "id:3"',
      {
        method: "POST",
        headers: [["Content-Type", "multipart/form-data; boundary=B"]],
        body: '--B\r\nContent-Disposition: form-data; name="n"\r\n\r\nv\r\n--B\r\nContent-Disposition: form-data; name="f"; filename="a.php"\r\nContent-Type: image/png\r\n\r\nx\r\n--B--\r\n',
      },
      [1, 2, 3],
    ],
    [
      "XML",
      'SecRule XML:/* "@contains text" "id:1"\nSecRule XML://@* "@streq v" "id:2"',
      { method: "POST", headers: [["Content-Type", "text/xml"]], body: '<a b="v">text</a>' },
      [1, 2],
    ],
    [
      "parts of XML that are taken out",
      'SecRule XML:/*|XML://@*|!XML:/* "@rx [tv]" "id:1"\nSecRule XML:/* "@rx t" "id:2"\nSecRule XML://@* "@rx v" "id:3"\nSecAction "id:4,phase:1,nolog,pass,ctl:ruleRemoveTargetById=3;XML://@*"\nSecRuleUpdateTargetById 2 "!XML:/*"',
      { method: "POST", headers: [["Content-Type", "text/xml"]], body: '<a b="v">text</a>' },
      [1],
    ],
    [
      "types of forms by how they begin",
      'SecRule ARGS:a "@streq b" "id:1"',
      { method: "POST", headers: [["Content-Type", "Application/x-www-form-urlencodedX"]], body: "a=b" },
      [1],
    ],
    [
      "a body that cannot be read is seen as it came",
      'SecRule REQBODY_ERROR "@eq 1" "id:1"\nSecRule REQUEST_BODY "@contains evil" "id:2"',
      { method: "POST", headers: [["Content-Type", "text/xml"]], body: "<a>evil" },
      [1, 2],
    ],
  ];
  for (const [name, rules, request, ids] of CASES) {
    test(name, () => expect(idsOf(inspect(transactionOf(rules), request))).toEqual([...ids]));
  }
});

describe("decisions", () => {
  const CASES: readonly (readonly [name: string, rules: string, decision: object | null])[] = [
    ["deny", 'SecRule ARGS b "id:1,deny"', { action: "deny", status: 403, rule: 1 }],
    ["a status", 'SecRule ARGS b "id:1,deny,status:418"', { action: "deny", status: 418 }],
    [
      "redirect",
      "SecRule ARGS b \"id:1,redirect:'/x?%{REQUEST_METHOD}'\"",
      { action: "redirect", status: 302, url: "/x?GET" },
    ],
    ["drop", 'SecRule ARGS b "id:1,drop"', { action: "drop" }],
    ["block without a default", 'SecRule ARGS b "id:1,block"', null],
    ["block", 'SecDefaultAction "phase:2,deny,status:429"\nSecRule ARGS b "id:1,block"', { status: 429 }],
    ["the first one counts", 'SecRule ARGS b "id:1,deny"\nSecRule ARGS b "id:2,deny"', { rule: 1 }],
    ["allow ends all phases", 'SecRule ARGS b "id:1,phase:1,allow"\nSecRule ARGS b "id:2,deny"', null],
    ["allow of the phase", 'SecRule ARGS b "id:1,phase:1,allow:phase"\nSecRule ARGS b "id:2,deny"', { rule: 2 }],
    [
      "allow of the request",
      'SecRule ARGS b "id:1,phase:1,allow:request"\nSecRule ARGS b "id:2,deny"\nSecAction "id:3,phase:3,deny"',
      { rule: 3 },
    ],
    ["detection only", 'SecRuleEngine DetectionOnly\nSecRule ARGS b "id:1,deny"', null],
    ["off", 'SecRuleEngine Off\nSecRule ARGS b "id:1,deny"', null],
    ["nothing in the last phase", 'SecRule ARGS b "id:1,phase:5,deny"', null],
    [
      "scores",
      'SecRule ARGS b "id:1,pass,setvar:tx.s=+3"\nSecRule ARGS:c b "id:2,pass,setvar:tx.s=+2"\nSecRule TX:s "@ge 8" "id:3,deny"',
      { rule: 3 },
    ],
  ];
  for (const [name, rules, decision] of CASES) {
    test(name, () => {
      const { interruption } = inspect(transactionOf(rules), get("/?a=b&c=b"));
      if (decision === null) expect(interruption).toBeNull();
      else expect(interruption).toMatchObject(decision);
    });
  }

  test("what would have been decided is told", () => {
    const report = inspect(transactionOf('SecRuleEngine DetectionOnly\nSecRule ARGS b "id:7,deny"'), get("/?a=b"));
    expect(report.detected).toMatchObject({ rule: 7 });
  });

  test("a body beyond the limit is refused, or seen in part", () => {
    const rules = 'SecRequestBodyLimit 4\nSecRule ARGS "@streq 12" "id:1"\nSecRule INBOUND_DATA_ERROR "@eq 1" "id:2"\n';
    const post: TestRequest = { method: "POST", headers: [FORM], body: "a=12345" };
    expect(inspect(transactionOf(rules), post).interruption).toMatchObject({ status: 413, rule: 0 });
    const partial = inspect(transactionOf(`${rules}SecRequestBodyLimitAction ProcessPartial`), post);
    expect(idsOf(partial)).toEqual([1, 2]);
  });
});

describe("state", () => {
  test("a message is put together of what matched", () => {
    const text = `SecRule ARGS "@rx (b+)" "id:1,capture,severity:2,msg:'found %{TX.1}',logdata:'%{MATCHED_VAR_NAME}=%{MATCHED_VAR}'"`;
    const [match] = inspect(transactionOf(text), get("/?a=abbc")).matches;
    expect(match).toMatchObject({ message: "found bb", data: "ARGS:a=abbc", variable: "ARGS:a", value: "abbc" });
  });

  test("nothing of a request is left for the next one", () => {
    const rules =
      'SecAction "id:1,phase:1,nolog,ctl:ruleRemoveById=9,chain"\nSecRule ARGS:off 1\n' +
      'SecRule ARGS "@rx (x)" "id:2,nolog,capture,setvar:tx.n=+1,setvar:tx.made_%{MATCHED_VAR}=1"\n' +
      'SecRule TX:n "@eq 1" "id:3"\nSecRule TX:1 "@streq x" "id:4"\nSecRule TX:/^made_/ 1 "id:5"\nSecAction "id:9"';
    const tx = transactionOf(rules);
    expect(idsOf(inspect(tx, get("/?a=x&off=1")))).toEqual([3, 4, 5]);
    expect(idsOf(inspect(tx, get("/?a=y")))).toEqual([9]);
    expect(idsOf(inspect(tx, get("/?a=x")))).toEqual([3, 4, 5, 9]);
  });

  test("collections last from request to request, and entries expire", () => {
    const host = new TestHost();
    const rules =
      'SecAction "id:1,phase:1,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1,expirevar:ip.seen=60"\n' +
      'SecAction "id:2,phase:1,nolog,setvar:ip.count=+1,expirevar:ip.count=60"\nSecRule IP:count "@ge 2" "id:3"';
    const tx = new Transaction(programOf(rules), host);
    expect(idsOf(inspect(tx, get("/")))).toEqual([]);
    expect(idsOf(inspect(tx, get("/")))).toEqual([3]);
    host.time += 61_000;
    expect(idsOf(inspect(tx, get("/")))).toEqual([]);
  });

  test("a rule sets what it opens itself", () => {
    const rules =
      'SecAction "id:1,phase:1,nolog,setvar:ip.count=+1,initcol:ip=%{REMOTE_ADDR}"\nSecRule IP:count "@ge 2" "id:2"\n' +
      'SecAction "id:3,phase:1,nolog,setsid:%{REMOTE_ADDR},setvar:session.seen=1"\nSecRule SESSION:seen "@eq 1" "id:4"';
    const tx = new Transaction(programOf(rules), new TestHost());
    expect([idsOf(inspect(tx, get("/"))), idsOf(inspect(tx, get("/")))]).toEqual([[4], [2, 4]]);
  });

  test("places of addresses", () => {
    const host = new TestHost();
    host.places = { COUNTRY_CODE: "DE" };
    const rules =
      'SecRule REMOTE_ADDR "@geoLookup" "id:1,nolog,chain"\nSecRule GEO:COUNTRY_CODE "@streq DE" "setvar:tx.a=1"\nSecRule TX:a 1 "id:2"';
    expect(idsOf(inspect(transactionOf(rules, host), get("/")))).toEqual([2]);
  });

  test("lists in the DNS", () => {
    const host = new TestHost();
    host.lists.add("1.2.0.192.list.example");
    expect(idsOf(inspect(transactionOf('SecRule REMOTE_ADDR "@rbl list.example" "id:1"', host), get("/")))).toEqual([
      1,
    ]);
  });
});

describe("what cannot be loaded", () => {
  const CASES: readonly (readonly [name: string, text: string, message: RegExp])[] = [
    ["no id", "SecRule ARGS a", /test\.conf:1:1: a rule needs an id/],
    [
      "an id twice",
      'SecAction "id:1"\nSecAction "id:1"',
      /test\.conf:2:1: there is a rule 1 already, at test\.conf:1:1/,
    ],
    ["no variable", 'SecRule NOPE a "id:1"', /test\.conf:1:9: there is no variable NOPE/],
    ["entries of a value", 'SecRule REQUEST_URI:a a "id:1"', /is one value and has no entries/],
    ["no operator", 'SecRule ARGS "@nope" "id:1"', /there is no operator @nope/],
    [
      "a refused operator",
      'SecRule ARGS "@inspectFile x" "id:1"',
      /@inspectFile|@inspectfile is not supported: no programs/,
    ],
    ["no transformation", 'SecRule ARGS a "id:1,t:nope"', /test\.conf:1:22: there is no transformation nope/],
    ["no action", 'SecRule ARGS a "id:1,nope"', /there is no action nope/],
    ["a refused action", 'SecRule ARGS a "id:1,exec:/bin/x"', /the action exec is not supported/],
    ["an expression", 'SecRule ARGS "@rx (" "id:1"', /test\.conf:1:\d+: /],
    ["a chain without an end", 'SecRule ARGS a "id:1,chain"', /another SecRule has to follow/],
    ["a directive within a chain", 'SecRule ARGS a "id:1,chain"\nSecMarker X', /another SecRule has to follow/],
    ["deny within a chain", 'SecRule ARGS a "id:1,chain"\nSecRule ARGS b deny', /belongs to the first rule of a chain/],
    ["no data file", 'SecRule ARGS "@pmFromFile x.data" "id:1"', /the data file x\.data does not exist/],
    ["no included file", "Include x.conf", /there is no file x\.conf/],
    ["a refused directive", "SecRuleScript a.lua", /SecRuleScript is not supported: scripts are not run/],
    ["a wrong value", "SecRuleEngine Maybe", /SecRuleEngine needs one of on, off, detectiononly/],
    ["a wrong ctl", 'SecAction "id:1,ctl:nope=1"', /ctl has no nope/],
    ["a wrong macro", `SecAction "id:1,msg:'%{NOPE}'"`, /there is no variable NOPE, which %\{…\} asks for/],
    ["a wrong address", 'SecRule REMOTE_ADDR "@ipMatch 1.2.3" "id:1"', /is no address and no network/],
    ["a collection that is none", 'SecAction "id:1,setvar:args.a=1"', /setvar cannot change args/],
    ["a phase that is none", 'SecAction "id:1,phase:6"', /phase needs a number from 1 to 5/],
  ];
  for (const [name, text, message] of CASES) test(name, () => expect(() => programOf(text)).toThrow(message));

  test("what has no effect is told", () => {
    const text = 'SecUploadDir /tmp\nSecAction "id:1,skipAfter:NOWHERE"\nSecRuleRemoveById 99';
    const { warnings } = compileRules([{ file: "a.conf", text }]);
    expect(warnings).toEqual([
      "a.conf:1:1: SecUploadDir has no effect: bodies are held in memory and never written to files",
      "a.conf:3:1: SecRuleRemoveById 99 finds no rule",
      "a.conf:2:1: skipAfter:NOWHERE has no such marker after it: it skips all rules",
    ]);
  });

  test("files include others, within bounds", () => {
    const include = (pattern: string) => [{ file: pattern, text: "Include again.conf" }];
    expect(() => programOf("Include a.conf", { include })).toThrow(/include each other/);
    const { program } = compileRules([{ file: "a", text: "Include b" }], {
      include: (pattern) => [{ file: pattern, text: 'SecAction "id:1"' }],
    });
    expect(program.ruleCount).toBe(1);
  });
});

test("a target is decoded once, and words end at digits", () => {
  const tx = transactionOf(`SecRule REQUEST_URI "@contains <.b" "id:1,phase:1,pass"
SecRule REQUEST_URI_RAW "@contains %3c.b" "id:2,phase:1,pass"
SecRule ARGS "@containsWord b" "id:3,phase:1,pass"`);
  expect(idsOf(inspect(tx, { target: "/a?x=%3c.b" }))).toEqual([1, 2, 3]);
  expect(idsOf(inspect(tx, { target: "/a?x=%253c.b" }))).toEqual([3]);
  expect(idsOf(inspect(tx, { target: "/a?x=1b2&y=ab" }))).toEqual([3]);
  expect(idsOf(inspect(tx, { target: "/a?x=ab" }))).toEqual([]);
});

test("an expression that names the edges of a value is not hidden from by line ends", () => {
  const tx = transactionOf('SecRule ARGS "@rx ^a$" "id:1,phase:1,deny"');
  for (const value of ["a", "a%0a", "%0aa", "b%0aa%0ac"]) {
    expect(inspect(tx, { target: `/?x=${value}` }).interruption?.rule).toBe(1);
  }
  expect(inspect(tx, { target: "/?x=ab%0aba" }).interruption).toBeNull();
});

test("an expression that gives up is told to the rules after it, each time", () => {
  const rules = `SecRule ARGS "@rx ^(a*)(a*)(a*)(a*)\\1\\2\\3\\4b" "id:1,phase:1,deny"
SecRule TX:/^MSC_/ "!@streq 0" "id:2,phase:1,pass"
SecRule MSC_PCRE_LIMITS_EXCEEDED "@eq 1" "id:3,phase:1,deny"`;
  const tx = transactionOf(rules);
  const hopeless = { target: `/?x=${"a".repeat(3001)}c${"a".repeat(10)}b` };
  for (let round = 0; round < 2; round += 1) expect(idsOf(inspect(tx, hopeless))).toEqual([2, 3]);
  expect(idsOf(inspect(tx, { target: "/?x=ccb" }))).toEqual([]);
});

test("transactions with the same values, each waiting within a search, do not hold each other up", () => {
  const rules =
    'SecAction "id:4,phase:1,nolog,setvar:tx.n=5"\nSecRule ARGS "@rx union[abc]*z" "id:1"\nSecRule TX:n "@lt 1" "id:2"\nSecRule ARGS "@rx c$" "id:3"';
  const program = programOf(rules);
  const both = [new Transaction(program, new TestHost()), new Transaction(program, new TestHost())];
  for (const tx of both) {
    tx.begin({
      id: "id-1",
      method: "GET",
      target: `/?a=union${"abc".repeat(20)}`,
      protocol: "HTTP/1.1",
      remoteAddress: "192.0.2.1",
      remotePort: 1234,
      serverAddress: "192.0.2.2",
      serverPort: 80,
    });
    tx.requestHead();
    tx.beginRequestBody();
  }
  // As little as possible at a time: each look into a table that has to be made ends a step.
  let waiting = both;
  for (let steps = 0; steps < 1000 && waiting.length > 0; steps += 1) waiting = waiting.filter((tx) => tx.step(1));
  expect(waiting).toHaveLength(0);
  expect(both.map((tx) => idsOf(tx.logging(200)))).toEqual([[3], [3]]);
});
