import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatHttpDate, parseHttpDate } from "./http-date.ts";

const NOW = Date.UTC(2026, 10, 23, 12);
const SAMPLE = Date.UTC(1994, 10, 6, 8, 49, 37);

const GOOD: readonly (readonly [text: string, want: number])[] = [
  ["Sun, 06 Nov 1994 08:49:37 GMT", SAMPLE],
  ["Sunday, 06-Nov-94 08:49:37 GMT", SAMPLE],
  ["Sun Nov  6 08:49:37 1994", SAMPLE],
  ["Sun Nov 16 08:49:37 1994", SAMPLE + 10 * 86_400_000],
  ["SUN, 06 nov 1994 08:49:37 gmt", SAMPLE], // a cache does not look at case (RFC 9111 §4.2)
  ["SUNDAY, 06-NOV-94 08:49:37 gMT", SAMPLE],
  ["Mon, 06 Nov 1994 08:49:37 GMT", SAMPLE], // the day's name decides nothing
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["Wed, 31 Dec 1969 23:59:59 GMT", -1000],
  ["Tue, 29 Feb 2000 00:00:00 GMT", Date.UTC(2000, 1, 29)],
  ["Sat, 30 Jun 2012 23:59:60 GMT", Date.UTC(2012, 5, 30, 23, 59, 59)], // a leap second
  ["Fri, 31 Dec 9999 23:59:59 GMT", Date.UTC(9999, 11, 31, 23, 59, 59)],
  ["Thu, 18 Aug 2050 02:01:18 GMT", Date.UTC(2050, 7, 18, 2, 1, 18)],
  ["Sunday, 06-Nov-76 08:49:37 GMT", Date.UTC(2076, 10, 6, 8, 49, 37)], // less than 50 years ahead
  ["Sunday, 06-Nov-26 08:49:37 GMT", Date.UTC(2026, 10, 6, 8, 49, 37)],
  ["Sunday, 24-Nov-76 08:49:37 GMT", Date.UTC(1976, 10, 24, 8, 49, 37)], // more
  ["Sunday, 06-Nov-77 08:49:37 GMT", Date.UTC(1977, 10, 6, 8, 49, 37)],
  ["Sunday, 06-Nov-99 08:49:37 GMT", Date.UTC(1999, 10, 6, 8, 49, 37)],
];
for (const [text, want] of GOOD) test(`date: ${text}`, () => expect(parseHttpDate(text, NOW)).toBe(want));

test("the years before 100 are those years", () => {
  expect(new Date(parseHttpDate("Sun, 06 Nov 0094 08:49:37 GMT", NOW)).toISOString()).toBe("0094-11-06T08:49:37.000Z");
});

const BAD: readonly string[] = [
  "",
  "0",
  "-1",
  "Sun",
  "Sun, 06 Nov 1994 08:49:37",
  "Sun, 06 Nov 1994 08:49:37 UTC",
  "Sun, 06 Nov 1994 08:49:37 +0000",
  "Sun, 06 Nov 1994 08:49:37 GMT ",
  " Sun, 06 Nov 1994 08:49:37 GMT",
  "Sun 06 Nov 1994 08:49:37 GMT",
  "Sun, 6 Nov 1994 08:49:37 GMT",
  "Sun, 06  Nov  1994 08:49:37 GMT",
  "Sun, 06-Nov-1994 08:49:37 GMT",
  "Sun, 06 Nov 94 08:49:37 GMT",
  "Sun, 06 Nov 1994 8:49:37 GMT",
  "Sun, 06 Nov 1994 08.49.37 GMT",
  "Sun, 06 Nov 1994 24:00:00 GMT",
  "Sun, 06 Nov 1994 08:60:37 GMT",
  "Sun, 06 Nov 1994 08:49:61 GMT",
  "Sun, 00 Nov 1994 08:49:37 GMT",
  "Sun, 31 Nov 1994 08:49:37 GMT",
  "Mon, 29 Feb 1900 08:49:37 GMT",
  "Wed, 29 Feb 2023 08:49:37 GMT",
  "Sun, 06 Foo 1994 08:49:37 GMT",
  "Foo, 06 Nov 1994 08:49:37 GMT",
  "Sun, 06 Nov -994 08:49:37 GMT",
  "Sun, 0x Nov 1994 08:49:37 GMT",
  "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
  "Sunday, 06-Nov-1994 08:49:37 GMT",
  "Sun, 06-Nov-94 08:49:37 GMT",
  "Sundax, 06-Nov-94 08:49:37 GMT",
  "Sunday, 06-Nov-94 08:49:37 EST",
  "Sun Nov 06 08:49:37 94",
  "Sun Nov  0 08:49:37 1994",
  "Sun Nov 6  08:49:37 1994",
  "1994-11-06T08:49:37Z",
];
for (const text of BAD) test(`no date: ${JSON.stringify(text)}`, () => expect(parseHttpDate(text, NOW)).toBeNaN());

test("what is written is read back, in all three forms", () => {
  const seconds = fc.integer({ min: -2_000_000_000, max: 4_000_000_000 });
  fc.assert(
    fc.property(seconds, (second) => {
      const ms = second * 1000;
      const text = formatHttpDate(ms + 999);
      expect(parseHttpDate(text, NOW)).toBe(ms);
      const [day, date, month, year, time] = text.replace(",", "").split(" ");
      const asctime = `${day} ${month} ${String(Number(date)).padStart(2)} ${time} ${year}`;
      expect(parseHttpDate(asctime, NOW)).toBe(ms);
    }),
  );
});

test("any text is a date or none, and never an error", () => {
  const near = fc.tuple(fc.constantFrom(...GOOD.map(([text]) => text)), fc.nat(40), fc.string({ maxLength: 3 }));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        near.map(([text, at, put]) => text.slice(0, at) + put + text.slice(at + 1)),
      ),
      (text) => {
        const found = parseHttpDate(text, NOW);
        expect(Number.isNaN(found) || found % 1000 === 0).toBe(true);
      },
    ),
  );
});
