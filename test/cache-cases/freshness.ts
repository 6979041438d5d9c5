// How long answers are fresh: RFC 9111 §4.2, §5.1, §5.3.
import { type Group, LATER, optional, ours, required, type Step } from "./case.ts";

const HOUR = "Cache-Control: max-age=3600";
const MONTH = 30 * 24 * 3600;

/** An answer with the fields of `HOUR`, a Date and these. */
const aged = (age: string): string => `Date: {0} | ${HOUR} | ${age}`;

const CC_FRESHNESS: Group = {
  name: "cc-freshness",
  section: "RFC 9111 §4.2.1, §5.2.2",
  cases: [
    ours("", "asked"),
    optional(HOUR, "cached"),
    required("Cache-Control: max-age=1", "asked", LATER),
    required("Cache-Control: max-age=0", "asked"),
    optional("Cache-Control: max-age=2147483648", "cached"),
    optional("Cache-Control: max-age=99999999999", "cached"),
    required("Date: {0} | Cache-Control: max-age=3600 | Age: 7200", "asked"),
    required("Date: {0} | Cache-Control: max-age=10 | Age: 15", "asked"),
    required("Date: {-100} | Cache-Control: max-age=60", "asked"),
    optional("Date: {-100} | Cache-Control: max-age=3600", "cached"),
    optional("Date: {100} | Cache-Control: max-age=3600", "cached"),
    optional("Cache-Control: max-age=3600 | Expires: {-10000} | Date: {0}", "cached"),
    optional("Cache-Control: max-age=3600 | Expires: 0 | Date: {0}", "cached"),
    required("Cache-Control: max-age=0 | Expires: {10000} | Date: {0}", "asked"),
    optional("Cache-Control: foobar, max-age=3600", "cached"),
    optional("Cache-Control: foobar=baz, max-age=3600", "cached"),
    optional("Cache-Control: MaX-aGe=3600", "cached"),
    optional("Cache-Control: s-maxage=3600", "cached"),
    optional("Cache-Control: S-MaxAge=3600", "cached"),
    required("Cache-Control: max-age=3600, s-maxage=1", "asked", LATER),
    required("Cache-Control: s-maxage=1, max-age=3600", "asked", LATER),
    required("Cache-Control: max-age=3600 | Cache-Control: s-maxage=1", "asked", LATER),
    required("Cache-Control: max-age=3600, s-maxage=0", "asked"),
    optional("Cache-Control: max-age=1, s-maxage=3600", "cached", LATER),
    optional("Cache-Control: s-maxage=3600 | Expires: {-100} | Date: {0}", "cached"),
    required("Cache-Control: s-maxage=3600 | Age: 7200", "asked"),
    optional("Cache-Control: max-age=3600 | Age: 30", "cached", { second: { aged: 30 } }),
    ours("", "cached", { route: "ttl" }),
    required("Cache-Control: max-age=0", "asked", { route: "ttl" }),
    required("Cache-Control: no-store", "asked", { route: "ttl" }),
  ],
};

const EXPIRES: Group = {
  name: "expires",
  section: "RFC 9111 §5.3",
  cases: [
    optional(`Expires: {${MONTH}} | Date: {0}`, "cached"),
    required(`Expires: {-${MONTH}} | Date: {0}`, "asked"),
    required("Expires: {0} | Date: {0}", "asked"),
    required("Expires: {300} | Date: {400}", "asked"),
    required("Expires: 0 | Date: {0}", "asked"),
    required("Expires: -1 | Date: {0}", "asked"),
    optional("Date: foo | Expires: {100}", "cached"),
    optional("Expires: {100}", "cached"),
    required("Date: {-10} | Expires: {10} | Age: 25", "asked"),
    required("Date: {10} | Expires: {20} | Age: 15", "asked"),
    required("Date: {0} | Expires: {1}", "asked", LATER),
    required("Expires: {100} | Date: {0} | Age: 200", "asked"),
    optional("Expires: {100} | Date: {0} | Age: 20", "cached", { second: { aged: 20 } }),
  ],
};

const good = (date: string) => optional(`Expires: ${date} | Date: {0}`, "cached");
const bad = (date: string) => required(`Expires: ${date} | Date: {0}`, "asked");

const EXPIRES_PARSE: Group = {
  name: "expires-parse",
  section: "RFC 9110 §5.6.7",
  cases: [
    good("Tue, 19 Jan 2038 14:14:08 GMT"),
    good("Sun, 21 Nov 2286 04:46:39 GMT"),
    good("Thursday, 18-Aug-50 02:01:18 GMT"),
    good("Thu Aug  8 02:01:18 2050"),
    good("THU, 18 Aug 2050 02:01:18 GMT"),
    good("Thu, 18 AUG 2050 02:01:18 GMT"),
    good("Thu, 18 Aug 2050 02:01:18 gMT"),
    bad("Thu, 18 Aug 2050 02:01:18 UTC"),
    bad("Thu, 18 Aug 2050 02:01:18 AEST"),
    bad("Thu, 18 Aug 2050 02:01:18 +0000"),
    bad("Thu, 18 Aug 2050 02:01:18"),
    bad("Thu, 18 Aug 50 02:01:18 GMT"),
    bad("Thu 18 Aug 2050 02:01:18 GMT"),
    bad("Thu, 18  Aug  2050 02:01:18 GMT"),
    bad("Thu, 18-Aug-2050 02:01:18 GMT"),
    bad("Thu, 18 Aug 2050 02.01.18 GMT"),
    bad("Thu, 18 Aug 2050 2:01:18 GMT"),
    bad("Thu, 18 Aug 2050 25:01:18 GMT"),
    bad("Thu, 31 Feb 2050 02:01:18 GMT"),
    bad("2050-08-18T02:01:18Z"),
    bad("2544487278"),
    required("Expires: Thu, 18 Aug 2050 2:01:18 GMT | Expires: Thu, 18 Aug 2050 2:01:19 GMT | Date: {0}", "asked"),
  ],
};

const AGE_PARSE: Group = {
  name: "age-parse",
  section: "RFC 9111 §5.1",
  cases: [
    required(aged("Age: abc"), "cached"),
    required(aged("Age: -7200"), "cached"),
    required(aged("Age: 7200.0"), "cached"),
    required(aged("Age: +7200"), "cached"),
    required(aged("Age: 2147483647"), "asked"),
    required(aged("Age: 2147483648"), "asked"),
    required(aged("Age: 2147483649"), "asked"),
    required(aged("Age: 99999999999999999999"), "asked"),
    required(aged("Age: 7200, 0"), "asked"),
    required(aged("Age: 0, 7200"), "cached"),
    required(aged("Age: 7200 | Age: 0"), "asked"),
    required(aged("Age: 0 | Age: 7200"), "cached"),
    required(aged("Age: 0, 0"), "cached"),
    required(aged("Age: 0 | Age: 0"), "cached"),
    required("Date: {0} | Cache-Control: max-age=10000 | Age: 3600 | Age: 3600", "cached"),
    required(aged("Age: 0007200"), "asked"),
    ours(aged("Age: 7200;foo=bar"), "cached"),
    ours(aged("Age: 7200;foo=111"), "cached"),
    ours(aged("Age: "), "cached"),
  ],
};

const quoted: Step = { pause: true };

const CC_PARSE: Group = {
  name: "cc-parse",
  section: "RFC 9111 §5.2, RFC 9110 §5.6",
  cases: [
    ours("Cache-Control: max-age=1800, max-age=1", "cached", LATER),
    ours("Cache-Control: max-age=1800 | Cache-Control: max-age=1", "cached", LATER),
    ours("Cache-Control: max-age=1, max-age=1800", "asked", LATER),
    ours("Cache-Control: max-age=1 | Cache-Control: max-age=1800", "asked", LATER),
    ours('Cache-Control: max-age="3600"', "cached"),
    required('Cache-Control: extension="max-age=3600", max-age=1', "asked", { first: quoted }),
    required('Cache-Control: max-age=1, extension="max-age=3600"', "asked", { first: quoted }),
    required('Cache-Control: extension="a\\", max-age=3600", max-age=0', "asked"),
    required('Cache-Control: extension="no-store", max-age=3600', "cached"),
    ours("Cache-Control: max-age =3600", "asked"),
    ours("Cache-Control: max-age= 3600", "asked"),
    optional("Cache-Control: max-age=003600", "cached"),
    required("Cache-Control: max-age='3600'", "asked"),
    ours("Cache-Control: max-age=3600.0", "asked"),
    ours("Cache-Control: max-age=3600.5", "asked"),
    ours("Cache-Control: max-age=a3600", "asked"),
    ours("Cache-Control: max-age=3600a", "asked"),
    ours("Cache-Control: max-age=-3600", "asked"),
    ours("Cache-Control: max-age", "asked"),
    ours("Cache-Control: max-age=", "asked"),
    optional("Cache-Control: ,, max-age=3600 ,", "cached"),
    optional("Cache-Control:   public ,max-age=3600", "cached"),
    optional("Cache-Control: | Cache-Control: max-age=3600", "cached"),
    required("Cache-Control: max-age=3600;no-store", "asked"),
  ],
};

const MODIFIED = `Last-Modified: {-${24 * 3600}} | Date: {0}`;
const heuristic = (status: number, from: "cached" | "asked", answer = MODIFIED, content?: string) => {
  const step: Step = { status, ...(content === undefined ? {} : { content }) };
  return {
    kind: optional,
    from,
    answer,
    more: { first: step, second: { ...step, from }, route: "heuristic" as const },
  };
};
const byHeuristic = [
  heuristic(200, "cached"),
  heuristic(203, "cached"),
  heuristic(204, "cached", MODIFIED, ""),
  heuristic(300, "cached"),
  heuristic(301, "cached"),
  heuristic(308, "cached"),
  heuristic(404, "cached"),
  heuristic(410, "cached"),
].map(({ answer, from, more }) => optional(answer, from, more));
const notByHeuristic = [201, 202, 302, 303, 307, 400, 403, 502, 503, 504, 599]
  .map((status) => heuristic(status, "asked"))
  .map(({ answer, from, more }) => required(answer, from, more));
// What one strange request can provoke is stored by the word of the server alone.
const provoked = [405, 414, 501].map((status) => heuristic(status, "asked"));

const HEURISTIC: Group = {
  name: "heuristic",
  section: "RFC 9111 §4.2.2",
  cases: [
    ...byHeuristic,
    ...notByHeuristic,
    ...provoked.map(({ answer, from, more }) => ours(answer, from, more)),
    optional("Last-Modified: {-3600} | Date: {0}", "cached", { ...LATER, route: "heuristic" }),
    ours("Last-Modified: {-5} | Date: {0}", "asked", { ...LATER, route: "heuristic" }),
    ours(MODIFIED, "asked"),
    required("Last-Modified: {100} | Date: {0}", "asked", { route: "heuristic" }),
    required("Last-Modified: yesterday | Date: {0}", "asked", { route: "heuristic" }),
    required(`${MODIFIED} | Cache-Control: max-age=0`, "asked", { route: "heuristic" }),
    required(`${MODIFIED} | Cache-Control: no-store`, "asked", { route: "heuristic" }),
    required(`${MODIFIED} | Expires: 0`, "asked", { route: "heuristic" }),
    ours(`${MODIFIED} | Content-Disposition: attachment; filename=a.txt`, "cached", { route: "heuristic" }),
    ours(`${MODIFIED} | Pragma: no-cache`, "cached", { route: "heuristic" }),
  ],
};

export const FRESHNESS: readonly Group[] = [CC_FRESHNESS, EXPIRES, EXPIRES_PARSE, AGE_PARSE, CC_PARSE, HEURISTIC];
