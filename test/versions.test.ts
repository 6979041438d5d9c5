// `match.version` and `deprecation` as clients and servers meet them.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { answer, type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const SUNSET = "Fri, 01 Jan 2100 00:00:00 GMT";

let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  backend = await RawBackend.answering((got) =>
    answer(200, got.target, ["Cache-Control: max-age=60", 'Link: </first>; rel="first"', "Deprecation: true"]),
  );
  const scheme = { from: ["header:Api-Version", "query:v"], default: "1", aliases: { latest: "2" } };
  const to = backend.url;
  proxy = await startProxy({
    routes: [
      {
        match: { host: "fields", version: { ...scheme, is: "2" } },
        responseHeaders: { set: { "X-Served": "2" } },
        cache: true,
        to,
      },
      {
        match: { host: "fields", version: { ...scheme, is: "1" } },
        responseHeaders: { set: { "X-Served": "1" } },
        cache: true,
        to: `${to}`,
        rewrite: { addPrefix: "/one" },
      },
      {
        match: { host: "days", version: { from: "header:api-version", is: "2026-06-01.." } },
        respond: { body: "june" },
      },
      {
        match: { host: "days", version: { from: "header:api-version", is: "2026-01-01..", default: "2026-01-01" } },
        respond: { body: "january" },
      },
      {
        match: { host: "path", version: { from: "path", is: "1.x" } },
        rewrite: { stripPrefix: "/v1" },
        deprecation: {
          date: "2026-01-31",
          sunset: "2100-01-01",
          link: "https://docs.example.com/v1",
          successor: "/v2{path}",
        },
        to,
      },
      {
        match: { host: "gone" },
        deprecation: {
          date: "2020-01-01",
          sunset: "2020-06-01T12:00:00+02:00",
          afterSunset: "gone",
          sunsetLink: "https://docs.example.com/gone",
        },
        to,
      },
    ],
  });
}, 30_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

const ask = (host: string, target: string, fields: readonly string[] = []): Promise<Message> =>
  exchange(proxy.port, request(target, fields).replace(/^Host: .*$/m, `Host: ${host}`));

describe("versions", () => {
  test("lead to their routes, whatever is stored of others", async () => {
    const served = async (target: string, ...fields: string[]) => {
      const got = await ask("fields", target, fields);
      return `${got.status} ${got.field("x-served")} ${got.body}`;
    };
    for (let round = 0; round < 2; round += 1) {
      expect(await served("/a")).toBe("200 1 /one/a");
      expect(await served("/a", "Api-Version: 1")).toBe("200 1 /one/a");
      expect(await served("/a", "Api-Version: v2")).toBe("200 2 /a");
      expect(await served("/a", "Api-Version: Latest")).toBe("200 2 /a");
      expect(await served("/a?v=2")).toBe("200 2 /a?v=2");
      expect((await ask("fields", "/a", ["Api-Version: 3"])).status).toBe(404);
    }
    expect((await ask("fields", "/a")).field("vary")).toBe("api-version");
  });

  test("may be days", async () => {
    const served = async (...fields: string[]) => (await ask("days", "/", fields)).body;
    expect(await served()).toBe("january");
    expect(await served("Api-Version: 2026-05-31")).toBe("january");
    expect(await served("Api-Version: 2026-06-01")).toBe("june");
    expect(await served("Api-Version: 2030-01-01")).toBe("june");
    expect((await ask("days", "/", ["Api-Version: 2025-12-31"])).status).toBe(404);
  });
});

describe("deprecation", () => {
  test("is told in answers", async () => {
    const got = await ask("path", "/v1/orders?a=1");
    expect([got.body, got.field("deprecation"), got.field("sunset")]).toEqual(["/orders?a=1", "@1769817600", SUNSET]);
    expect(got.all("link")).toEqual([
      '</first>; rel="first"',
      '<https://docs.example.com/v1>; rel="deprecation"',
      '</v2/v1/orders>; rel="successor-version"',
    ]);
    expect((await ask("path", "/v2/orders")).status).toBe(404);
  });

  test("ends with 410", async () => {
    const before = backend.requests.length;
    const got = await ask("gone", "/x");
    expect([got.status, got.field("deprecation"), got.field("sunset"), got.field("link")]).toEqual([
      410,
      "@1577836800",
      "Mon, 01 Jun 2020 10:00:00 GMT",
      '<https://docs.example.com/gone>; rel="sunset"',
    ]);
    expect(JSON.parse(got.body)).toMatchObject({ status: 410, title: "Gone" });
    expect(backend.requests.length).toBe(before);
  });

  const REFUSED: readonly (readonly [name: string, deprecation: object, message: string])[] = [
    ["no date", { date: "2026-02-30" }, "is no date"],
    ["an end before its beginning", { date: "2026-02-01", sunset: "2026-01-01" }, "nothing ends before"],
    ["gone without an end", { date: "2026-02-01", afterSunset: "gone" }, "without a `sunset`"],
    ["an unknown placeholder", { date: "2026-02-01", link: "/{nothing}" }, "unknown placeholder"],
  ];
  for (const [name, deprecation, message] of REFUSED)
    test(`is refused with ${name}`, () => {
      const config = { routes: [{ deprecation, respond: {} }] } as unknown as Parameters<typeof startProxy>[0];
      expect(startProxy(config)).rejects.toThrow(message);
    });
});
