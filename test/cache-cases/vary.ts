// Which variant a request gets: RFC 9111 §4.1.
import { type Case, type Group, optional, ours, required } from "./case.ts";

const answer = (vary: string): string =>
  `Cache-Control: max-age=5000 | Last-Modified: {-3000} | Date: {0} | Vary: ${vary}`;
const ONE = answer("Foo");
const TWO = answer("Foo, Bar");
const THREE = answer("Foo, Bar, Baz");

const from = (kind: typeof required, fields: string, said: string, then: string, what: "cached" | "asked"): Case =>
  kind(said, what, { first: { fields }, second: { fields: then } });

const ABC = "Foo: 1 | Bar: abc | Baz: 789";

const VARY_GROUP: Group = {
  name: "vary",
  section: "RFC 9111 §4.1",
  cases: [
    from(optional, "Foo: 1", ONE, "Foo: 1", "cached"),
    from(required, "Foo: 1", ONE, "Foo: 2", "asked"),
    from(required, "", ONE, "Foo: 1", "asked"),
    from(required, "Foo: 1", ONE, "", "asked"),
    from(required, "Foo: ", ONE, "", "asked"),
    from(optional, "", ONE, "", "cached"),
    from(optional, "Foo: 1 | Other: 2", ONE, "Foo: 1 | Other: 3", "cached"),
    from(optional, "Foo: 1 | Bar: abc", TWO, "Foo: 1 | Bar: abc", "cached"),
    from(required, "Foo: 1 | Bar: abc", TWO, "Foo: 2 | Bar: abc", "asked"),
    from(required, "Foo: 1 | Bar: abc", TWO, "", "asked"),
    from(required, "Foo: 1 | Bar: abc", TWO, "Foo: 1", "asked"),
    from(optional, ABC, THREE, ABC, "cached"),
    from(required, ABC, THREE, "Foo: 2 | Bar: abc | Baz: 789", "asked"),
    from(required, ABC, THREE, "Foo: 1 | Baz: 789 | Bar: abcde", "asked"),
    from(optional, ABC, THREE, "Baz: 789 | Bar: abc | Foo: 1", "cached"),
    from(optional, "Foo: 1 | Baz: 789", THREE, "Foo: 1 | Baz: 789", "cached"),
    from(optional, "Foo: 1", answer("FOO"), "foo: 1", "cached"),
    from(required, ABC, answer("*"), ABC, "asked"),
    from(optional, "Foo: 1, 2", ONE, "Foo: 1 | Foo: 2", "cached"),
    from(optional, "Foo: 1,2", ONE, "Foo:  1, 2 ", "cached"),
    from(optional, "Accept-Language: en, de", answer("Accept-Language"), "Accept-Language: de, en", "cached"),
    from(optional, "Accept-Language: en, de", answer("Accept-Language"), "Accept-Language: eN, De", "cached"),
    from(optional, "Accept-Language: en, de", answer("Accept-Language"), "Accept-Language:  en ,   de", "cached"),
    from(
      optional,
      "Accept-Language: en, de",
      `${answer("Accept-Language")} | Content-Language: de`,
      "Accept-Language: fr;q=0.5, de;q=1.0",
      "cached",
    ),
    from(required, "Accept-Language: en", answer("Accept-Language"), "Accept-Language: de", "asked"),
    from(optional, "Accept-Encoding: gzip, br", answer("Accept-Encoding"), "Accept-Encoding: br,gzip", "cached"),
    from(optional, "Accept-Encoding: gzip", answer("Accept-Encoding"), "Accept-Encoding: gzip, deflate", "cached"),
    from(
      required,
      "Accept-Encoding: gzip",
      `${answer("Accept-Encoding")} | Content-Encoding: gzip`,
      "Accept-Encoding: identity",
      "asked",
    ),
    from(ours, "Accept-Encoding: gzip", `${answer("X")} | Content-Encoding: gzip`, "Accept-Encoding: br", "asked"),
    from(ours, "Accept-Encoding: gzip", `${answer("X")} | Content-Encoding: x-odd`, "Accept-Encoding: br", "cached"),
    from(ours, "Cookie: a=1", answer("Cookie"), "Cookie: a=1", "asked"),
    {
      kind: "optional",
      name: "two variants are stored beside each other",
      steps: [
        { fields: "Foo: 1", answer: ONE, content: "foo 1" },
        { fields: "Foo: 2", answer: ONE, content: "foo 2", from: "asked", text: "foo 2" },
        { fields: "Foo: 1", from: "cached", text: "foo 1" },
        { fields: "Foo: 2", from: "cached", text: "foo 2" },
      ],
    },
    {
      kind: "required",
      name: "answers with different Vary: each is selected by its own",
      steps: [
        { fields: "Foo: 1 | Bar: 1", answer: ONE, content: "by Foo" },
        { fields: "Foo: 2 | Bar: 1", answer: answer("Bar"), content: "by Bar", from: "asked" },
        { fields: "Foo: 3 | Bar: 1", from: "cached", text: "by Bar" },
        { fields: "Foo: 1 | Bar: 2", from: "cached", text: "by Foo" },
        { fields: "Foo: 3 | Bar: 3", answer: ONE, from: "asked" },
      ],
    },
  ],
};

const star = (vary: string): Case => from(required, ABC, answer(vary), ABC, "asked");

const VARY_PARSE: Group = {
  name: "vary-parse",
  section: "RFC 9110 §12.5.5",
  cases: [
    star("*"),
    star("*, *"),
    star("* | Vary: *"),
    star(", *"),
    star(" | Vary: *"),
    star("*, Foo"),
    star("Foo, *"),
    star("Foo | Vary: *"),
    star("Foo *"),
    from(optional, ABC, answer("Foo,,Bar,"), ABC, "cached"),
    from(required, ABC, answer("Foo | Vary: Bar"), "Foo: 1 | Bar: x", "asked"),
    from(optional, ABC, answer(""), "Foo: 2", "cached"),
  ],
};

export const VARY: readonly Group[] = [VARY_GROUP, VARY_PARSE];
