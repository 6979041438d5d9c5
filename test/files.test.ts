// Files over HTTP: what is served and what is not, parts and preconditions, files that change under the proxy's hands.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import type { ConfigInput } from "../src/index.ts";
import { H3Client } from "./support/h3.ts";
import { type Message, request } from "./support/message.ts";
import { exchange, Peer, PeerGone } from "./support/peer.ts";
import { run } from "./support/programs.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { ProxyProcess } from "./support/proxy-process.ts";
import { Folder, sluice } from "./support/sluice.ts";
import { Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const MB = 1_048_576;
const GB = 1024 * MB;
const LONG_MS = 60_000;
type FilesInput = NonNullable<NonNullable<ConfigInput["routes"]>[number]["files"]>;

const sha = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const LARGE = Buffer.alloc(5 * MB, "0123456789abcdefghijklmnopqrstuvwxyz\n");
const TEXT = "0123456789".repeat(30);
const SCRIPT = `export const text = "${"a long text ".repeat(400)}";\n`;

let base = "";
let root = "";
const file = (name: string): string => join(root, name);

/** Files of now are not relied on; these are old enough. */
async function aged(...names: readonly string[]): Promise<void> {
  for (const name of names)
    await until(() => Date.now() - statSync(file(name)).ctimeMs > 1000, `${name} to be a second old`);
}

let proxy: TestProxy;
const serving = (files: Omit<FilesInput, "root">, more: Partial<NonNullable<ConfigInput["routes"]>[number]> = {}) =>
  startProxy({ listener: { h2c: true }, routes: [{ ...more, files: { root, ...files } }] });

beforeAll(async () => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "sluice-files-")));
  root = join(base, "public");
  for (const folder of ["docs", "assets", "empty", ".git", ".well-known", "app"])
    mkdirSync(file(folder), { recursive: true });
  writeFileSync(join(base, "secret"), "secret");
  for (const [name, content] of [
    ["index.html", "<h1>home</h1>"],
    ["about.html", "about"],
    ["text.txt", TEXT],
    ["nothing.txt", ""],
    ["docs/index.html", "docs"],
    ["docs/a & b<i>.txt", "odd"],
    ["assets/app.js", SCRIPT],
    ["assets/plain.css", "a{}"],
    [".git/config", "secret"],
    [".well-known/security.txt", "Contact: mailto:security@example.com"],
    ["app/index.html", "<h1>app</h1>"],
    ["large.bin", LARGE],
    ["middle.bin", LARGE.subarray(0, 300_000)],
  ] as const)
    writeFileSync(file(name), content);
  for (const [suffix, content] of [
    [".zst", zstdCompressSync(SCRIPT)],
    [".br", brotliCompressSync(SCRIPT)],
    [".gz", gzipSync(SCRIPT)],
  ] as const)
    writeFileSync(file(`assets/app.js${suffix}`), content);
  symlinkSync("../secret", file("outside"));
  symlinkSync("..", file("up"));
  symlinkSync("text.txt", file("inside"));
  symlinkSync(".git/config", file("config"));
  proxy = await serving({});
  await aged("config", "assets/app.js.gz", "middle.bin");
}, LONG_MS);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  rmSync(base, { recursive: true });
});

const ask = (path: string, fields: readonly string[] = [], method = "GET", on = proxy): Promise<Message> =>
  exchange(on.port, request(path, fields, method));

describe("what is answered", () => {
  for (const [path, status, body] of [
    ["/", 200, "<h1>home</h1>"],
    ["/text.txt", 200, TEXT],
    ["/text.txt?x=1", 200, TEXT],
    ["/nothing.txt", 200, ""],
    ["/docs/", 200, "docs"],
    ["/docs/../text.txt", 200, TEXT],
    ["/docs/a%20%26%20b%3Ci%3E.txt", 200, "odd"],
    ["/inside", 200, TEXT],
    ["/.well-known/security.txt", 200, "Contact: mailto:security@example.com"],
    ["/about", 404, null],
    ["/nope", 404, null],
    ["/empty", 404, null],
    ["/empty/", 404, null],
    ["/text.txt/", 404, null],
    ["/.git/config", 404, null],
    ["/%2egit/config", 404, null],
    ["/config", 404, null],
    ["/outside", 404, null],
    ["/up/secret", 404, null],
    ["/up/public/text.txt", 200, TEXT], // out and in again: the file lies inside
    ["/docs%2Findex.html", 404, null],
    ["/../secret", 400, null],
    ["/%2e%2e/secret", 400, null],
    ["/..%2fsecret", 400, null],
    ["/text.txt%00.html", 400, null],
    ["/..%5csecret", 400, null],
    ["/%c0%ae%c0%ae/secret", 404, null],
  ] as const)
    test(`${path}: ${status}`, async () => {
      const got = await ask(path);
      expect([got.status, body === null ? null : got.body]).toEqual([status, body]);
      expect(got.body).not.toContain("secret");
    });

  test("the fields of a file", async () => {
    const got = await ask("/text.txt");
    expect(got.field("content-type")).toBe("text/plain; charset=utf-8");
    expect(got.field("content-length")).toBe("300");
    expect(got.field("accept-ranges")).toBe("bytes");
    expect(got.field("etag")).toMatch(/^"[a-z0-9]+-8c-[a-z0-9]+"$/);
    expect(got.field("last-modified")).toBe(new Date(statSync(file("text.txt")).mtimeMs).toUTCString());
    for (const name of ["via", "vary", "cache-control", "content-encoding"]) expect(got.field(name)).toBeNull();
  });

  for (const path of ["/text.txt", "/middle.bin", "/large.bin"])
    test(`HEAD ${path} says what GET says`, async () => {
      const [get, head] = [await ask(path), await ask(path, [], "HEAD")];
      const fields = (message: Message) => message.fields.filter(([name]) => name.toLowerCase() !== "date");
      expect([head.status, head.body, fields(head)]).toEqual([200, "", fields(get)]);
    });

  test("a folder without its slash is found behind a redirect", async () => {
    const got = await ask("/docs?x=1");
    expect([got.status, got.field("location")]).toEqual([308, "/docs/?x=1"]);
    const odd = await ask("//docs"); // not the host "docs"
    expect([odd.status, odd.field("location")]).toEqual([308, "/docs/"]);
  });

  test("other methods are told which ones there are", async () => {
    const options = await ask("/text.txt", [], "OPTIONS");
    expect([options.status, options.field("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
    for (const method of ["POST", "PUT", "DELETE"]) {
      const got = await ask("/text.txt", [], method);
      expect([got.status, got.field("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    }
  });

  test("a connection serves many, also behind a GET that has a body", async () => {
    await using client = await Peer.connect(proxy.port);
    client
      .send(request("/large.bin", [], "GET", "a body"))
      .send(request("/text.txt"))
      .send(request("/nope"));
    const all = [await client.response(), await client.response(), await client.response()];
    expect(all.map(({ status, body }) => [status, body.length])).toEqual([
      [200, LARGE.length],
      [200, 300],
      [404, all[2]!.body.length],
    ]);
  });
});

describe("preconditions", () => {
  let etag = "";
  let modified = "";
  const OLD = "Sun, 06 Nov 1994 08:49:37 GMT";
  beforeAll(async () => {
    const got = await ask("/text.txt");
    etag = got.field("etag")!;
    modified = got.field("last-modified")!;
  });

  for (const [name, fields, status] of [
    ["the tag that the client has", () => [`If-None-Match: ${etag}`], 304],
    ["a weak form of it", () => [`If-None-Match: W/${etag}`], 304],
    ["among others", () => [`If-None-Match: "a", ${etag}`], 304],
    ["any", () => ["If-None-Match: *"], 304],
    ["another tag", () => ['If-None-Match: "a"'], 200],
    ["another tag counts before the date", () => ['If-None-Match: "a"', `If-Modified-Since: ${modified}`], 200],
    ["not modified since", () => [`If-Modified-Since: ${modified}`], 304],
    ["modified since", () => [`If-Modified-Since: ${OLD}`], 200],
    ["no date", () => ["If-Modified-Since: yesterday"], 200],
    ["If-Match", () => [`If-Match: ${etag}`], 200],
    ["If-Match with another tag", () => ['If-Match: "a"'], 412],
    ["If-Match with a weak tag", () => [`If-Match: W/${etag}`], 412],
    ["If-Match goes first", () => ['If-Match: "a"', `If-None-Match: ${etag}`], 412],
    ["If-Unmodified-Since", () => [`If-Unmodified-Since: ${modified}`], 200],
    ["modified since then", () => [`If-Unmodified-Since: ${OLD}`], 412],
    ["If-Match counts before the date", () => [`If-Match: ${etag}`, `If-Unmodified-Since: ${OLD}`], 200],
  ] as const)
    for (const method of ["GET", "HEAD"])
      test(`${method}, ${name}: ${status}`, async () => {
        const got = await ask("/text.txt", fields(), method);
        expect(got.status).toBe(status);
        if (status !== 304) return;
        expect([got.field("etag"), got.field("last-modified"), got.field("content-type")]).toEqual([
          etag,
          modified,
          null,
        ]);
      });
});

describe("parts", () => {
  for (const [range, status, contentRange, body] of [
    ["bytes=0-9", 206, "bytes 0-9/300", TEXT.slice(0, 10)],
    ["bytes=295-", 206, "bytes 295-299/300", TEXT.slice(295)],
    ["bytes=-5", 206, "bytes 295-299/300", TEXT.slice(295)],
    ["bytes=290-1000", 206, "bytes 290-299/300", TEXT.slice(290)],
    ["bytes=0-0", 206, "bytes 0-0/300", "0"],
    ["bytes=300-", 416, "bytes */300", null],
    ["bytes=-0", 416, "bytes */300", null],
    ["bytes=5-2", 200, null, TEXT],
    ["lines=0-1", 200, null, TEXT],
    ["bytes=x", 200, null, TEXT],
    [`bytes=${Array.from({ length: 17 }, (_, n) => `${n}-${n}`).join(",")}`, 200, null, TEXT],
  ] as const)
    test(`${range.slice(0, 30)}: ${status}`, async () => {
      const got = await ask("/text.txt", [`Range: ${range}`]);
      expect([got.status, got.field("content-range")]).toEqual([status, contentRange]);
      if (body !== null) expect(got.body).toBe(body);
    });

  test("several are parts of one body", async () => {
    const got = await ask("/text.txt", ["Range: bytes=0-1,200-203,-1"]);
    const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(got.field("content-type") ?? "")?.[1];
    expect([got.status, boundary?.length]).toEqual([206, 20]);
    const part = (first: number, last: number) =>
      `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ${first}-${last}/300\r\n\r\n${TEXT.slice(first, last + 1)}\r\n`;
    expect(got.body).toBe(`${part(0, 1)}${part(200, 203)}${part(299, 299)}--${boundary}--\r\n`);
  });

  test("of a large file, from its middle", async () => {
    const got = await ask("/large.bin", [`Range: bytes=3000000-3099999`]);
    expect([got.status, sha(Buffer.from(got.body, "latin1"))]).toEqual([
      206,
      sha(LARGE.subarray(3_000_000, 3_100_000)),
    ]);
  });

  test("If-Range wants the very same file", async () => {
    const { fields } = await ask("/text.txt");
    const of = (name: string) => fields.find(([each]) => each.toLowerCase() === name)![1];
    const range = "Range: bytes=0-9";
    const statuses = [];
    for (const value of [of("etag"), `W/${of("etag")}`, '"a"', of("last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT"])
      statuses.push((await ask("/text.txt", [range, `If-Range: ${value}`])).status);
    expect(statuses).toEqual([206, 200, 200, 206, 200]);
  });

  test("HEAD knows no parts", async () => {
    expect((await ask("/text.txt", ["Range: bytes=0-9"], "HEAD")).status).toBe(200);
  });
});

describe("pages and applications", () => {
  test("clean URLs", async () => {
    await using on = await serving({ cleanUrls: true });
    const got = [];
    for (const path of ["/about", "/about.html?x=1", "/index.html", "/docs/index.html", "/text.txt", "/nope.html"]) {
      const { status, body, ...answer } = await ask(path, [], "GET", on).then((m) => ({
        status: m.status,
        body: m.body,
        location: m.field("location"),
      }));
      got.push([path, status, status === 200 ? body.slice(0, 5) : answer.location]);
    }
    expect(got).toEqual([
      ["/about", 200, "about"],
      ["/about.html?x=1", 308, "/about?x=1"],
      ["/index.html", 308, "/"],
      ["/docs/index.html", 308, "/docs/"],
      ["/text.txt", 200, "01234"],
      ["/nope.html", 404, null],
    ]);
  });

  test("an application gets the navigations to paths that are no files", async () => {
    await using on = await serving({ spa: "app/index.html" });
    const statuses = [];
    for (const [path, fields, method] of [
      ["/users/7", ["Accept: text/html,*/*;q=0.8"], "GET"],
      ["/users/7", ["Accept: text/html", "Sec-Fetch-Mode: navigate"], "HEAD"],
      ["/users/7", ["Accept: */*"], "GET"],
      ["/users/7", [], "GET"],
      ["/users/7", ["Accept: text/html", "Sec-Fetch-Mode: cors"], "GET"],
      ["/app.js", ["Accept: */*", "Sec-Fetch-Mode: no-cors"], "GET"],
      ["/.git/config", ["Accept: text/html"], "GET"],
      ["/users/7", ["Accept: text/html"], "POST"],
    ] as const)
      statuses.push((await ask(path, fields, method, on)).status);
    expect(statuses).toEqual([200, 200, 404, 404, 404, 404, 404, 405]);
    expect((await ask("/users/7", ["Accept: text/html"], "GET", on)).body).toBe("<h1>app</h1>");
    expect((await ask("/text.txt", ["Accept: text/html"], "GET", on)).body).toBe(TEXT);
  });

  test("folders are shown where that is wanted, as a page or as JSON", async () => {
    await using on = await serving({ listing: true, index: [] });
    const page = await ask("/docs/", [], "GET", on);
    expect([page.status, page.field("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.body).toContain('<a href="./a%20%26%20b%3Ci%3E.txt">a &amp; b&lt;i&gt;.txt</a>');
    expect(page.body).not.toContain("<i>");
    const json = await ask("/", ["Accept: application/json"], "GET", on);
    const { entries } = JSON.parse(json.body) as { entries: { name: string; type: string; size?: number }[] };
    const names = entries.map(({ name }) => name);
    expect(names).toContain("inside");
    expect(names).toContain(".well-known");
    for (const hidden of [".git", "outside", "up", "config"]) expect(names).not.toContain(hidden);
    expect(entries.find(({ name }) => name === "text.txt")).toMatchObject({ type: "file", size: 300 });
    expect((await ask("/docs", [], "GET", on)).field("location")).toBe("/docs/");
    for (const path of ["/up/", "/.git/"]) expect([path, (await ask(path, [], "GET", on)).status]).toEqual([path, 404]);
  });

  test("links and dotfiles, where the configuration allows them", async () => {
    await using open = await serving({ followSymlinks: true, dotfiles: true });
    expect((await ask("/outside", [], "GET", open)).body).toBe("secret");
    expect((await ask("/.git/config", [], "GET", open)).status).toBe(200);
    await using strict = await serving({ followSymlinks: false });
    expect((await ask("/inside", [], "GET", strict)).status).toBe(404);
  });
});

describe("fields", () => {
  test("by pattern, the later one of the same name", async () => {
    await using on = await serving({
      headers: {
        "*": { "Cache-Control": "no-cache", "X-All": "1" },
        "/assets/*": { "Cache-Control": "public, max-age=31536000, immutable" },
        "*.css": { "Content-Type": "text/x-mine" },
      },
    });
    const got = [];
    for (const path of ["/text.txt", "/assets/app.js", "/assets/plain.css"]) {
      const answer = await ask(path, [], "GET", on);
      got.push([answer.field("cache-control"), answer.field("content-type"), answer.field("x-all")]);
    }
    expect(got).toEqual([
      ["no-cache", "text/plain; charset=utf-8", "1"],
      ["public, max-age=31536000, immutable", "text/javascript; charset=utf-8", "1"],
      ["public, max-age=31536000, immutable", "text/x-mine", "1"],
    ]);
    const { fields } = await ask("/text.txt", ["If-None-Match: *"], "GET", on);
    expect(fields.map(([name]) => name.toLowerCase()).sort()).toEqual([
      "cache-control",
      "date",
      "etag",
      "last-modified",
    ]);
  });

  test("early hints over HTTP/2, and their links with the file", async () => {
    const link = "</assets/app.js>; rel=modulepreload";
    await using on = await serving({ earlyHints: { "*.html": [link] } });
    expect((await ask("/", [], "GET", on)).all("link")).toEqual([link]);
    const { out } = await run("curl", ["-s", "-D-", "--http2-prior-knowledge", `${on.url}/`]);
    expect(out.replaceAll("\r", "")).toMatch(/^HTTP\/2 103 \nlink: .*modulepreload\n\nHTTP\/2 200 \n/);
    const { out: plain } = await run("curl", ["-s", "-D-", "--http2-prior-knowledge", `${on.url}/text.txt`]);
    expect(plain).toStartWith("HTTP/2 200");
  });

  test("filters of the answer see files of every size", async () => {
    await using on = await serving({}, { responseHeaders: { set: { "x-route": "{path}" }, remove: ["etag"] } });
    for (const path of ["/text.txt", "/large.bin"]) {
      const got = await ask(path, [], "GET", on);
      expect([got.status, got.field("x-route"), got.field("etag")]).toEqual([200, path, null]);
      expect(got.field("content-length")).toBe(String(statSync(file(path)).size));
    }
  });

  test("a prefix is taken away by a rewrite", async () => {
    await using on = await startProxy({
      routes: [{ match: { path: "/static/*" }, rewrite: { stripPrefix: "/static" }, files: { root } }],
    });
    expect((await ask("/static/text.txt", [], "GET", on)).body).toBe(TEXT);
    expect((await ask("/static/docs", [], "GET", on)).field("location")).toBe("/static/docs/");
  });
});

describe("compressed copies", () => {
  let on: TestProxy;
  beforeAll(async () => {
    on = await serving({ precompressed: true });
  });
  afterAll(() => on[Symbol.asyncDispose]());

  for (const [accepts, coding] of [
    ["gzip, deflate, br, zstd", "zstd"],
    ["gzip, br", "br"],
    ["gzip;q=1, br;q=0.5", "gzip"],
    ["x-gzip", "gzip"],
    ["identity", null],
    ["gzip;q=0", null],
    ["", null],
  ] as const)
    test(`${accepts || "nothing"}: ${coding ?? "the file itself"}`, async () => {
      const fields = accepts === "" ? [] : [`Accept-Encoding: ${accepts}`];
      const got = await ask("/assets/app.js", fields, "GET", on);
      expect([got.field("content-encoding"), got.field("vary")]).toEqual([coding, "Accept-Encoding"]);
      expect(got.field("content-type")).toBe("text/javascript; charset=utf-8");
      const suffix = coding === null ? "" : { zstd: ".zst", br: ".br", gzip: ".gz" }[coding];
      expect(sha(Buffer.from(got.body, "latin1"))).toBe(sha(readFileSync(file(`assets/app.js${suffix}`))));
    });

  test("each has a tag of its own", async () => {
    const tags = [];
    for (const coding of ["zstd", "br", "gzip", "identity"])
      tags.push((await ask("/assets/app.js", [`Accept-Encoding: ${coding}`], "GET", on)).field("etag"));
    expect(new Set(tags).size).toBe(4);
    const [zstd] = tags;
    const same = (coding: string) =>
      ask("/assets/app.js", [`Accept-Encoding: ${coding}`, `If-None-Match: ${zstd}`], "GET", on);
    expect([(await same("zstd")).status, (await same("br")).status]).toEqual([304, 200]);
  });

  test("a copy that is older than its file is not used", async () => {
    writeFileSync(file("fresh.css"), "new");
    writeFileSync(file("fresh.css.gz"), gzipSync("old"));
    utimesSync(file("fresh.css.gz"), 1000, 1000);
    const got = await ask("/fresh.css", ["Accept-Encoding: gzip"], "GET", on);
    expect([got.body, got.field("content-encoding")]).toEqual(["new", null]);
  });

  test("curl reads what it gets", async () => {
    const { out } = await run("curl", ["-s", "--compressed", `${on.url}/assets/app.js`]);
    expect(out).toBe(SCRIPT);
  });
});

describe("files that change", () => {
  test("the next request sees every change at once", async () => {
    const name = "changing.txt";
    writeFileSync(file(name), "one");
    await aged(name);
    const seen: string[] = [];
    const look = async () => seen.push((await ask(`/${name}`)).body);
    await look();
    await look();
    writeFileSync(file("next"), "two"); // of the same length
    renameSync(file("next"), file(name));
    await look();
    writeFileSync(file(name), "three");
    await look();
    writeFileSync(file(name), "fours");
    await look();
    truncateSync(file(name), 4);
    await look();
    rmSync(file(name));
    expect((await ask(`/${name}`)).status).toBe(404);
    expect(seen).toEqual(["one", "one", "two", "three", "fours", "four"]);
  });

  test("a file that was just written has a weak tag, as the clock may not see the next change", async () => {
    writeFileSync(file("young.txt"), "young");
    expect((await ask("/young.txt")).field("etag")).toStartWith('W/"');
    await aged("young.txt");
    expect((await ask("/young.txt")).field("etag")).toStartWith('"');
  });

  /** Begins a download of a file of 24 MB, of which the client reads little, and goes on once `change` is done. */
  async function during(on: number, change: (path: string) => void): Promise<{ body: number; cut: boolean }> {
    const path = file("download.bin");
    writeFileSync(file("another.bin"), "x");
    writeFileSync(path, Buffer.alloc(24 * MB, "o"));
    await using client = await Peer.connect(on);
    const { status, ...head } = await client.send(request("/download.bin")).head();
    expect([status, head.fields.find(([name]) => name === "Content-Length")?.[1]]).toEqual([200, String(24 * MB)]);
    client.socket.pause();
    change(path);
    client.socket.resume();
    let cut = false;
    let body = "";
    try {
      body = await client.bytes(24 * MB);
    } catch (error) {
      if (!(error instanceof PeerGone)) throw error;
      cut = true;
      body = client.peek();
    }
    // What is on its way shows what has become of its file; a whole answer has not one byte of another.
    if (!cut) expect(body.replaceAll("o", "").length).toBe(0);
    return { body: body.length, cut };
  }

  for (const [what, change, cut] of [
    ["is cut short", (path: string) => truncateSync(path, MB), true],
    ["is emptied and written anew", (path: string) => writeFileSync(path, "x".repeat(1000)), true],
    ["is replaced", (path: string) => renameSync(file("another.bin"), path), false],
    ["is removed", (path: string) => rmSync(path), false],
    ["is written on", (path: string) => appendFileSync(path, "x"), false],
  ] as const)
    test(
      `a file that ${what} while it is sent ${cut ? "is visibly cut off" : "comes whole"}`,
      async () => {
        const got = await during(proxy.port, change);
        expect(got.cut).toBe(cut);
        if (!cut) expect(got.body).toBe(24 * MB);
      },
      LONG_MS,
    );
});

describe("resources", () => {
  /** Open files of this process below the root. */
  const openFiles = (): number =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(root);
      } catch {
        return false;
      }
    }).length;

  test("nothing stays open, however a request ends", async () => {
    for (const path of ["/text.txt", "/large.bin", "/nope", "/outside", "/docs/", "/middle.bin"]) await ask(path);
    await ask("/large.bin", [], "HEAD");
    await ask("/large.bin", ["Range: bytes=0-9"]);
    await ask("/large.bin", ["If-None-Match: *"]);
    for (let i = 0; i < 10; i += 1) {
      const client = await Peer.connect(proxy.port);
      await client.send(request("/large.bin")).head();
      client.reset();
    }
    await until(() => openFiles() === 0, "all files to be closed");
  });

  test(
    "a file of a gigabyte takes no memory, read at once or by nobody",
    async () => {
      writeFileSync(file("sparse"), "");
      truncateSync(file("sparse"), GB);
      await using own = await ProxyProcess.start({ routes: [{ files: { root } }] });
      await exchange(own.port, request("/large.bin"));
      const before = own.memory;
      const clients: Peer[] = [];
      for (let i = 0; i < 20; i += 1) {
        const client = await Peer.connect(own.port);
        expect((await client.send(request("/sparse")).head()).status).toBe(200);
        client.discarding = true;
        client.socket.pause();
        clients.push(client);
      }
      const [first] = clients as [Peer];
      first.socket.resume();
      await first.when(() => first.bytesIn > GB, "the whole file", LONG_MS);
      expect(own.memory - before).toBeLessThan(48 * MB);
      for (const client of clients) client.close();
      const tail = await exchange(own.port, request("/sparse", ["Range: bytes=-3"]));
      expect([tail.field("content-range"), tail.body]).toEqual([`bytes ${GB - 3}-${GB - 1}/${GB}`, "\0\0\0"]);
    },
    LONG_MS,
  );

  test("a rate holds for files too", async () => {
    await using on = await serving({}, { limits: { rate: "2MB/s" } });
    const from = performance.now();
    expect((await ask("/large.bin", ["Range: bytes=0-2097151"], "GET", on)).body.length).toBe(2 * MB);
    expect(performance.now() - from).toBeGreaterThan(700);
  });
});

describe("other versions of HTTP", () => {
  for (const path of ["text.txt", "middle.bin", "large.bin"])
    test(`${path} over HTTP/2`, async () => {
      const target = join(base, `h2-${path}`);
      const got = await run("curl", [
        "-s",
        "--http2-prior-knowledge",
        "-o",
        target,
        "-w",
        "%{http_version}",
        `${proxy.url}/${path}`,
      ]);
      expect([got.out, sha(readFileSync(target))]).toEqual(["2", sha(readFileSync(file(path)))]);
    });

  test("HTTP/1.0", async () => {
    await using client = await Peer.connect(proxy.port);
    client.send("GET /middle.bin HTTP/1.0\r\n\r\n");
    const got = await client.response();
    expect([got.status, got.body.length, got.field("content-length")]).toEqual([200, 300_000, "300000"]);
  });

  test(
    "TLS and HTTP/3",
    async () => {
      using pki = await Pki.make();
      const files = await pki.files("app", { names: ["app.test"] });
      await using on = await startProxy({
        listener: { http3: true, tls: { certificates: [files] } },
        routes: [{ files: { root } }],
      });
      const target = join(base, "tls");
      await run("curl", ["-sk", "-o", target, `https://127.0.0.1:${on.port}/large.bin`]);
      expect(sha(readFileSync(target))).toBe(sha(LARGE));
      const client = await H3Client.connect(on.port);
      for (const path of ["text.txt", "large.bin"])
        expect(sha((await client.get(`/${path}`)).body)).toBe(sha(readFileSync(file(path))));
      client.leave();
    },
    LONG_MS,
  );
});

describe("configuration", () => {
  for (const [what, files, message] of [
    ["a folder that is not there", { root: "nowhere" }, "the folder cannot be read"],
    ["a file as root", { root: "a-file" }, "is not a folder"],
    ["a field of the file itself", { root: ".", headers: { "*": { ETag: "x" } } }, "is made from the file itself"],
    ["a link that is none", { root: ".", earlyHints: { "*": ["/app.css"] } }, "is not a link"],
    ["a page outside", { root: ".", spa: "../index.html" }, "is not a file of the root"],
    ["an index with a slash", { root: ".", index: ["a/b"] }, "without a slash"],
  ] as const)
    test(what, async () => {
      using folder = new Folder();
      folder.write("a-file", "x");
      const path = folder.write("sluice.json", { listeners: [{ address: ":0" }], routes: [{ files }] });
      const got = await sluice(["check", "-c", path]);
      expect([got.code, got.err + got.out]).toEqual([1, expect.stringContaining(message)]);
    });

  test("explain says that files are served, from the configuration's own folder", async () => {
    using folder = new Folder();
    folder.write("index.html", "x");
    const path = folder.write("sluice.json", { listeners: [{ address: ":0" }], routes: [{ files: { root: "." } }] });
    const got = await sluice(["explain", "/", "-c", path], { cwd: tmpdir() });
    expect([got.code, got.out]).toEqual([0, expect.stringContaining("action     served from files")]);
  });
});
