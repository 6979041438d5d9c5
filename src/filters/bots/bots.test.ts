import { describe, expect, test } from "bun:test";
import { botsSchema } from "../../config/schema-abuse.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { type Shared, UNSHARED } from "../../pipeline/shared.ts";
import { contextOf } from "../context.testing.ts";
import { bots } from "./filter.ts";

/** A DNS of a few names: by address, and by name. What is not there has no records. */
class Dns {
  readonly asked: string[] = [];
  readonly #table: Readonly<Record<string, readonly string[] | null>>;
  constructor(table: Readonly<Record<string, readonly string[] | null>>) {
    this.#table = table;
  }
  readonly ask = async (name: string): Promise<readonly string[] | null> => {
    this.asked.push(name);
    const found = this.#table[name];
    return found === undefined ? [] : found;
  };
}

const DNS = {
  "66.249.66.1": ["crawl-66-249-66-1.googlebot.com"],
  "crawl-66-249-66-1.googlebot.com": ["66.249.66.1"],
  "192.0.2.1": ["host.isp.example"],
  "192.0.2.2": ["crawl-1.googlebot.com"], // anybody may say so of his own address
  "crawl-1.googlebot.com": ["66.249.66.9"],
  "192.0.2.3": ["evilgooglebot.com"],
  "evilgooglebot.com": ["192.0.2.3"],
  "192.0.2.4": null,
  "2001:db8::1": ["a.search.msn.com."],
  "a.search.msn.com": ["2001:db8:0:0:0:0:0:1"],
  "192.0.2.5": ["c.crawl.example"],
  "c.crawl.example": ["192.0.2.5"],
};

const GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const BING = "Mozilla/5.0 (compatible; bingbot/2.0)";

function filterOf(config: unknown, dns = new Dns(DNS), clock = { now: 0 }) {
  const shared: Shared = { ...UNSHARED, now: () => clock.now, namesOf: dns.ask, addressesOf: dns.ask };
  const [filter] = bots.compile({ bots: botsSchema.parse(config) }, contextOf({ shared }));
  return async (agent: string | null, ip = "198.51.100.1"): Promise<string> => {
    const headers = agent === null ? [] : [["user-agent", agent] as const];
    const outcome = (await filter!.request!(exchangeOf({ headers, ip }))) as { code: string } | undefined;
    return outcome?.code ?? "";
  };
}

describe("crawlers", () => {
  const CASES: readonly (readonly [name: string, agent: string, ip: string, want: string])[] = [
    ["a real one", GOOGLE, "66.249.66.1", ""],
    ["a name of somebody else", GOOGLE, "192.0.2.1", "bot.denied"],
    ["a name that does not lead back", GOOGLE, "192.0.2.2", "bot.denied"],
    ["a name that only ends alike", GOOGLE, "192.0.2.3", "bot.denied"],
    ["no name", GOOGLE, "192.0.2.99", "bot.denied"],
    ["no answer", GOOGLE, "192.0.2.4", ""],
    ["another crawler's", BING, "66.249.66.1", "bot.denied"],
    ["IPv6", BING, "2001:db8::1", ""],
    ["one of the configuration", "MyCrawler/1.0", "192.0.2.5", ""],
    ["a fake of that", "mycrawler", "192.0.2.1", "bot.denied"],
    ["no crawler", "Mozilla/5.0 Firefox/150.0", "192.0.2.1", ""],
  ];
  for (const [name, agent, ip, want] of CASES)
    test(name, async () =>
      expect(await filterOf({ crawlers: { MyCrawler: ["crawl.example"] } })(agent, ip)).toBe(want),
    );

  test("are asked about once an hour; where there was no answer, sooner", async () => {
    const dns = new Dns(DNS);
    const clock = { now: 0 };
    const ask = filterOf({}, dns, clock);
    for (let i = 0; i < 3; i += 1) expect(await ask(GOOGLE, "66.249.66.1")).toBe("");
    for (let i = 0; i < 3; i += 1) expect(await ask(GOOGLE, "192.0.2.4")).toBe("");
    expect(dns.asked).toEqual(["66.249.66.1", "crawl-66-249-66-1.googlebot.com", "192.0.2.4"]);
    clock.now = 31_000;
    await ask(GOOGLE, "192.0.2.4");
    await ask(GOOGLE, "66.249.66.1");
    expect(dns.asked).toHaveLength(4);
    clock.now = 3_600_001;
    await ask(GOOGLE, "66.249.66.1");
    expect(dns.asked).toHaveLength(6);
  });

  test("a flood of fakes is not looked up one by one", async () => {
    let asking = 0;
    let most = 0;
    const shared: Shared = {
      ...UNSHARED,
      namesOf: async () => {
        most = Math.max(most, (asking += 1));
        await Promise.resolve();
        asking -= 1;
        return [];
      },
    };
    const [filter] = bots.compile({ bots: botsSchema.parse({}) }, contextOf({ shared }));
    const all = Array.from({ length: 200 }, (_, i) =>
      filter!.request!(exchangeOf({ headers: [["user-agent", GOOGLE]], ip: `10.0.0.${i}` })),
    );
    await Promise.all(all);
    expect(most).toBe(32);
  });
});

describe("agents", () => {
  const CONFIG = { deny: ["Python-Requests", "~^curl/[67]"], allow: ["curl/7.88"], empty: "deny" };
  const CASES: readonly (readonly [agent: string | null, want: string])[] = [
    ["python-requests/2.31", "bot.denied"],
    ["x PYTHON-REQUESTS", "bot.denied"],
    ["curl/7.1", "bot.denied"],
    ["curl/8.1", ""],
    ["a curl/7.1", ""],
    ["curl/7.88.1", ""],
    [null, "bot.denied"],
    ["", "bot.denied"],
    ["Mozilla/5.0", ""],
  ];
  for (const [agent, want] of CASES) test(String(agent), async () => expect(await filterOf(CONFIG)(agent)).toBe(want));
  test("none at all may where nothing is said", async () => expect(await filterOf({})(null)).toBe(""));
  test("unverified crawlers may where nobody asks", async () =>
    expect(await filterOf({ verifyCrawlers: false })(GOOGLE, "192.0.2.1")).toBe(""));
  test("a pattern that is none", () =>
    expect(() => filterOf({ deny: ["a", "~("] })).toThrow("not a regular expression"));
});
