// The firewall over each version of HTTP, and with requests that are broken in any way.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Rng } from "../src/core/fuzz.testing.ts";
import { H2Peer } from "./support/h2-peer.ts";
import { data, get, lastData, post } from "./support/h2-wire.ts";
import { H3Client } from "./support/h3.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const CRS = "/usr/share/modsecurity-crs";
const FORM = "application/x-www-form-urlencoded";
const AGENT = "Mozilla/5.0 (X11; Linux x86_64)";
const SCRIPT = "q=%3Cscript%3Ealert(1)%3C/script%3E";
const UNION = '{"a":["1\\u0027 union select 1,2 from users--"]}';

let pki: Pki;
let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  pki = await Pki.make();
  const certificates = [await pki.files("app", { names: ["app.test"] })];
  backend = await RawBackend.answering(({ body }) => answer(200, body, ["Content-Type: text/html"]));
  proxy = await startProxy({
    log: { level: "error" },
    listeners: [
      { address: "127.0.0.1:0", h2c: true },
      { address: "127.0.0.1:0", tls: { certificates }, http3: true },
    ],
    routes: [
      {
        waf: { crs: CRS, paranoia: 4, threshold: 60, responses: true },
        match: { path: "/any" },
        to: backend.url,
      },
      { waf: { crs: CRS }, to: backend.url },
    ],
  });
}, 60_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  pki[Symbol.dispose]();
});

test("HTTP/2: requests and bodies are looked at, each stream by itself", async () => {
  await using peer = await H2Peer.connect(proxy.port);
  const fields = [
    ["user-agent", AGENT],
    ["accept", "*/*"],
  ] as const;
  const json = [...fields, ["content-type", "application/json"]] as const;
  peer.send(
    get(1, `/?${SCRIPT}`, fields),
    get(3, "/?q=red+shoes", fields),
    post(5, "/", [...fields, ["content-type", FORM]]),
    post(7, "/", json),
    get(9, "/", [...fields, ["cookie", "a=b"], ["cookie", "c=<script>alert(1)</script>"]]),
  );
  peer.send(
    data(5, SCRIPT.slice(0, 9)),
    data(7, UNION.slice(0, 20)),
    lastData(5, SCRIPT.slice(9)),
    lastData(7, UNION.slice(20)),
  );
  const heard = await Promise.all([1, 3, 5, 7, 9].map((stream) => peer.answer(stream)));
  expect(heard.map(({ status }) => status)).toEqual([403, 200, 403, 403, 403]);
  // A body that nobody waits for any more leaves the connection as it was.
  peer.send(post(11, `/?${SCRIPT}`, json), data(11, "x".repeat(10_000)), lastData(11, "x"), get(13, "/", fields));
  expect([(await peer.answer(11)).status, (await peer.answer(13)).status]).toEqual([403, 200]);
});

test("HTTP/3: requests and bodies are looked at", async () => {
  const port = Number(proxy.proxy.addresses[1]!.split(":").at(-1));
  await using client = await H3Client.connect(port);
  const fields = { "user-agent": AGENT, accept: "*/*" };
  const posted = (type: string, body: string) =>
    client.post("/", Buffer.from(body), { ...fields, "content-type": type });
  const got = await Promise.all([
    client.get(`/?${SCRIPT}`, fields),
    client.get("/?q=red+shoes", fields),
    posted(FORM, SCRIPT),
    posted("application/json", UNION),
    posted("application/json", '{"a":["red shoes"]}'),
  ]);
  expect(got.map(({ status }) => status)).toEqual([403, 200, 403, 403, 200]);
});

/** A form with that field behind a file that is longer than what is read ahead. */
const formWith = (field: string): string =>
  `--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n${"\r\n--C 0".repeat(40_000)}\r\n` +
  `--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n${field}\r\n--B--\r\n`;
const WITH_FILES = "multipart/form-data; boundary=B";

test("HTTP/2 and HTTP/3: fields behind long files are looked at", async () => {
  const fields = { "user-agent": AGENT, accept: "*/*", "content-type": WITH_FILES };
  await using client = await H3Client.connect(Number(proxy.proxy.addresses[1]!.split(":").at(-1)));
  for (const [field, status] of [
    ["<script>alert(1)</script>", 403],
    ["red shoes", 200],
  ] as const) {
    const form = formWith(field);
    const before = backend.requests.length;
    expect((await client.post("/", Buffer.from(form), fields)).status).toBe(status);
    await using peer = await H2Peer.connect(proxy.port);
    peer.send(post(1, "/", Object.entries(fields)));
    const size = 16_000;
    for (let at = 0; at < form.length; at += size) {
      const piece = form.slice(at, at + size);
      await until(() => peer.streams.get(1)?.ended === true || roomOf(peer) >= piece.length, "room for a piece");
      if (peer.streams.get(1)?.ended === true) break;
      for (const stream of [0, 1]) peer.credit.set(stream, peer.window(stream) - piece.length);
      peer.send(at + size < form.length ? data(1, piece) : lastData(1, piece));
    }
    expect((await peer.answer(1)).status).toBe(status);
    const sent = backend.requests.slice(before).map(({ body }) => body === form);
    expect(sent).toEqual(status === 200 ? [true, true] : []);
  }
});

const roomOf = (peer: H2Peer): number => Math.min(peer.window(0), peer.window(1));

const BODIES: readonly (readonly [type: string, body: string])[] = [
  [FORM, "a=1&b=%41+c&c&=d&&e==f&g[h]=%3Cb%3E"],
  ["application/json", '{"a":1,"b":[1,2,{"c":"x\\u0041"}],"d":null,"":[[[]]]}'],
  ["text/xml", '<?xml version="1.0"?><r a="1"><b c="&lt;d">text</b><![CDATA[x]]>&#65;<!-- c --></r>'],
  [
    'multipart/form-data; boundary="BB"',
    '--BB\r\nContent-Disposition: form-data; name="x"\r\n\r\nv\r\n--BB\r\n' +
      'Content-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ndata\r\n--BB--\r\n',
  ],
  ["text/plain", "just text"],
];
const PIECES = [
  "\0",
  "\r",
  "\n",
  "\r\n",
  "--BB",
  '"',
  "'",
  "%",
  "&",
  "=",
  ";",
  "<",
  ">",
  "\\u",
  "{",
  "[",
  "]",
  "\xff",
  "A".repeat(3000),
];

function mutated(rng: Rng, text: string): string {
  let made = text;
  for (let times = rng.below(4); times > 0; times -= 1) {
    const at = rng.below(made.length + 1);
    const kind = rng.below(3);
    const to = at + rng.below(12);
    if (kind === 0) made = made.slice(0, at) + rng.pick(PIECES) + made.slice(at);
    else if (kind === 1) made = made.slice(0, at) + made.slice(to);
    else made = made.slice(0, at) + made.slice(rng.below(made.length + 1)).slice(0, 60) + made.slice(at);
  }
  return made;
}

function brokenRequest(rng: Rng): string {
  const [type, body] = rng.pick(BODIES);
  const fields = [`User-Agent: ${AGENT}`, 'Cookie: a=1; b="two"; c', "Connection: close"];
  const sent = mutated(rng, body);
  const line = rng.oneIn(3) ? mutated(rng, type).replace(/[\r\n\0]/g, "") : type;
  const text = request("/any?x=1&y=%42", [...fields, `Content-Type: ${line}`], "POST", sent);
  return rng.oneIn(3) ? mutated(rng, text) : text;
}

test("whatever is wrong with a request, it is answered or ended, and others are served", async () => {
  const rng = new Rng(1);
  const statuses = new Map<number, number>();
  for (let round = 0; round < 40; round += 1) {
    const texts = Array.from({ length: 10 }, () => brokenRequest(rng));
    await Promise.all(
      texts.map(async (text) => {
        await using peer = await Peer.connect(proxy.port);
        peer.send(text).finish();
        await peer.end();
        const status = Number(peer.peek(12).slice(9));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }),
    );
  }
  // 500 would be an error of ours, 502 to 504 one on the way to the server.
  expect([...statuses.keys()].filter((status) => [500, 502, 503, 504].includes(status))).toEqual([]);
  // Most get as far as the rules: the test would be worth nothing otherwise.
  expect((statuses.get(200) ?? 0) + (statuses.get(403) ?? 0)).toBeGreaterThan(250);
  expect((await exchange(proxy.port, request("/?q=red+shoes", [`User-Agent: ${AGENT}`, "Accept: */*"]))).status).toBe(
    200,
  );
}, 30_000);
