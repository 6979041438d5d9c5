// Personal data planted in every place and encoding that pages can put it, through the real program: none of it reaches
// a destination, a log, a file, or those who watch.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Folder, runConfig } from "./support/sluice.ts";
import { TaggingVendor, taggingRoute } from "./support/tagging-vendor.ts";
import { until } from "./support/wait.ts";

const BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const GRANTED = { analytics: true, ads: true, adUserData: true, adPersonalization: true };
const GCD = "gcs=G111&gcd=11t1t1t1t5";

interface Sent {
  readonly path?: string;
  /** A body; without one it is a GET. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const own = (event: object): Sent => ({ body: JSON.stringify({ name: "e", consent: GRANTED, ...event }) });
const hit = (query: string, body?: string): Sent => ({
  path: `/t/g/collect?v=2&tid=G-ABC123&en=e&${GCD}&${query}`,
  ...(body === undefined ? {} : { body }),
});

const each = (text: string, shown: (code: number) => string): string =>
  [...text].map((char) => shown(char.codePointAt(0)!)).join("");
const hex = (code: number, width: number): string => code.toString(16).padStart(width, "0");
const url = encodeURIComponent;
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const ENCODINGS: Readonly<Record<string, (text: string) => string>> = {
  "percent-encoded": url,
  "percent-encoded in whole": (text) => each(text, (code) => `%${hex(code, 2)}`),
  "percent-encoded twice": (text) => url(url(text)),
  base64,
  base64url: (text) => Buffer.from(text).toString("base64url"),
  "base64 twice": (text) => base64(base64(text)),
  "base64 of JSON": (text) => base64(JSON.stringify({ mail: text })),
  "base64, percent-encoded": (text) => url(base64(text)),
  "entities of HTML": (text) => each(text, (code) => `&#${code};`),
  "entities in base 16": (text) => each(text, (code) => `&#x${hex(code, 2)};`),
  "escapes of JavaScript": (text) => each(text, (code) => `\\u${hex(code, 4)}`),
  "bytes of JavaScript": (text) => each(text, (code) => `\\x${hex(code, 2)}`),
  "JSON in JSON": (text) => JSON.stringify(JSON.stringify({ mail: text })),
};

/** Where an address of mail can be. */
const PLACES: readonly (readonly [place: string, make: (mail: string) => Sent])[] = [
  ["the name of an event", (mail) => own({ name: mail })],
  ["its id", (mail) => own({ id: mail })],
  ["the client's id", (mail) => own({ clientId: mail })],
  ["the session's id", (mail) => own({ sessionId: mail })],
  ["the user's id", (mail) => own({ userId: mail })],
  ["the title", (mail) => own({ title: `Orders of ${mail}` })],
  ["the query of the page", (mail) => own({ url: `https://s.example/?next=${url(mail)}` })],
  ["the path of the page", (mail) => own({ url: `https://s.example/users/${mail}/orders` })],
  ["the user of an address", (mail) => own({ url: `https://${url(mail)}:x@s.example/` })],
  ["the fragment of the page", (mail) => own({ url: `https://s.example/#${mail}` })],
  ["the page before", (mail) => own({ url: "https://s.example/", referrer: `https://s.example/?m=${mail}` })],
  ["a page of others", (mail) => own({ url: "https://s.example/", referrer: `https://o.example/${mail}` })],
  ["the language", (mail) => own({ language: mail })],
  ["the screen", (mail) => own({ screen: mail })],
  ["the tag", (mail) => own({ tag: mail })],
  ["the visit", (mail) => own({ visit: mail })],
  ["a parameter", (mail) => own({ params: { note: `write to ${mail}!` } })],
  ["the name of a parameter", (mail) => own({ params: { [mail]: 1 } })],
  ["an address in a parameter", (mail) => own({ params: { link_url: `https://o.example/?to=${url(mail)}` } })],
  ["a property of the user", (mail) => own({ user: { contact: mail } })],
  ["the name of such a property", (mail) => own({ user: { [mail]: true } })],
  ["a product", (mail) => own({ items: [{ item_name: `Card for ${mail}` }] })],
  ["the name of a product's field", (mail) => own({ items: [{ [mail]: "x" }] })],
  ["a key that nobody knows", (mail) => own({ more: mail, consent: { ...GRANTED, by: mail } })],
  ["a list of events", (mail) => ({ body: JSON.stringify([{ name: "e", title: mail, consent: GRANTED }]) })],
  [
    "what events share",
    (mail) => ({ body: JSON.stringify({ title: mail, consent: GRANTED, events: [{ name: "e" }] }) }),
  ],
  ["a pixel", (mail) => ({ path: `/t/pixel.gif?name=e&title=${url(mail)}` })],
  ["a parameter of a pixel", (mail) => ({ path: `/t/pixel.gif?name=e&param.note=${url(mail)}` })],
  ["the page of a hit", (mail) => hit(`dl=${url(`https://s.example/?m=${url(mail)}`)}`)],
  ["the page before a hit", (mail) => hit(`dr=${url(`https://o.example/${mail}`)}`)],
  ["a hit's event parameter", (mail) => hit(`ep.note=${url(mail)}`)],
  ["a hit's number", (mail) => hit(`epn.value=${url(mail)}`)],
  ["a hit's user", (mail) => hit(`uid=${url(mail)}&up.mail_of=${url(mail)}`)],
  ["a hit's browser", (mail) => hit(`cid=${url(mail)}`)],
  ["a hit's product", (mail) => hit(`pr1=${url(`nm${mail}~k0who~v0${mail}`)}`)],
  ["a line of a hit's body", (mail) => hit("", `en=e&ep.note=${url(mail)}\r\nen=f&dt=${url(mail)}`)],
  ["the browser's name", (mail) => ({ ...own({}), headers: { "user-agent": `${BROWSER} (${mail})` } })],
  ["the referring page", (mail) => ({ ...own({}), headers: { referer: `http://shop.example/?m=${mail}` } })],
  ["a cookie", (mail) => ({ ...own({}), headers: { cookie: `_ga=${mail}; who=${mail}` } })],
  ["what is no event", (mail) => ({ body: `{"mail":"${mail}"` })],
  ["an event without a name", (mail) => ({ body: JSON.stringify({ mail }) })],
  ["a choice", (mail) => ({ path: "/t/consent", body: JSON.stringify({ visit: mail, consent: { [mail]: true } }) })],
];

/** Other personal data, as it is; and the same of mail, encoded. */
const KINDS: readonly (readonly [place: string, secret: string])[] = [
  ["a phone", "+49 170 5550147"],
  ["a card", "4111 1111 1111 1111"],
  ["a card without spaces", "5555555555554444"],
  ["what an own expression finds", "customer-4711"],
  ["an account", "DE89 3704 0044 0532 0130 00"],
];

interface Planted {
  readonly place: string;
  readonly sent: Sent;
  /** What must not be found. */
  readonly secrets: readonly string[];
}

function planted(): Planted[] {
  let number = 0;
  const mail = (): string => `ann.smith${(number += 1)}@planted.example`;
  const all = PLACES.map(([place, make]): Planted => {
    const secret = mail();
    return { place, sent: make(secret), secrets: [secret, url(secret)] };
  });
  for (const [name, encode] of Object.entries(ENCODINGS)) {
    const secret = mail();
    const hidden = encode(secret);
    all.push({ place: name, sent: own({ params: { note: hidden } }), secrets: [secret, hidden] });
    const inAddress = mail();
    const more = encode(inAddress);
    const page = `https://s.example/a?x=${url(more)}&y=1`;
    all.push({ place: `${name}, in a page`, sent: own({ url: page }), secrets: [inAddress, more, url(more)] });
  }
  for (const [place, secret] of KINDS) {
    all.push({ place, sent: own({ params: { note: `it is ${secret}` } }), secrets: [secret] });
    all.push({
      place: `${place}, in a page`,
      sent: hit(`dl=${url(`https://s.example/?n=${url(secret)}`)}`),
      secrets: [secret],
    });
  }
  return all;
}

/** All files below a folder, as text of single bytes. */
function contents(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
    .join("\n");
}

test("none of it reaches a destination, a log, a file, or those who watch", async () => {
  using folder = new Folder();
  using kept = new Folder();
  using vendor = new TaggingVendor({ keepBodies: true });
  await using proxy = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 1,
    shutdown: { drain: "20ms" },
    storage: kept.path,
    log: { level: "debug", access: { path: join(kept.path, "access.log"), format: "json" } },
    routes: [
      taggingRoute(
        {
          ga: { ga4: { measurementId: "G-ABC123", apiSecret: "key", url: vendor.url }, linger: "20ms" },
          meta: { meta: { pixelId: "1234", accessToken: "key", url: vendor.url }, linger: "20ms" },
          hook: { webhook: { url: `${vendor.url}/hook` }, linger: "20ms" },
          lines: { file: { path: join(kept.path, "events.ndjson") }, linger: "20ms" },
          refuses: { webhook: { url: `${vendor.url}/refused` }, linger: "20ms" },
        },
        { privacy: { patterns: ["customer-[0-9]{4}"] } },
      ),
    ],
  });
  const watching = await fetch(`${proxy.adminUrl}/api/events`);
  let watched = "";
  const reading = (async () => {
    for await (const piece of watching.body!) watched += Buffer.from(piece).toString();
  })().catch(() => undefined);
  const all = planted();
  expect(all.length).toBeGreaterThan(70);
  const statuses = new Map<string, number>();
  for (const { place, sent } of all) {
    const { path = "/t/collect", body, headers } = sent;
    const answer = await fetch(`http://127.0.0.1:${proxy.port()}${path}`, {
      headers: { host: "shop.example", "user-agent": BROWSER, ...headers },
      ...(body === undefined ? {} : { method: "POST", body }),
    });
    statuses.set(place, answer.status);
  }
  const taken = all.filter(({ place }) => statuses.get(place)! < 300).length;
  expect([...statuses].filter(([, status]) => status >= 300).map(([place]) => place)).toEqual([
    "what is no event",
    "an event without a name",
  ]);
  expect(taken).toBe(all.length - 2);
  await until(async () => {
    const { routes } = (await proxy.admin("GET", "/api/tagging")).body as {
      routes: { received: number; destinations: { waiting: number }[] }[];
    };
    return routes.every(
      ({ received, destinations }) => received > 70 && destinations.every((one) => one.waiting === 0),
    );
  }, "all to be delivered");
  const report = JSON.stringify((await proxy.admin("GET", "/api/tagging")).body);
  const metrics = (await proxy.admin("GET", "/metrics")).body as string;
  const stopped = proxy.exited;
  proxy.signal("SIGTERM");
  await Promise.all([stopped, reading]);
  const found = {
    destinations: vendor.bodies.join("\n"),
    files: contents(kept.path),
    log: proxy.err + proxy.out,
    watched,
    report: report + metrics,
  };
  // The search looks at something.
  expect(found.destinations).toContain("(redacted)");
  expect(found.files).toContain("(redacted)");
  expect(found.files).toContain('"target":"/t/pixel.gif"');
  expect(watched).toContain("event: tagging");
  const leaks = all.flatMap(({ place, secrets }) =>
    Object.entries(found).flatMap(([where, text]) =>
      secrets.filter((secret) => text.includes(secret)).map((secret) => `${place}: ${secret} in ${where}`),
    ),
  );
  expect(leaks).toEqual([]);
}, 20_000);
