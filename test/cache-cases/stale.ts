// Stale answers: RFC 9111 §4.2.4, RFC 5861.
import { type Case, type Group, ours, required, type Step } from "./case.ts";

const FIRST: Step = { pause: true };
const GONE: Step = { closes: true };

/** A server that fails when it is asked about a stale answer which may not be given out. */
const forbids = (directives: string): Case =>
  required(`Cache-Control: max-age=1, ${directives}`, "cached", {
    first: FIRST,
    second: { ...GONE, gets: 502, lacks: ["age"] },
  });

const stale = (kind: typeof required, answer: string, second: Step): Case =>
  kind(answer, "cached", { first: FIRST, second });

const STALE_GROUP: Group = {
  name: "stale",
  section: "RFC 9111 §4.2.4, RFC 5861",
  cases: [
    stale(ours, "Cache-Control: max-age=1", { ...GONE, gets: 200, aged: 1 }),
    stale(ours, "Cache-Control: max-age=1, stale-if-error=60", { ...GONE, gets: 200 }),
    forbids("must-revalidate"),
    forbids("proxy-revalidate"),
    forbids("no-cache"),
    forbids("s-maxage=1"),
    forbids("stale-if-error=60, must-revalidate"),
    {
      kind: "ours",
      name: "503 without stale-if-error is passed on",
      steps: [
        { answer: "Cache-Control: max-age=1", pause: true },
        { status: 503, from: "asked", gets: 503 },
      ],
    },
    ...[500, 502, 503, 504].map(
      (status): Case => ({
        kind: "optional",
        name: `${status} with stale-if-error: the stale answer stands in`,
        steps: [
          { answer: "Cache-Control: max-age=1, stale-if-error=60", pause: true },
          {
            status,
            from: "asked",
            gets: 200,
            aged: 1,
            has: `Cache-Status: sluice; fwd=stale; fwd-status=${status}; detail=stale-if-error`,
          },
        ],
      }),
    ),
    {
      kind: "ours",
      name: "404 is an answer, whatever stale-if-error says",
      steps: [
        { answer: "Cache-Control: max-age=1, stale-if-error=60", pause: true },
        { status: 404, from: "asked", gets: 404 },
      ],
    },
    {
      kind: "ours",
      name: "stale-if-error of the request",
      steps: [
        { answer: "Cache-Control: max-age=1", pause: true },
        { fields: "Cache-Control: stale-if-error=60", status: 503, from: "asked", gets: 200, aged: 1 },
      ],
    },
    {
      kind: "optional",
      name: "stale-while-revalidate: at once, and fetched anew behind it",
      steps: [
        { answer: 'Cache-Control: max-age=1, stale-while-revalidate=3600 | ETag: "a" | A: 1', pause: true },
        {
          answer: 'Cache-Control: max-age=3600 | ETag: "b" | A: 2',
          gets: 200,
          has: "A: 1 | Cache-Status: sluice; hit",
          pause: true,
        },
        { from: "cached", has: "A: 2" },
      ],
    },
    {
      kind: "required",
      name: "stale-while-revalidate is over after its time",
      steps: [
        { answer: 'Cache-Control: max-age=1, stale-while-revalidate=1 | ETag: "a" | A: 1 | Age: 1', pause: true },
        { answer: 'Cache-Control: max-age=3600 | ETag: "b" | A: 2', from: "asked", has: "A: 2" },
      ],
    },
    {
      kind: "required",
      name: "stale-while-revalidate does not count with must-revalidate",
      steps: [
        { answer: "Cache-Control: max-age=1, stale-while-revalidate=60, must-revalidate | A: 1", pause: true },
        { answer: "A: 2", from: "asked", has: "A: 2" },
      ],
    },
    {
      kind: "ours",
      name: "no Warning is made (RFC 9111 §5.5)",
      steps: [
        { answer: "Cache-Control: max-age=1", pause: true },
        { closes: true, gets: 200, lacks: ["warning"] },
      ],
    },
    {
      kind: "ours",
      name: "a server that fails is not asked again at once",
      steps: [
        { answer: "Cache-Control: max-age=1, stale-if-error=60", pause: true },
        { status: 503, from: "asked", gets: 200 },
        { from: "cached", has: "Cache-Status: sluice; hit; detail=stale-if-error" },
      ],
    },
  ],
};

export const STALE: readonly Group[] = [STALE_GROUP];
