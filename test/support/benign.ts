// Requests of honest clients, made up from a seed: what browsers, apps and programs send all day, with words in which
// rules might see attacks. All text is bytes as Latin-1 characters, as messages of tests are.
import { Rng } from "../../src/core/fuzz.testing.ts";
import { request } from "./message.ts";

const bytes = (text: string): string => Buffer.from(text, "utf8").latin1Slice();

const NAMES = `Ann O'Brien|Conan O'Connor & Sons|Jean-Luc d'Ormesson|L'Oréal Paris|Jörg Schröder & Söhne|Nguyễn Văn A|李小龍|Иван
Иванов|Γιώργος Παπαδόπουλος|محمد علي|Dwayne "The Rock" Johnson|Smith, John (Jr.)|AT&T|Marks & Spencer|D'Angelo|
Rock'n'Roll Café|St. John's Wood|Mary Ann Drop|Ian Table`;

/** A source of chance that also decides whether texts are among those that the Core Rule Set does not bear. */
export class Whims extends Rng {
  readonly harsh: boolean;
  constructor(seed: number, harsh: boolean) {
    super(seed);
    this.harsh = harsh;
  }
}

/** What the Core Rule Set takes for attacks at paranoia level 1, also in ModSecurity; other rules should not. */
const HARSH = [
  "The European Union selects its members every year.",
  "Martin Union and Ian Select",
  "Please delete it.\nThanks!",
  "Delete the old from the list, please.",
  "Drop me a line when you're home; I'll update you.",
  "Müller; Söhne: is 5 > 3 and 2 < 4? Yes -- of course it is!",
  "# Notes\n\nsee [here](https://example.com/a)\n\n> It's quoted",
  `data:image/png;base64,${Buffer.from("picture").toString("base64")}`,
  "https://www.example.com/products/list?page=2&sort=price",
];

const SENTENCES = `I can't select one or the other, it's a hard choice.|The union of workers chose its members.
Please insert the coin into the slot & press "start".
Is 5 more than 3, and 2 less? Yes -- of course it is!|Cost: $5 (or less), 50% off until 12/31 #sale @shop.
Je n'ai pas d'idée : l'été, c'est l'heure d'aller à la plage.|Ich hätte gern 2 Brötchen & 1 Kaffee – „heiß“, bitte.
¿Dónde está la biblioteca? ¡Está allí!|これはテストです。質問がありますか?|Это не просто слова: "да" или "нет"?
我们明天下午三点在咖啡馆见面。|Order by phone, group by age, and limit 5 per customer.|We went to the table; then he left...
He said: 'wait for it' and then "boom".|See section 4.2 (table 3), or ask the admin.|Temperatures: -5 °C to +30 °C.
I'm having fun where the sun is like honey.|Please send it.|Rent: 1,200 €/month + deposit = 3,600 €`;

const MARKDOWN = `# Notes\n\n- first item\n- *second* item, see https://example.com/a\n\n> It's quoted\n\nThe end.
## Recipe\n\n1. Take 2 eggs & 100 g sugar\n2. Mix -- don't stir\n\n**Enjoy!** :-)
Dear team,\r\n\r\nthe meeting is at 10:30; please bring your reports.\r\n\r\nThanks,\r\nAnn
| name | price |\n| --- | --- |\n| tea | 2.50 |\n| coffee | 3.20 |
Line one\nLine two\n\tindented line\n\n-- \nAnn O'Brien, Head of Sales`;

const ADDRESSES = `https://www.example.com/products/list?page=2&size=20|https://example.org/|/account/orders?id=12#top
https://de.wikipedia.org/wiki/Stra%C3%9Fe|http://shop.example/a/b/c.html?utm_source=newsletter&utm_medium=email
https://youtu.be/dQw4w9WgXcQ?t=42|https://maps.example.com/@52.5170365,13.3888599,15z|mailto-team@example.com`;

const list = (text: string, by: RegExp): readonly string[] => text.split(by).map((each) => each.trim());
const TEXTS = [...list(NAMES, /\|/), ...list(SENTENCES, /[|\n]/)].filter((text) => text !== "");
const WORDS =
  "red shoes|blue|summer dress 2024|café|usb-c cable|4k tv 55 inch|größe 42|o'neill jacket|c++ book|node.js".split("|");
const BROWSERS = [
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
];
const LANGUAGES = ["en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "fr,fr-FR;q=0.8", "zh-CN,zh;q=0.9", "ja"];

export interface BenignRequest {
  /** What it is, for messages of failures. */
  readonly kind: string;
  /** The whole message as it is sent. */
  readonly text: string;
}

const base64 = (rng: Rng, length: number): string =>
  Buffer.from(Array.from({ length }, () => rng.below(256))).toString("base64url");
const digits = (rng: Rng, count: number): string => Array.from({ length: count }, () => rng.below(10)).join("");
const hex = (rng: Rng, count: number): string =>
  Array.from({ length: count }, () => rng.below(16).toString(16)).join("");

const word = (rng: Rng): string => rng.pick(WORDS);
const address = (rng: Rng): string => rng.pick(list(ADDRESSES, /[|\n]/));
const uuid = (rng: Rng): string => `${hex(rng, 8)}-${hex(rng, 4)}-4${hex(rng, 3)}-a${hex(rng, 3)}-${hex(rng, 12)}`;

function prose(rng: Whims): string {
  if (rng.harsh && rng.oneIn(3)) return rng.pick(HARSH);
  if (rng.oneIn(4))
    return rng
      .pick(list(MARKDOWN, /\n(?=#|Dear|\||Line)/))
      .replaceAll("\\n", "\n")
      .replaceAll("\\r", "\r");
  return Array.from({ length: 1 + rng.below(4) }, () => rng.pick(TEXTS)).join(rng.oneIn(2) ? " " : "\n");
}

function token(rng: Rng): string {
  const head = Buffer.from('{"alg":"RS256","typ":"JWT"}').toString("base64url");
  const claims = { sub: digits(rng, 6), exp: 1_700_000_000 + rng.below(9999), name: rng.pick(TEXTS), roles: ["user"] };
  return `${head}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${base64(rng, 64)}`;
}

function cookies(rng: Rng): string {
  const all = [
    `_ga=GA1.2.${digits(rng, 9)}.17${digits(rng, 8)}`,
    `_ga_${hex(rng, 8).toUpperCase()}=GS1.1.17${digits(rng, 8)}.3.1.17${digits(rng, 8)}.0.0.0`,
    `_gid=GA1.2.${digits(rng, 9)}.17${digits(rng, 8)}`,
    `_fbp=fb.1.17${digits(rng, 11)}.${digits(rng, 9)}`,
    `session=${base64(rng, 24)}`,
    `jwt=${token(rng)}`,
    `csrftoken=${hex(rng, 64)}`,
    `consent=${encodeURIComponent('{"necessary":true,"statistics":false}')}`,
    "lang=de-DE",
    `sid=s%3A${base64(rng, 24)}.${base64(rng, 32)}`,
  ];
  return all.filter(() => rng.oneIn(2)).join("; ");
}

function fields(rng: Rng, more: readonly string[]): string[] {
  const made = [
    `User-Agent: ${rng.pick(BROWSERS)}`,
    `Accept: ${rng.oneIn(2) ? "*/*" : "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}`,
    `Accept-Language: ${rng.pick(LANGUAGES)}`,
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Sec-Fetch-Mode: cors",
  ];
  const sent = cookies(rng);
  if (sent !== "") made.push(`Cookie: ${sent}`);
  if (rng.oneIn(2)) made.push(`Referer: https://app.example/search?q=${encodeURIComponent(word(rng))}`);
  if (rng.oneIn(4)) made.push(`If-None-Match: W/"${hex(rng, 8)}-${hex(rng, 10)}"`);
  return [...made, ...more];
}

const encoded = (pairs: Readonly<Record<string, string>>): string => new URLSearchParams(pairs).toString();

const browsing = (rng: Whims): string =>
  `/${rng.pick(["search", "shop/list", "de/suche", "wiki/Main_Page", "blog/2024/05/its-time"])}?${encoded({
    q: word(rng),
    page: digits(rng, 1),
    sort: rng.pick(["price_asc", "-date", "name,price"]),
    "filter[color]": rng.pick(["red", "blue|green"]),
    url: address(rng),
    utm_campaign: rng.pick(["spring sale", "news_2024-05", "50% off!"]),
    gclid: base64(rng, 40),
    t: `17${digits(rng, 11)}`,
  })}`;

const form = (rng: Whims): string =>
  encoded({
    name: rng.pick(TEXTS),
    email: rng.pick(["ann.o'brien@example.com", "first.last+tag@example.co.uk"]),
    message: prose(rng),
    password: rng.pick(["correct horse battery staple", "Tr0ub4dor&3", "p@ss-w0rd_2024!"]),
    website: address(rng),
    csrf: base64(rng, 32),
    birthday: "1990-05-06",
    phone: "+49 (30) 123-456",
    terms: "on",
  });

const document = (rng: Whims): string =>
  JSON.stringify({
    id: uuid(rng),
    user: { name: rng.pick(TEXTS), tags: [word(rng), word(rng)], active: rng.oneIn(2), score: rng.below(1000) / 10 },
    text: prose(rng),
    links: [address(rng), address(rng)],
    at: "2024-05-06T07:08:09.000Z",
    position: { lat: 52.517, lon: -13.388, note: null },
    image: base64(rng, 90),
  });

const QUERY = `query Products($first: Int!, $after: String) {
  products(first: $first, after: $after, filter: {inStock: true}) {
    edges { node { id name price { amount currency } ...Stock } }
  }
}
fragment Stock on Product { stock { count warehouse } }`;

const graphQl = (rng: Whims): string =>
  JSON.stringify({
    operationName: "Products",
    variables: { first: rng.below(50), after: base64(rng, 12), search: word(rng), input: { text: rng.pick(TEXTS) } },
    query: rng.harsh ? QUERY : "query Products { products { edges { item { title, price } }, more } }",
  });

function upload(rng: Whims, boundary: string): string {
  const file = rng.pick(["photo of the cat.jpg", "report-2024 (final).pdf", "Größe.png", "data.csv"]);
  const content = Array.from({ length: 400 }, () => String.fromCharCode(rng.below(256))).join("");
  const part = (head: string, body: string): string =>
    `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n`;
  return (
    part('name="title"', bytes(rng.pick(TEXTS))) +
    part('name="description"', bytes(prose(rng))) +
    part(`name="file"; filename="${bytes(file)}"\r\nContent-Type: image/jpeg`, content) +
    `--${boundary}--\r\n`
  );
}

const xml = (rng: Whims): string =>
  bytes(
    `<?xml version="1.0" encoding="UTF-8"?>\n<order id="${digits(rng, 5)}" date="2024-05-06"><customer>${rng
      .pick(TEXTS)
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")}</customer><item sku="A-${digits(rng, 3)}">${word(rng)}</item></order>`,
  );

const KINDS: readonly ((rng: Whims) => BenignRequest)[] = [
  (rng) => ({ kind: "browsing", text: request(browsing(rng), fields(rng, [])) }),
  (rng) => ({
    kind: "form",
    text: request("/contact", fields(rng, ["Content-Type: application/x-www-form-urlencoded"]), "POST", form(rng)),
  }),
  (rng) => ({
    kind: "JSON",
    text: request(
      `/api/v1/items/${uuid(rng)}`,
      fields(rng, ["Content-Type: application/json", `Authorization: Bearer ${token(rng)}`]),
      "POST",
      bytes(document(rng)),
    ),
  }),
  (rng) => ({
    kind: "GraphQL",
    text: request("/graphql", fields(rng, ["Content-Type: application/json"]), "POST", bytes(graphQl(rng))),
  }),
  (rng) => {
    const boundary = `----WebKitFormBoundary${hex(rng, 16)}`;
    const type = `Content-Type: multipart/form-data; boundary=${boundary}`;
    return { kind: "upload", text: request("/upload", fields(rng, [type]), "POST", upload(rng, boundary)) };
  },
  (rng) => ({
    kind: "XML",
    text: request("/soap", fields(rng, ["Content-Type: text/xml; charset=utf-8"]), "POST", xml(rng)),
  }),
  (rng) => ({
    kind: "analytics",
    text: request(
      `/collect?${encoded({ v: "2", tid: `G-${hex(rng, 10).toUpperCase()}`, cid: `${digits(rng, 9)}.17${digits(rng, 8)}`, dl: address(rng), dt: rng.pick(TEXTS), sr: "1920x1080", en: "page_view" })}`,
      fields(rng, ["Content-Type: application/x-www-form-urlencoded;charset=UTF-8"]),
      "POST",
      `en=scroll&epn.percent_scrolled=90&_et=${digits(rng, 4)}`,
    ),
  }),
];

/** Some request; the same for the same seed. */
export const benignRequest = (rng: Whims): BenignRequest => rng.pick(KINDS)(rng);
