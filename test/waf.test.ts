// The application firewall as clients meet it, with the Core Rule Set that Debian packages.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const CRS = "/usr/share/modsecurity-crs";
const BROWSER = ["User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept: */*"];
const FORM = "Content-Type: application/x-www-form-urlencoded";
const LEAK = "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version";

let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  backend = await RawBackend.answering((got) =>
    got.target === "/leak" ? answer(200, LEAK, ["Content-Type: text/html"]) : answer(200, got.body.slice(0, 100)),
  );
  proxy = await startProxy({
    routes: [
      { match: { path: "/detect" }, waf: { crs: CRS, mode: "detect" }, to: backend.url },
      { match: { path: "/leak" }, waf: { crs: CRS, responses: true }, to: backend.url },
      { waf: { crs: CRS }, to: backend.url },
    ],
  });
}, 60_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

const ask = (target: string, fields: readonly string[] = [], method = "GET", body = ""): Promise<Message> =>
  exchange(proxy.port, request(target, [...BROWSER, ...fields], method, body));

const ATTACK = "q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";

describe("requests", () => {
  test("of honest clients pass", async () => {
    expect((await ask("/shop?item=12&colour=dark+blue")).status).toBe(200);
    expect((await ask("/form", [FORM], "POST", "name=Ann+O%27Brien&text=Hello%2C+world")).body).toContain("O%27Brien");
    const json = await ask(
      "/api",
      ["Content-Type: application/json"],
      "POST",
      '{"name":"Ann","list":[1,2,{"a":true}]}',
    );
    expect(json.status).toBe(200);
  });

  test("that attack are refused with the request id, and no more", async () => {
    const before = backend.requests.length;
    const refused = await ask(`/search?${ATTACK}`, ["X-Request-Id: abc"]);
    expect(refused.status).toBe(403);
    expect(Object.keys(JSON.parse(refused.body))).toEqual(["type", "title", "status", "detail", "requestId"]);
    expect(refused.body).not.toMatch(/script|rule/i);
    expect(backend.requests.length).toBe(before);
  });

  test("are only looked at where nothing is to be blocked", async () => {
    expect((await ask(`/detect?${ATTACK}`)).status).toBe(200);
  });
});

describe("bodies", () => {
  test("are looked at before the server is asked, however they come", async () => {
    const before = backend.requests.length;
    expect((await ask("/form", [FORM], "POST", ATTACK)).status).toBe(403);
    const head = request("/form", [...BROWSER, FORM, "Transfer-Encoding: chunked"], "POST");
    expect((await exchange(proxy.port, `${head}${chunks(ATTACK.slice(0, 7), ATTACK.slice(7))}0\r\n\r\n`)).status).toBe(
      403,
    );
    const json = ["Content-Type: application/json"];
    expect((await ask("/api", json, "POST", '{"a":{"b":["x\\u0027 union select 1,2,3 from users--"]}}')).status).toBe(
      403,
    );
    expect(backend.requests.length).toBe(before);
  });

  test("in small pieces reach the server as they were", async () => {
    await using peer = await Peer.connect(proxy.port);
    const body = "a=1&b=two";
    peer.send(request("/form", [...BROWSER, FORM, `Content-Length: ${body.length}`], "POST"));
    for (const letter of body) peer.send(letter);
    expect((await peer.response()).body).toBe(body);
    expect(backend.requests.at(-1)!.field("content-length")).toBe(String(body.length));
  });

  test("longer than what is looked at are refused where something could hide, and else go through whole", async () => {
    const body = `a=${"b".repeat(1_000_000)}`;
    expect((await ask("/form", [FORM], "POST", body)).status).toBe(413);
    expect((await ask("/detect", [FORM], "POST", body)).status).toBe(200);
    expect(backend.requests.at(-1)!.body).toBe(body);
  });

  test("with large files pass, and what stands before the file is looked at", async () => {
    const form = (text: string): string =>
      `--B\r\nContent-Disposition: form-data; name="t"\r\n\r\n${text}\r\n--B\r\n` +
      'Content-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' +
      `${"\x89PNG".repeat(100_000)}\r\n--B--\r\n`;
    const type = ["Content-Type: multipart/form-data; boundary=B"];
    expect((await ask("/upload", type, "POST", form("a picture"))).status).toBe(200);
    expect((await ask("/upload", type, "POST", form("<script>alert(1)</script>"))).status).toBe(403);
  });

  test("that hide arguments behind others are refused", async () => {
    expect((await ask("/form", [FORM], "POST", `${"a=1&".repeat(1000)}${ATTACK}`)).status).toBe(403);
    expect((await ask(`/form?${"a&".repeat(1000)}${ATTACK}`)).status).toBe(403);
    expect((await ask("/form", [`Cookie: ${"a=1;".repeat(1000)}b=<script>`])).status).toBe(403);
    const json = ["Content-Type: application/json"];
    expect((await ask("/api", json, "POST", `[${"1,".repeat(1000)}"<script>alert(1)</script>"]`)).status).toBe(403);
    expect((await ask("/api", json, "POST", '{"a":')).status).toBe(403);
  });

  test("leave the connection ready for the next request", async () => {
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/form", [...BROWSER, FORM], "POST", ATTACK) + request("/next", BROWSER));
    expect([(await peer.response()).status, (await peer.response()).status]).toEqual([403, 200]);
  });
});

test("answers that tell secrets are refused in place of the server's", async () => {
  await using peer = await Peer.connect(proxy.port);
  peer.send(request("/leak", BROWSER) + request("/next", BROWSER));
  const [refused, next] = [await peer.response(), await peer.response()];
  expect([refused.status, next.status]).toEqual([403, 200]);
  expect(refused.body).not.toContain("SQL");
});
