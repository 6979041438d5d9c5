// A browser that is made to speak HTTP/3 with the proxy: pages, many requests at a time, large bodies, cancelled ones.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createHash, X509Certificate } from "node:crypto";
import type { Page } from "playwright-core";
import { BROWSER_START_MS, openPage } from "./support/browser.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const PAGE = `<!doctype html><title>page</title><script>
performance.setResourceTimingBufferSize(1000);
const protocols = () => [...new Set([...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .map((entry) => entry.nextHopProtocol).filter((name) => name !== ""))]; // none for what was given up
async function many() {
  const sizes = Array.from({ length: 150 }, (_, n) => (n * 7919) % 60000);
  const texts = await Promise.all(sizes.map(async (size) => {
    const response = await fetch("/echo", { method: "POST", body: "x".repeat(size) });
    return response.text();
  }));
  return texts.filter((text, n) => text === "x".repeat(sizes[n])).length;
}
async function large(size) {
  const response = await fetch("/length", { method: "POST", body: new Uint8Array(size) });
  const down = await fetch("/down?" + size);
  return [await response.text(), (await down.arrayBuffer()).byteLength];
}
async function giveUp(path) {
  const controller = new AbortController();
  const answer = fetch(path, { signal: controller.signal });
  if (path === "/endless") await (await answer).body.getReader().read();
  else {
    answer.catch(() => {});
    await fetch("/asked");
  }
  controller.abort();
  return (await fetch("/echo", { method: "POST", body: "still there" })).text();
}
</script>`;

let pki: Pki;
let backend: Bun.Server<undefined>;
let proxy: TestProxy;
let page: Page;
/** Requests that wait for nothing, and how many of them the browser has given up. */
let hanging = 0;
let givenUp = 0;

beforeAll(async () => {
  pki = await Pki.make();
  const files = await pki.files("server", { names: ["app.test"] });
  backend = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 60,
    maxRequestBodySize: 200_000_000,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      request.signal.addEventListener("abort", () => (givenUp += 1));
      if (pathname === "/echo") return new Response(request.body);
      if (pathname === "/length") return new Response(String((await request.arrayBuffer()).byteLength));
      if (pathname === "/down") return new Response(new Uint8Array(Number(search.slice(1))));
      if (pathname === "/hang") {
        hanging += 1;
        await new Promise(() => {});
      }
      if (pathname === "/asked") await until(() => hanging > 0, "the other request");
      if (pathname === "/endless")
        return new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) }));
      return new Response(PAGE, { headers: { "content-type": "text/html" } });
    },
  });
  proxy = await startProxy({
    log: { level: "error" },
    listener: { tls: { certificates: [files] }, http3: true },
    routes: [{ to: `http://127.0.0.1:${backend.port}` }],
  });
  const leaf = new X509Certificate(await Bun.file(files.cert).text());
  const key = createHash("sha256")
    .update(leaf.publicKey.export({ type: "spki", format: "der" }))
    .digest("base64");
  page = await openPage(
    `https://app.test:${proxy.port}/`,
    `${pki.folder.path}/profile`,
    "--enable-quic",
    `--origin-to-force-quic-on=app.test:${proxy.port}`,
    "--host-resolver-rules=MAP app.test 127.0.0.1",
    `--ignore-certificate-errors-spki-list=${key}`,
  );
}, BROWSER_START_MS);

afterAll(async () => {
  await page?.context().close();
  await proxy?.[Symbol.asyncDispose]();
  await backend?.stop(true);
  pki?.[Symbol.dispose]();
});

test("pages come over HTTP/3", async () => {
  expect([await page.title(), await page.evaluate("protocols()")]).toEqual(["page", ["h3"]]);
});
test("many requests at a time, each with its own answer", async () => {
  expect(await page.evaluate("many()")).toBe(150);
});
test("large bodies both ways", async () => {
  expect(await page.evaluate("large(10000000)")).toEqual(["10000000", 10_000_000]);
}, 30_000);
test("a request that is given up is given up at the server", async () => {
  expect(await page.evaluate('giveUp("/hang")')).toBe("still there");
  await until(() => givenUp === 1, "the end of a request without an answer");
  expect(await page.evaluate('giveUp("/endless")')).toBe("still there");
  await until(() => givenUp === 2, "the end of an endless answer");
});
test("it never fell back to another protocol", async () => {
  expect(await page.evaluate("protocols()")).toEqual(["h3"]);
});
