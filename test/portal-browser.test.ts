// The portal as somebody uses it: signs in with a key, reads, tries, makes a key, calls with it, looks at usage, revokes it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { BROWSER_START_MS, openPage } from "./support/browser.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { until } from "./support/wait.ts";

const DOCUMENT = `openapi: 3.1.0
info: { title: Pets, version: "1", description: "<img src=x onerror='window.broken = 1'>" }
paths:
  /pets/{id}:
    get:
      operationId: getPet
      security: [{ key: [] }]
      parameters: [{ name: id, in: path, required: true, example: 7, schema: { type: integer } }]
      responses: { 200: { description: one, content: { application/json: { example: { name: Rex } } } } }
components: { securitySchemes: { key: { type: apiKey, in: header, name: x-api-key } } }
`;

let folder: string;
let proxy: TestProxy;
let page: Page;
const complaints: string[] = [];
const elsewhere: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "portal-browser-"));
  const document = join(folder, "openapi.yaml");
  writeFileSync(document, DOCUMENT);
  const apiKey = `sha256:${new Bun.CryptoHasher("sha256").update("of acme").digest("hex")}`;
  proxy = await startProxy({
    storage: folder,
    plans: { gold: { quota: "1000/d" } },
    consumers: { acme: { plan: "gold", scopes: ["read"], credentials: [{ name: "first", apiKey }] } },
    defaults: { auth: { apiKey: { consumers: true } } },
    routes: [
      { name: "portal", portal: { apis: ["pets"], keys: true, title: "Pets for developers" } },
      { name: "pets", openapi: { document, mock: true }, quota: true },
    ],
  });
  page = await openPage("about:blank", join(folder, "profile"));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(proxy.url)) elsewhere.push(request.url());
  });
  await page.goto(`${proxy.url}/portal`);
}, BROWSER_START_MS);

afterAll(async () => {
  await page?.context().close();
  await proxy[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** What a reader cannot be told the name of. */
const NAMELESS = `[...document.querySelectorAll("input, textarea, select, button, a, summary, form, [role=tabpanel]")]
  .filter((each) => {
    const by = document.getElementById(each.getAttribute("aria-labelledby"))?.textContent;
    const label = by ?? each.getAttribute("aria-label") ?? each.closest("label")?.textContent ?? each.textContent;
    return label.trim() === "" && document.querySelector('label[for="' + each.id + '"]') === null;
  })
  .map((each) => each.outerHTML)`;

const callWith = async (key: string): Promise<number> =>
  (await fetch(`${proxy.url}/pets/7`, { headers: { "x-api-key": key } })).status;
const tab = (name: string): Promise<void> => page.getByRole("tab", { name }).click();
let key = "";

test("lets nobody in with a wrong key, and somebody with a right one", async () => {
  expect(await page.title()).toBe("Pets for developers");
  await page.getByLabel("Your API key").fill("wrong");
  await page.getByRole("button", { name: "Sign in with the key" }).click();
  await page.locator("#message.wrong").filter({ hasText: "signed out" }).waitFor();
  await page.getByLabel("Your API key").fill("of acme");
  await page.getByRole("button", { name: "Sign in with the key" }).click();
  await page.getByText("acme (gold)").waitFor();
});

test("shows the documentation, and tries a call with the key", async () => {
  const article = page.locator("#op-getPet");
  await article.getByText("Try it").click();
  await article.getByRole("button", { name: "Send" }).click();
  await article.getByText("200 OK").waitFor();
  expect(await article.locator("output").textContent()).toContain('"name": "Rex"');
  expect(await page.evaluate(NAMELESS)).toEqual([]);
});

test("makes a key, which is shown once and works", async () => {
  await tab("Keys");
  await page.getByLabel("What it is for").fill("<b>ci</b>");
  await page.getByRole("button", { name: "Make a key" }).click();
  key = (await page.locator("#new-key code").textContent()) ?? "";
  expect(key).toStartWith("slc_");
  expect(await callWith(key)).toBe(200);
  expect(await page.locator("#keys tr").count()).toBe(2);
  expect(await page.locator("#keys").innerHTML()).toContain("&lt;b&gt;ci&lt;/b&gt;");
  await tab("Usage");
  expect(await page.locator("#new-key").textContent()).toBe("");
});

test("shows what was used, and what is left", async () => {
  await until(async () => {
    await tab("Usage");
    return ((await page.locator("#usage").textContent()) ?? "").includes("pets.getPet2");
  }, "two requests");
  expect(await page.locator("#limits").textContent()).toContain("998 of 1,000 requests left in a day");
});

test("rotates a key, and revokes what is left of it", async () => {
  await tab("Keys");
  await page.getByRole("button", { name: "Rotate <b>ci</b>" }).click();
  await page.getByLabel("The old key goes on for").selectOption("0s");
  await page.getByRole("button", { name: "Make the new key" }).click();
  await page.locator("#new-key code").waitFor();
  const next = (await page.locator("#new-key code").textContent()) ?? "";
  expect([await callWith(key), await callWith(next)]).toEqual([401, 200]);
  await page.getByRole("button", { name: "Revoke <b>ci</b>" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  expect(await callWith(next)).toBe(200);
  await page.getByRole("button", { name: "Revoke <b>ci</b>" }).click();
  await page.getByRole("button", { name: "Revoke the key" }).click();
  await page.getByText("is revoked.").waitFor();
  expect(await callWith(next)).toBe(401);
  expect(await page.locator("#keys tr").count()).toBe(1);
});

test("can be used by keyboard, on a phone and in the dark", async () => {
  await page.getByRole("tab", { name: "Keys" }).press("ArrowLeft");
  await page.locator("#op-getPet").waitFor();
  await page.setViewportSize({ width: 360, height: 740 });
  for (const name of ["APIs", "Keys", "Usage"]) {
    await tab(name);
    expect([name, await page.evaluate("document.documentElement.scrollWidth <= innerWidth")]).toEqual([name, true]);
  }
  const colour = (): Promise<unknown> => page.evaluate("getComputedStyle(document.body).backgroundColor");
  await page.emulateMedia({ colorScheme: "light" });
  const light = await colour();
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await colour()).not.toEqual(light);
});

test("forgets who it was, and has done nothing that it may not", async () => {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Your API key").waitFor();
  expect(await page.locator("#docs").textContent()).toBe("");
  expect(await page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")).toBe('[{},{},""]');
  expect(await page.evaluate("'broken' in window")).toBe(false);
  // The wrong key is told of, and nothing else.
  expect(complaints.filter((text) => !text.includes("401 (Unauthorized)"))).toEqual([]);
  expect(elsewhere.filter((each) => !each.startsWith("data:"))).toEqual([]);
});
