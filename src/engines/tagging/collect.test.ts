import { describe, expect, test } from "bun:test";
import { Rng } from "../../core/fuzz.testing.ts";
import { UNSET } from "./consent/consent.ts";
import { conversionsBody } from "./conversions-api.ts";
import { cut, LIMITS, NOWHERE, ParamsBuilder, type TagEvent } from "./event.ts";
import { readGa4 } from "./ga4-hit.ts";
import { measurementBody, sameSender } from "./measurement-protocol.ts";
import { readOwnEvents, readPixel } from "./own-events.ts";

const HIT =
  "v=2&tid=G-ABC&cid=1.2&sid=77&uid=ann&en=purchase&dl=https%3A%2F%2Fs.example%2Fa%3Fb%3D1&dt=A+page&dr=https://o.example/&ul=de-de&sr=800x600&cu=EUR&_et=1200&ep.coupon=X%26Y&epn.value=19.5&epn.odd=abc&up.tier=gold&upn.age=7&gcs=G101&gcd=11t1p1t1t5&pr1=idS1~nmShirt~pr9.5~qt2~k0color~v0red&pr2=idS2";

describe("hits of GA4", () => {
  test("one in the query", () => {
    const [event, ...more] = readGa4(HIT, "")!;
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      name: "purchase",
      clientId: "1.2",
      sessionId: "77",
      userId: "ann",
      url: "https://s.example/a?b=1",
      title: "A page",
      referrer: "https://o.example/",
      language: "de-de",
      screen: "800x600",
      tag: "G-ABC",
      // gcs has ads denied, gcd analytics: the most restrictive wins.
      consent: { analytics: "denied", ads: "denied", adUserData: "granted", adPersonalization: "granted" },
    });
    expect({ ...event!.params }).toEqual({
      coupon: "X&Y",
      value: 19.5,
      odd: "abc",
      currency: "EUR",
      engagement_time_msec: 1200,
    });
    expect({ ...event!.user }).toEqual({ tier: "gold", age: 7 });
    expect(event!.items.map((item) => ({ ...item }))).toEqual([
      { item_id: "S1", item_name: "Shirt", price: 9.5, quantity: 2, color: "red" },
      { item_id: "S2" },
    ]);
  });

  test("several in the body share the query, and may say otherwise", () => {
    const events = readGa4("v=2&tid=G-A&cid=1&ul=en", "en=page_view&dl=/a\r\nen=scroll&ul=de&epn.percent=90\n\n")!;
    expect(events.map(({ name, language, clientId }) => [name, language, clientId])).toEqual([
      ["page_view", "en", "1"],
      ["scroll", "de", "1"],
    ]);
  });

  test.each(["", "v=1&tid=UA-1", "tid=G-A", "v=2"])("%p is none", (query) => expect(readGa4(query, "")).toBeNull());

  test("whatever it is, it is bounded", () => {
    for (let seed = 1; seed < 300; seed += 1) {
      const rng = new Rng(seed);
      const parts = [
        "&",
        "=",
        "%",
        "%2",
        "ep.",
        "pr1",
        "~",
        "k0",
        "v0",
        "\n",
        "+",
        "é",
        "__proto__",
        "ep.__proto__",
        "a",
      ];
      const noise = Array.from({ length: rng.below(400) }, () => rng.pick(parts)).join("");
      for (const event of readGa4(`v=2&tid=G-A&${noise}`, rng.oneIn(2) ? noise : "")!) {
        expect(Object.keys(event.params).length).toBeLessThanOrEqual(LIMITS.params);
        expect(event.items.length).toBeLessThanOrEqual(LIMITS.items);
        expect(Object.getPrototypeOf(event.params)).toBeNull();
      }
    }
    expect(readGa4("v=2&tid=G-A", "en=x\n".repeat(5000))!.length).toBe(LIMITS.events);
  });
});

describe("own events", () => {
  test.each([
    ["one", `{"name":"signup","params":{"plan":"gold","n":2,"yes":true,"deep":{"a":1},"nothing":null}}`, ["signup"]],
    ["a list", `[{"name":"a"},{"name":"b"}]`, ["a", "b"]],
    ["what they share beside them", `{"clientId":"c","events":[{"name":"a"},{"name":"b","clientId":"d"}]}`, ["a", "b"]],
  ])("%s", (_name, text, names) => {
    const read = readOwnEvents(text);
    expect("events" in read && read.events.map(({ name }) => name)).toEqual(names);
  });

  test("what is shared holds where an event does not say otherwise", () => {
    const read = readOwnEvents(`{"clientId":"c","url":"/x","events":[{"name":"a"},{"name":"b","clientId":"d"}]}`);
    const told = "events" in read ? read.events : [];
    expect(told.map(({ clientId, url }) => [clientId, url])).toEqual([
      ["c", "/x"],
      ["d", "/x"],
    ]);
  });

  test("values are texts, numbers and booleans; times are numbers or dates; consent is true or granted", () => {
    const read = readOwnEvents(
      `{"name":"a","time":"2026-01-02T03:04:05Z","params":{"s":"x","n":1.5,"b":false,"o":{},"z":null},"consent":{"analytics":true,"ads":"granted","adUserData":false}}`,
    );
    const [event] = "events" in read ? read.events : [];
    expect({ ...event!.params }).toEqual({ s: "x", n: 1.5, b: false });
    expect(event!.time).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
    expect(event!.consent).toEqual({
      analytics: "granted",
      ads: "granted",
      adUserData: "denied",
      adPersonalization: "unset",
    });
  });

  test.each([
    ["no JSON", "{", "the body is not JSON"],
    ["nothing", "[]", "there are no events"],
    ["no object", "[1]", "event 0 is no object"],
    ["no name", `[{"name":"a"},{}]`, "event 1 has no name"],
    ["too many", `[${Array(101).fill(`{"name":"a"}`).join(",")}]`, "more than 100 events at once"],
    ["a name from the prototype", `[{"__proto__":{"name":"a"}}]`, "event 0 has no name"],
  ])("%s", (_name, text, wrong) => expect(readOwnEvents(text)).toEqual({ wrong }));

  test("a pixel", () => {
    expect(readPixel("name=open&url=%2Fa&param.mail=7&param.__proto__=x")).toMatchObject({ name: "open", url: "/a" });
    expect(readPixel("url=/a")).toBeNull();
  });
});

const EVENT: TagEvent = {
  id: "id-1",
  name: "purchase",
  time: 1_700_000_000_123,
  clientId: "c",
  sessionId: "9",
  userId: "u",
  url: "https://s.example/",
  title: "T",
  referrer: "",
  language: "",
  screen: "",
  params: { value: 3 },
  user: { tier: "gold" },
  items: [{ item_id: "S", price: 2, quantity: 3 }],
  ip: "",
  userAgent: "UA",
  place: { ...NOWHERE, country: "DE", region: "BY" },
  consent: { ...UNSET, adUserData: "granted" },
  tag: "",
};

describe("what vendors take", () => {
  test("the Measurement Protocol", () => {
    expect(JSON.parse(measurementBody([EVENT]))).toEqual({
      client_id: "c",
      user_id: "u",
      user_properties: { tier: { value: "gold" } },
      consent: { ad_user_data: "GRANTED", ad_personalization: "DENIED" },
      user_agent: "UA",
      user_location: { country_id: "DE", region_id: "DE-BY" },
      events: [
        {
          name: "purchase",
          timestamp_micros: 1_700_000_000_123_000,
          params: {
            session_id: "9",
            page_location: "https://s.example/",
            page_title: "T",
            value: 3,
            engagement_time_msec: 1,
            event_id: "id-1",
            items: [{ item_id: "S", price: 2, quantity: 3 }],
          },
        },
      ],
    });
    expect(sameSender(EVENT, { ...EVENT, id: "id-2", name: "x" })).toBe(true);
    expect(sameSender(EVENT, { ...EVENT, clientId: "d" })).toBe(false);
    expect(sameSender(EVENT, { ...EVENT, consent: UNSET })).toBe(false);
  });

  test("the Conversions API", () => {
    const body = JSON.parse(conversionsBody([EVENT], "token", "")) as { data: Record<string, unknown>[] };
    expect(body).toMatchObject({ access_token: "token" });
    expect(body.data[0]).toMatchObject({
      event_name: "Purchase",
      event_time: 1_700_000_000,
      event_id: "id-1",
      action_source: "website",
      user_data: { client_user_agent: "UA" },
      custom_data: { value: 3, contents: [{ id: "S", quantity: 3, item_price: 2 }], content_type: "product" },
    });
    expect(JSON.stringify(body)).not.toContain('"u"');
  });
});

test("texts are cut at whole characters, and have no control characters", () => {
  expect(cut("a\u0000b\nc", 10)).toBe("abc");
  expect(cut("ab😀", 3)).toBe("ab");
  expect(cut("ab😀", 4)).toBe("ab😀");
});

test("of parameters with one name the first counts", () => {
  const params = new ParamsBuilder();
  params.add("a", 1);
  params.add("a", 2);
  params.add("", 3);
  expect({ ...params.done() }).toEqual({ a: 1 });
});
