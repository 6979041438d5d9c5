// Nanoseconds of what the firewall does most, beside the runtime's own RegExp: `bun bench/waf.bench.ts`.
// Sketch: a search is a table look-up for each byte, about 1.5 ns, whatever the pattern; RegExp takes a part of that
// where it may skip ahead, and many times as much where it tries each place, so that no rule may depend on it. Captures
// cost two more passes over a match. Over a budget sets of states are made anew, or something is made for each call.
import { Collections, compileRules, type Host, Transaction } from "../src/engines/waf/index.ts";
import { LiteralSet } from "../src/engines/waf/literals/literal-set.ts";
import { compileRegex } from "../src/engines/waf/regex/regex.ts";
import { bench, finish } from "./per-call.ts";

/** Patterns in the manner of the rules for injections: what a firewall has hundreds of. */
const PATTERNS: readonly (readonly [name: string, pattern: string])[] = [
  ["words", "(?i)\\b(?:union\\s+(?:all\\s+)?select|insert\\s+into|drop\\s+table|sleep\\s*\\()"],
  ["a tag", "(?i)<[^\\w<>]*(?:script|iframe|object|svg|on\\w+\\s*=)[^>]*>"],
  ["quotes", "[\"'`]\\s*(?:or|and|x?or|not|\\|\\||&&)\\s*[\\w\"'`]+\\s*(?:=|<|>|like)"],
  ["anchored", "^(?:[a-z]+:)?//[^/\\s]+@"],
];
const VALUES: readonly (readonly [name: string, value: string])[] = [
  ["10 bytes", "red shoes2"],
  ["60 bytes", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*"],
];
const MANY_PLACES = `${"a ".repeat(512)}<`;

const flag = (found: boolean): number => (found ? 2 : 1);

for (const [name, pattern] of PATTERNS) {
  const regex = compileRegex(pattern);
  const native = new RegExp(pattern.replace("(?i)", ""), pattern.startsWith("(?i)") ? "is" : "s");
  for (const [size, value] of VALUES) {
    bench(`search: ${name}, ${size}`, value.length, 30 + value.length * 4, () => flag(regex.test(value)));
    bench("  the same by RegExp", value.length, 100_000, () => flag(native.test(value)));
  }
}

const captures = new Int32Array(20);
const version = compileRegex("(?i)version[ /]?(\\d+)\\.(\\d+)");
const agent = "Mozilla/5.0 (X11; Linux x86_64) Version/17.4 Safari/605.1";
bench("two captures", agent.length, 2500, () => flag(version.exec(agent, captures)));
const all = compileRegex("^.*$");
bench("the whole match alone", agent.length, 800, () => flag(all.exec(agent, captures)));

/** Words as lists of commands and files have them, so many that most states are links. */
const WORDS = Array.from({ length: 3000 }, (_, index) => `${(index * 7919).toString(36)}/${index % 97}.conf`);
const [few, many] = [new LiteralSet(WORDS.slice(0, 200)), new LiteralSet(WORDS)];
bench("200 words", agent.length, 250, () => few.find(agent) + 2);
bench("3000 words", agent.length, 350, () => many.find(agent) + 2);

/** A small rule set as one would write it by hand; Debian's rules are measured by `npm run bench`. */
const RULES = PATTERNS.map(
  ([, pattern], index) =>
    `SecRule ARGS|ARGS_NAMES|REQUEST_HEADERS "@rx ${pattern.replaceAll('"', '\\"')}" "id:${index + 1},phase:1,deny,t:none,t:urlDecodeUni"`,
);
const collections = new Collections(new SharedArrayBuffer(0), 0n);
const HOST: Host = { now: () => 0, collections, geo: () => null, listed: () => false };
const { program } = compileRules([{ file: "bench.conf", text: `SecRuleEngine On\n${RULES.join("\n")}\n` }]);
const transaction = new Transaction(program, HOST);
const LINE = {
  id: "1",
  method: "GET",
  target: "/products?category=shoes&page=2&q=red+running+shoes",
  protocol: "HTTP/1.1",
  remoteAddress: "192.0.2.1",
  remotePort: 40_000,
  serverAddress: "192.0.2.2",
  serverPort: 443,
};
bench("four rules over a GET", LINE.target.length, 15_000, () => {
  transaction.begin(LINE);
  transaction.requestHeader("Host", "www.example.com");
  transaction.requestHeader("User-Agent", agent);
  return transaction.requestHead() === null ? 1 : 0;
});

const places = compileRegex("a[^<]*x");
const nativePlaces = /a[^<]*x/s;
bench("1 KB where each place is tried", MANY_PLACES.length, 8000, () => flag(places.test(MANY_PLACES)));
const start = Bun.nanoseconds();
nativePlaces.test(MANY_PLACES);
console.log(`  the same by RegExp, once: ${Bun.nanoseconds() - start} ns`);

// Whatever comes, a step of the firewall ends after some two milliseconds: here each byte leads to a new set of states.
const hostile = compileRules([
  {
    file: "hostile.conf",
    text: 'SecRuleEngine On\nSecRequestBodyAccess On\nSecRule ARGS "@rx a.{12}[^ab]" "id:1,deny"\n',
  },
]);
const attacked = new Transaction(hostile.program, HOST);
let state = 1;
const noise = Array.from({ length: 120_000 }, () => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
  return (state >>> 16) & 1 ? "a" : "b";
}).join("");
let holds: number[] = [];
for (let round = 0; round < 3; round += 1) {
  holds = [];
  attacked.begin({ ...LINE, method: "POST" });
  attacked.requestHeader("Content-Type", "application/x-www-form-urlencoded");
  attacked.requestHead();
  attacked.requestPiece(Buffer.from(`x=${noise}`));
  attacked.beginRequestBody();
  for (let more = true; more; ) {
    const from = Bun.nanoseconds();
    more = attacked.step();
    holds.push((Bun.nanoseconds() - from) / 1e6);
  }
}
console.log(`120 KB made to be hard: ${holds.length} steps, the longest ${Math.max(...holds).toFixed(1)} ms`);

finish();
