// The quick ways decide as the slow ones: rules with the prefilter as without, and no transformation changes a value in
// which none of the bytes occur that it is said to need. `bun src/engines/waf/waf.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { Triggers } from "./rules/triggers.ts";
import { type Report, Transaction } from "./transaction/transaction.ts";
import { transformation } from "./transformations/index.ts";
import { inSteps, inspect, programOf, TestHost, type TestRequest } from "./waf.testing.ts";

const WORDS = [
  "select",
  "Union",
  "<script",
  "etc/passwd",
  "../",
  "a",
  "%41",
  "\\x41",
  "&lt;",
  "x y",
  "/*c*/",
  "\0",
  "é",
];
const PATTERNS = [
  "union\\s+select",
  "(?i)UNION",
  "<script\\b",
  "^a+$",
  "(?:etc|usr)/pass",
  "\\.\\./",
  "x|y",
  "([a-z])\\1",
  "union.*([a-z])[^x]*\\1",
  "s.l",
  "[\\x00]",
];
const TARGETS = ["ARGS", "ARGS_NAMES", "REQUEST_HEADERS", "REQUEST_COOKIES", "REQUEST_URI", "REQUEST_BODY", "ARGS:a"];
const STEPS = ["lowercase", "urlDecodeUni", "htmlEntityDecode", "jsDecode", "removeNulls", "cmdLine", "normalizePath"];
const MORE_STEPS = [
  "replaceComments",
  "compressWhitespace",
  "removeWhitespace",
  "utf8toUnicode",
  "cssDecode",
  "length",
];

const some = <T>(rng: Rng, from: readonly T[], most: number): T[] =>
  Array.from({ length: 1 + rng.below(most) }, () => rng.pick(from));

function operatorOf(rng: Rng): string {
  const negated = rng.oneIn(6) ? "!" : "";
  const plain = WORDS.filter((word) => !/[\0\\ ]/.test(word));
  const kind = rng.below(4);
  if (kind === 0) return `${negated}@pm ${some(rng, plain, 3).join(" ")}`;
  if (kind === 1) return `${negated}@contains ${rng.pick(plain)}`;
  if (kind === 2) return `${negated}@beginsWith ${rng.pick(plain)}`;
  // Tables of expressions are shared: most are to be new, so that searches wait within them.
  return `${negated}@rx ${rng.pick(PATTERNS)}(?:${rng.below(1_000_000)})?`;
}

function rulesOf(rng: Rng): string {
  const rules = Array.from({ length: 1 + rng.below(8) }, (_, at) => {
    const steps = rng.oneIn(3) ? [] : some(rng, [...STEPS, ...MORE_STEPS], 3);
    const targets = some(rng, TARGETS, 3);
    if (rng.oneIn(4)) targets.push("!ARGS:b");
    const chain = rng.oneIn(5);
    const multi = rng.oneIn(5) ? ",multiMatch" : "";
    const actions = `id:${at + 1},capture,setvar:tx.n=+1,logdata:'%{TX.0} %{MATCHED_VAR}'${multi}`;
    const names = steps.map((step) => `,t:${step}`).join("");
    const rule = `SecRule ${targets.join("|")} "${operatorOf(rng)}" "${actions}${names}${chain ? ",chain" : ""}"`;
    return chain ? `${rule}\nSecRule MATCHED_VARS|ARGS "${operatorOf(rng)}"` : rule;
  });
  // Compared for each transaction, whatever is known of its values.
  rules.splice(rng.below(rules.length + 1), 0, 'SecRule TX:m "@ge 20" "id:98"');
  return `SecAction "id:97,phase:1,nolog,setvar:tx.m=1"\n${rules.join("\n")}\nSecRule TX:n "@ge 3" "id:99,deny"`;
}

const text = (rng: Rng): string => some(rng, WORDS, 4).join(rng.pick(["", " ", "+"]));
const encoded = (value: string): string =>
  value.replace(/[^a-zA-Z/.<+]/g, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`);

/** A request made of the words that rules look for. */
function requestOf(rng: Rng): TestRequest {
  const pairs = (): string =>
    some(rng, ["a", "b", "Select"], 3)
      .map((name) => `${name}=${encoded(text(rng))}`)
      .join("&");
  return {
    method: "POST",
    target: `/${encoded(text(rng))}?${pairs()}`,
    headers: [
      ["Content-Type", "application/x-www-form-urlencoded"],
      ["User-Agent", text(rng)],
      ["Cookie", `a=${text(rng)}; b=${text(rng)}`],
    ],
    body: pairs(),
  };
}

const shown = (tx: Transaction, request: TestRequest, most?: number): string => show(inspect(tx, request, most));

function show({ matches, interruption }: Report): string {
  const said = matches.map(({ rule, variable, data, count }) => `${rule.id} ${variable} ${data} ${count}`);
  return JSON.stringify([said, interruption]);
}

/** Two transactions over the same rules, each used for several requests, say the same. */
export function prefilterLaw(rng: Rng): void {
  const rules = rulesOf(rng);
  const [quick, slow] = [true, false].map(
    (prefilter) => new Transaction(programOf(rules, { prefilter }), new TestHost()),
  );
  for (let round = 0; round < 3; round += 1) {
    const request = requestOf(rng);
    const [with_, without] = [shown(quick!, request), shown(slow!, request)];
    if (with_ !== without) throw new Error(`${rules}\n${JSON.stringify(request)}\nwith ${with_}\nwithout ${without}`);
  }
}

/** A transaction that is run in steps, however short they are, says the same as one that is run at once. */
export function stepsLaw(rng: Rng): void {
  const rules = rulesOf(rng);
  const [whole, cut] = [0, 1].map(() => new Transaction(programOf(rules), new TestHost()));
  for (let round = 0; round < 2; round += 1) {
    const request = requestOf(rng);
    const most = 1 + rng.below(rng.oneIn(2) ? 100 : 5000);
    // First in steps, while the tables of the expressions are still to be made.
    const [steps, at] = [shown(cut!, request, most), shown(whole!, request)];
    if (at !== steps) throw new Error(`${rules}\n${JSON.stringify(request)}\nat once ${at}\nby ${most} ${steps}`);
  }
}

/** As many steps as a transaction of these sizes can take, and more. */
const TURNS_MAX = 1_000_000;

/** Transactions over the same rules that are run in turns, many with the same values, say what each says alone. */
export function turnsLaw(rng: Rng): void {
  const rules = rulesOf(rng);
  const program = programOf(rules);
  const most = 1 + rng.below(rng.oneIn(2) ? 100 : 5000);
  const first = requestOf(rng);
  const requests = Array.from({ length: 2 + rng.below(3) }, () => (rng.oneIn(3) ? requestOf(rng) : first));
  const runs = requests.map((request, at) => ({
    at,
    steps: inSteps(new Transaction(program, new TestHost()), request, () => most),
  }));
  const said: string[] = [];
  for (let turns = 0; runs.length > 0 && turns < TURNS_MAX; turns += 1) {
    const run = rng.pick(runs);
    const { done, value } = run.steps.next();
    if (done !== true) continue;
    said[run.at] = show(value);
    runs.splice(runs.indexOf(run), 1);
  }
  // Afterwards, as expressions would be ready by then.
  const alone = requests.map((request) => shown(new Transaction(programOf(rules), new TestHost()), request));
  const wrong = alone.findIndex((each, at) => each !== said[at]);
  if (wrong >= 0)
    throw new Error(`${rules}\n${JSON.stringify(requests)}\n${wrong}: ${said[wrong]}\nalone ${alone[wrong]}`);
}

const NAMES = [
  ...STEPS,
  ...MORE_STEPS,
  "uppercase",
  "urlDecode",
  "replaceNulls",
  "removeComments",
  "removeCommentsChar",
];
const MORE_NAMES = ["normalizePathWin", "trim", "trimLeft", "trimRight", "escapeSeqDecode"];

export function triggersLaw(rng: Rng): void {
  const name = rng.pick([...NAMES, ...MORE_NAMES]);
  const triggers = new Triggers();
  const trigger = triggers.of(name);
  const letters = Array.from({ length: rng.below(30) }, () =>
    rng.oneIn(3) ? rng.pick(WORDS) : String.fromCharCode(rng.below(256)),
  );
  const value = letters.join("");
  if ((triggers.classesOf(value) & trigger) !== 0) return;
  if (transformation(name)!(value) !== value) throw new Error(`${name} changes ${JSON.stringify(value)}`);
}

if (import.meta.main) {
  runAlone("waf", (rng) => {
    prefilterLaw(rng);
    stepsLaw(rng);
    turnsLaw(rng);
    triggersLaw(rng);
  });
}
