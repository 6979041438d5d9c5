// The firewall as people use it: what it says of what it refused, what it suggests, what it only tries, and how it
// answers, over all versions of HTTP. One proxy, with the starter rules and the Core Rule Set that Debian packages.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { WafBlock } from "../src/control/waf-blocks.ts";
import type { Suggestion } from "../src/control/waf-suggestions.ts";
import { H3Client } from "./support/h3.ts";
import { answer, type Message, request } from "./support/message.ts";
import { NodeH2 } from "./support/node-h2.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess, sluice } from "./support/sluice.ts";
import { Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const CRS = "/usr/share/modsecurity-crs";
const LEAK = "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version";
const PACK = {
  gzip: (text: string) => gzipSync(text),
  br: (text: string) => brotliCompressSync(text),
  zstd: (text: string) => zstdCompressSync(text),
} as const;
const SCRIPT = "%3Cscript%3Ealert(1)%3C/script%3E";

const LONG = `<p>${"x".repeat(3_000_000)}</p>${LEAK}`;
const PAGES = { leak: `<p>${LEAK}</p>`, fine: "<p>fine</p>", long: LONG } as const;

const OWN = `
SecRule REQUEST_URI "@contains /gone" "id:1,phase:1,deny,status:410,msg:'Gone'"
SecRule REQUEST_URI "@contains /hang-up" "id:2,phase:1,drop,msg:'Dropped'"
SecRule ARGS_POST:act "@streq drop" "id:3,phase:2,drop,msg:'Dropped by its body'"
SecRule REQUEST_URI "@contains /elsewhere" "id:4,phase:1,redirect:'https://example.com/?%{ARGS.to}',status:307"
SecRule RESPONSE_HEADERS:X-Secret "@rx ." "id:5,phase:3,drop,msg:'Says too much'"
SecRule REQUEST_URI "@contains /own" "id:6,phase:1,deny,status:404,msg:'Only tried',tag:'trial'"
`;

const folder = new Folder();
let pki: Pki;
let backend: RawBackend;
let proxy: SluiceProcess;

beforeAll(async () => {
  pki = await Pki.make();
  const { cert, key } = await pki.files("app", { names: ["app.test"] });
  backend = await RawBackend.answering(({ target }) => {
    const [, kind, coding] = target.split("/");
    if (kind === "broken")
      return answer(200, "<p>not packed</p>", ["Content-Type: text/html", "Content-Encoding: gzip"]);
    const page = PAGES[kind as keyof typeof PAGES];
    if (page !== undefined) return packed(page, coding);
    return answer(200, "served", target === "/own/header" ? ["X-Secret: 1"] : []);
  });
  const rules = folder.write("own.conf", OWN);
  const audit = { path: `${folder.path}/audit.log`, parts: "ABCFHZ", redact: ["x-mine"] };
  const to = backend.url;
  proxy = await runConfig(folder, {
    workers: 1,
    shutdown: { drain: "20ms" },
    listeners: [
      { address: "127.0.0.1:0" },
      { address: "127.0.0.1:0", tls: { certificates: [{ cert, key }] }, http3: true },
    ],
    routes: [
      { name: "own", match: { path: "/own/*" }, waf: { rules, dryRun: { rules: ["trial"] } }, to },
      {
        name: "answers",
        match: { path: "/answers/*" },
        waf: { crs: CRS, responses: true },
        rewrite: { stripPrefix: "/answers" },
        to,
      },
      {
        name: "packed",
        match: { path: "/packed/*" },
        waf: { crs: CRS, responses: true },
        compress: { minSize: "1B", decompress: true },
        rewrite: { stripPrefix: "/packed" },
        to,
      },
      { name: "dry", match: { path: "/dry" }, waf: { crs: CRS, dryRun: { paranoia: 4 } }, to },
      { name: "none", match: { path: "/none" }, waf: { sample: "0%" }, to },
      { name: "shop", waf: { audit }, to },
    ],
  });
}, 60_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  pki[Symbol.dispose]();
  folder[Symbol.dispose]();
});

function packed(text: string, coding: string | undefined): string {
  const pack = PACK[coding as keyof typeof PACK];
  const fields = ["Content-Type: text/html"];
  if (pack === undefined) return answer(200, text, fields);
  return answer(200, pack(text).toString("latin1"), [...fields, `Content-Encoding: ${coding}`]);
}

const ask = (target: string, fields: readonly string[] = [], method = "GET", body = ""): Promise<Message> =>
  exchange(proxy.port(), request(target, ["User-Agent: test", "Accept: */*", ...fields], method, body));

const blocks = async (query: string): Promise<WafBlock[]> =>
  (await proxy.admin("GET", `/api/waf/blocks?${query}`)).body as WafBlock[];

/** What is told of a request comes to the supervisor a moment later. */
async function blockOf(id: string): Promise<WafBlock> {
  let found: WafBlock[] = [];
  await until(async () => (found = await blocks(`id=${id}`)).length > 0, `a block of ${id}`);
  return found[0]!;
}

/** The request id in an answer that was made here. */
const idOf = (body: string): string => (JSON.parse(body) as { requestId: string }).requestId;

describe("a block", () => {
  test("is explained by its id: rules, what they matched in, and what each added", async () => {
    const refused = await ask(`/search?q=${SCRIPT}&token=verysecret`);
    expect(refused.status).toBe(403);
    const block = await blockOf(idOf(refused.body));
    expect(block).toMatchObject({
      route: "shop",
      decision: "block",
      rule: 990900,
      score: 5,
      threshold: 5,
      status: 403,
    });
    expect(block.matches[0]).toMatchObject({ rule: 990502, variable: "ARGS:q", score: 5, dry: false });
    expect(block.matches[0]!.value).toBe("<script>alert(1)</script>");
    expect(JSON.stringify(block)).not.toContain("verysecret");
    const { out, code } = await sluice(["waf", "explain", block.requestId, "--admin", new URL(proxy.adminUrl).host]);
    expect(out).toContain("990502 +5 Cross-site scripting\n      in ARGS:q");
    expect(code).toBe(0);
  });

  test("of another proxy, or of long ago, is said to be unknown", async () => {
    const { err, code } = await sluice(["waf", "explain", "nobody", "--admin", new URL(proxy.adminUrl).host]);
    expect([err.includes("nothing is known of request nobody"), code]).toEqual([true, 1]);
    expect((await proxy.admin("GET", "/api/waf/blocks?last=x")).status).toBe(400);
  });

  test("is refused alike over HTTP/1.1, HTTP/2 and HTTP/3", async () => {
    await using h2 = await NodeH2.connect(`https://localhost:${proxy.port(1)}`);
    await using h3 = await H3Client.connect(proxy.port(1));
    const target = `/three?q=${SCRIPT}`;
    const [one, two, three] = [await ask(target), await h2.ask({ path: target }), await h3.get(target)];
    expect([one.status, two.status, three.status]).toEqual([403, 403, 403]);
    for (const body of [one.body, two.body, three.body.toString()]) {
      expect((await blockOf(idOf(body))).matches[0]!.rule).toBe(990502);
    }
    expect([(await ask("/own/gone")).status, (await h2.ask({ path: "/own/gone" })).status]).toEqual([410, 410]);
    expect((await h3.get("/own/gone")).status).toBe(410);
    expect((await h2.ask({ path: "/own/hang-up" })).error).not.toBe("");
    expect((await h3.get("/own/hang-up")).status).toBe(0);
    expect((await h2.ask({ path: "/after" })).body).toBe("served");
  });
});

describe("rules decide how", () => {
  test("a status of their own, without a word of them", async () => {
    const gone = await ask("/own/gone");
    expect(gone.status).toBe(410);
    expect(Object.keys(JSON.parse(gone.body))).toEqual(["type", "title", "status", "detail", "requestId"]);
  });
  test("a connection that is closed without an answer", async () => {
    for (const [target, body] of [
      ["/own/hang-up", ""],
      ["/own/form", "act=drop"],
      ["/own/header", ""], // for what the server's answer says
    ] as const) {
      await using peer = await Peer.connect(proxy.port());
      let received = "";
      peer.socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
      });
      const form = "Content-Type: application/x-www-form-urlencoded";
      peer.send(request(target, [form], body === "" ? "GET" : "POST", body));
      await until(() => peer.ended, "the end of the connection");
      expect(received).toBe("");
    }
  });
  test("a redirect, with what the request says made harmless", async () => {
    const moved = await ask("/own/elsewhere?to=a%0d%0aX:%20b");
    expect([moved.status, moved.field("location")]).toEqual([307, "https://example.com/?a%0D%0AX:%20b"]);
  });
});

describe("answers", () => {
  for (const coding of ["plain", "gzip", "br", "zstd"]) {
    test(`that tell secrets are refused as a whole: ${coding}`, async () => {
      const refused = await ask(`/answers/leak/${coding}`);
      expect([refused.status, refused.body.includes("SQL")]).toEqual([403, false]);
      const fine = await ask(`/answers/fine/${coding}`);
      expect(fine.status).toBe(200);
      const expected =
        coding === "plain" ? "<p>fine</p>" : PACK[coding as keyof typeof PACK]("<p>fine</p>").toString("latin1");
      expect(fine.body).toBe(expected);
      expect(fine.field("content-length")).toBe(String(expected.length));
    });
  }
});

test("answers over HTTP/2 and HTTP/3 are refused as a whole, too", async () => {
  await using h2 = await NodeH2.connect(`https://localhost:${proxy.port(1)}`);
  await using h3 = await H3Client.connect(proxy.port(1));
  for (const [target, status] of [
    ["/answers/leak/gzip", 403],
    ["/answers/fine/br", 200],
    ["/answers/long/plain", 200],
  ] as const) {
    const [two, three] = [await h2.ask({ path: target }), await h3.get(target)];
    expect([target, two.status, three.status]).toEqual([target, status, status]);
    if (target.includes("long")) expect([two.body.length, three.body.length]).toEqual([LONG.length, LONG.length]);
  }
});

describe("long answers", () => {
  test("go through whole, whatever lies behind what is looked at", async () => {
    const long = await ask("/answers/long/plain");
    expect([long.status, long.body.length, long.body.endsWith(LEAK)]).toEqual([200, LONG.length, true]);
  });
  test("that are little when packed, too", async () => {
    const long = await ask("/answers/long/gzip");
    expect([long.status, gunzipSync(Buffer.from(long.body, "latin1")).length]).toEqual([200, LONG.length]);
  });
  test("that are not what they say, as they came", async () => {
    const broken = await ask("/answers/broken/gzip");
    expect([broken.status, broken.body]).toEqual([200, "<p>not packed</p>"]);
  });
  test("are looked at before they are packed or unpacked for the client", async () => {
    for (const coding of ["plain", "br"]) {
      expect((await ask(`/packed/leak/${coding}`, ["Accept-Encoding: gzip"])).status).toBe(403);
      const fine = await ask(`/packed/fine/${coding}`, ["Accept-Encoding: gzip"]);
      const isPacked = fine.field("content-encoding") === "gzip";
      const text = isPacked ? gunzipSync(Buffer.from(fine.body, "latin1")).toString() : fine.body;
      expect([fine.status, text]).toEqual([200, "<p>fine</p>"]);
      expect(isPacked).toBe(coding === "plain");
    }
  });
});

describe("what is only tried", () => {
  test("does not refuse, and is told of", async () => {
    expect((await ask("/own/tried", ["X-Request-Id: tried-1"])).status).toBe(200);
    await until(
      async () => (await blocks("last=500")).some(({ route, decision }) => route === "own" && decision === "detect"),
      "it",
    );
    const found = (await blocks("last=500")).find(({ decision, route }) => route === "own" && decision === "detect")!;
    expect(found.matches).toMatchObject([{ rule: 6, dry: true }]);
  });
  test("a higher paranoia level finds more, and lets through", async () => {
    const target = "/dry?q=%24%40%7e%5e%25%26*%28%29%2b";
    expect((await ask(target)).status).toBe(200);
    await until(async () => (await blocks("last=500")).some(({ route }) => route === "dry"), "a block of the dry run");
    const found = (await blocks("last=500")).find(({ route }) => route === "dry")!;
    expect(found.decision).toBe("detect");
    expect(found.triedScore).toBeGreaterThan(found.score);
  });
  test("a share of the requests alone is looked at", async () => {
    expect((await ask(`/none?q=${SCRIPT}`)).status).toBe(200);
  });
});

describe("suggestions", () => {
  test("are ready to be written into the configuration", async () => {
    const found = async () => (await proxy.admin("GET", "/api/waf/suggestions")).body as Suggestion[];
    await ask(`/search?comment=${SCRIPT}`);
    await until(async () => (await found()).some(({ target }) => target === "ARGS:comment"), "a suggestion");
    const one = (await found()).find(({ target }) => target === "ARGS:comment")!;
    expect(one).toMatchObject({
      route: "shop",
      rule: 990502,
      exclude: { rule: 990502, target: "ARGS:comment" },
      line: '- { rule: 990502, target: "ARGS:comment" }',
    });
    const { out } = await sluice(["waf", "suggest", "--admin", new URL(proxy.adminUrl).host]);
    expect(out).toContain(`  ${one.line}  # `);
  });
});

describe("the audit log", () => {
  test("has the transaction with its parts, and no secrets", async () => {
    const path = `${folder.path}/audit.log`;
    const fields = ["Authorization: Bearer abcdefgh", "Cookie: id=ijklmnop", "X-Mine: qrstuvwx"];
    const form = "Content-Type: application/x-www-form-urlencoded";
    const refused = await ask("/audited", [form, ...fields], "POST", `password=opensesame&q=${SCRIPT}`);
    const id = idOf(refused.body);
    const lineOf = (): string | undefined =>
      readFileSync(path, "utf8")
        .split("\n")
        .find((line) => line.includes(id));
    await until(() => lineOf() !== undefined, "the line");
    const { transaction } = JSON.parse(lineOf()!);
    expect(transaction).toMatchObject({
      unique_id: id,
      request: { method: "POST", uri: "/audited", headers: { Authorization: "***", Cookie: "***", "X-Mine": "***" } },
      response: { http_code: 403 },
      sluice: { route: "shop", decision: "block", rule: 990900 },
    });
    expect(transaction.request.body).toBe(`password=***&q=${SCRIPT}`);
    expect(transaction.messages[0].details).toMatchObject({ ruleId: "990502", variable: "ARGS:q" });
    expect(lineOf()).not.toMatch(/abcdefgh|ijklmnop|qrstuvwx|opensesame/);
    const { out } = await sluice(["waf", "suggest", "--audit", path, "--json"]);
    expect((JSON.parse(out) as Suggestion[]).map(({ rule, target }) => `${rule} ${target}`)).toContain("990502 ARGS:q");
  });
});

describe("events", () => {
  test("are told as they come: requests, matches, reloads", async () => {
    const abort = new AbortController();
    const response = await fetch(`${proxy.adminUrl}/api/events`, { signal: abort.signal });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    const reading = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of response.body!) text += decoder.decode(chunk, { stream: true });
    })().catch(() => {});
    await until(() => text.includes("retry: "), "the beginning");
    await until(async () => {
      await ask("/watched?secret=1");
      return text.includes("event: request\n");
    }, "a request");
    await ask(`/search?q=${SCRIPT}`);
    await until(() => text.includes("event: waf\n"), "a match");
    await proxy.reload();
    await until(() => text.includes("event: reload\n"), "the reload");
    expect(text).toContain('"path":"/watched"');
    expect(text).not.toContain("secret=1");
    abort.abort();
    await reading;
  });
  test("of one kind alone, and of none that there is not", async () => {
    expect((await fetch(`${proxy.adminUrl}/api/events?kinds=nonsense`)).status).toBe(400);
  });
});

describe("tuning", () => {
  /** The way that docs/firewall.md tells of, on a shop where people write about HTML. */
  test("from detection by a suggestion to blocking", async () => {
    const file = folder.write("tuned.json", {});
    const page = `http://shop.example/comment?text=${SCRIPT}`;
    const config = (waf: object): void =>
      writeFileSync(
        file,
        JSON.stringify({ listeners: [{ address: "127.0.0.1:0" }], routes: [{ name: "shop", waf, respond: {} }] }),
      );
    const decision = async (url: string) => {
      const { out, code } = await sluice(["waf", "test", url, "-c", file, "--json"]);
      return [(JSON.parse(out) as { decision: string }).decision, code];
    };
    config({ mode: "detect" });
    expect(await decision(page)).toEqual(["detect", 0]);
    config({ mode: "block" });
    expect(await decision(page)).toEqual(["block", 4]);
    config({ mode: "block", exclude: [{ rule: 990502, target: "ARGS:text" }] });
    expect(await decision(page)).toEqual(["pass", 0]);
    expect(await decision(`http://shop.example/comment?other=${SCRIPT}`)).toEqual(["block", 4]);
  });
});
