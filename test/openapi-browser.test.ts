// The page of an API in a browser: read, searched, tried; nothing that it may not do.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { BROWSER_START_MS, openPage } from "./support/browser.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";

const DOCUMENT = `openapi: 3.1.0
info: { title: Pets, version: "1", description: "<img src=x onerror='window.broken = 1'>" }
paths:
  /pets/{id}:
    get:
      operationId: getPet
      tags: [pets]
      summary: One of them
      parameters:
        - { name: id, in: path, required: true, example: 7, schema: { type: integer } }
        - { name: limit, in: query, schema: { type: integer } }
      responses:
        200:
          description: one
          content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } }
  /orders:
    post:
      operationId: makeOrder
      tags: [orders]
      security: [{ key: [] }]
      requestBody: { required: true, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } }
      responses: { 201: { description: made, content: { application/json: { example: { id: 5 } } } } }
components:
  securitySchemes: { key: { type: apiKey, in: header, name: x-api-key } }
  schemas:
    Pet: { type: object, required: [name], properties: { name: { type: string } } }
`;

let folder: string;
let proxy: TestProxy;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "openapi-browser-"));
  const document = join(folder, "openapi.yaml");
  writeFileSync(document, DOCUMENT);
  proxy = await startProxy({ routes: [{ openapi: { document, security: "off", mock: true, docs: true } }] });
  page = await openPage("about:blank", join(folder, "profile"));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(`${proxy.url}/docs`);
}, BROWSER_START_MS);

afterAll(async () => {
  await page?.context().close();
  await proxy[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** What a reader cannot be told the name of. */
const NAMELESS = `[...document.querySelectorAll("input, textarea, button, a, summary, form")]
  .filter((each) => {
    const label = each.getAttribute("aria-label") ?? each.closest("label")?.textContent ?? each.textContent;
    return label.trim() === "" && document.querySelector('label[for="' + each.id + '"]') === null;
  })
  .map((each) => each.outerHTML)`;

const seen = (): Promise<string[]> =>
  page.$$eval("article:not([hidden]) h3", (all) => all.map((each) => each.textContent?.trim() ?? ""));

test("shows the operations, and is found in by words", async () => {
  expect(await page.title()).toBe("Pets");
  expect(await seen()).toEqual(["GET /pets/{id}", "POST /orders"]);
  await page.getByLabel("Search").fill("one them");
  expect(await seen()).toEqual(["GET /pets/{id}"]);
  expect(await page.getByRole("status").first().textContent()).toBe("1 operation");
  await page.getByLabel("Search").fill("");
  expect(await seen()).toHaveLength(2);
});

test("tries a request with what is filled in", async () => {
  const article = page.locator("#op-getPet");
  await article.getByText("Try it").click();
  await article.locator('[data-name="id"]').fill("x y");
  await article.getByRole("button", { name: "Send" }).click();
  await article.getByText("400 Bad Request").waitFor();
  await article.locator('[data-name="id"]').fill("8");
  await article.getByRole("button", { name: "Send" }).click();
  await article.getByText("200 OK").waitFor();
  expect(await article.locator("output").textContent()).toContain('"name": "text"');
});

test("sends a body, and the key that was given", async () => {
  await page.getByText("Credentials for requests").click();
  await page.locator("#credentials input").fill("secret");
  const article = page.locator("#op-makeOrder");
  await article.getByText("Try it").click();
  const [sent] = await Promise.all([
    page.waitForRequest((request) => request.method() === "POST"),
    article.getByRole("button", { name: "Send" }).click(),
  ]);
  expect([sent.headers()["x-api-key"], JSON.parse(sent.postData() ?? "")]).toEqual(["secret", { name: "text" }]);
  await article.getByText("201 Created").waitFor();
});

test("opens the schema that a link leads to", async () => {
  await page.goto(`${proxy.url}/docs#schema-Pet`);
  expect(await page.locator("#schema-Pet").getAttribute("open")).toBe("");
  expect(await page.locator("#schema-Pet").textContent()).toContain("required");
});

test("names everything for those who cannot see it, and can be read in the dark", async () => {
  expect(await page.evaluate(NAMELESS)).toEqual([]);
  const colours = (): Promise<unknown> =>
    page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color].join()");
  await page.emulateMedia({ colorScheme: "light" });
  const light = await colours();
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await colours()).not.toEqual(light);
});

test("has done nothing that it may not", async () => {
  expect(await page.evaluate("'broken' in window")).toBe(false);
  // Refusals that were asked for are told of, and nothing else.
  expect(complaints.filter((text) => !text.includes("400 (Bad Request)"))).toEqual([]);
});
