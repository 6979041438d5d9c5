// Parts of an answer that are put together.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { NO_VARY } from "../engines/cache/vary.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { layOut } from "../http/laid-out.ts";
import { Body } from "./body.ts";
import { Address, Entry } from "./entry.ts";
import { joinedPart, PART } from "./parts.ts";

const LENGTH = 100;
const CONTENT = Buffer.from(Array.from({ length: LENGTH }, (_, at) => at));
const STAMP = { slot: 0, count: 0, purges: 0 } as unknown as Entry["stamp"];
const TIMES = {
  bornAt: 0,
  freshUntil: 1e15,
  refreshUntil: 0,
  errorUntil: 0,
  downUntil: 0,
  mayBeStale: true,
  immutable: false,
};
const VARIANT = { rule: NO_VARY, key: "", encoding: "", language: "" };

function partOf(first: number, last: number, etag = '"a"'): Entry {
  const headers = layOut(new HeaderBlock(), 206, "Partial Content", [
    ["Date", "Mon, 23 Nov 2026 12:00:00 GMT"],
    ["ETag", etag],
  ]);
  // In two pieces, as content comes.
  const middle = first + ((last - first + 1) >> 1);
  const pieces = [CONTENT.subarray(first, middle), CONTENT.subarray(middle, last + 1)].filter(
    (each) => each.length > 0,
  );
  const body = Body.of(pieces as Buffer[]);
  const entry = new Entry(`k${PART}${first}`, VARIANT, [], STAMP, TIMES, { status: 206, reason: "", headers }, body);
  entry.part = { first, last, length: LENGTH };
  return entry;
}

function contentOf({ body }: Entry): number[] {
  const bytes: number[] = [];
  for (let at = 0; at < body.pieces; at += 1) bytes.push(...body.piece(at)!.subarray(0, body.filled(at)));
  return bytes;
}

const add = (stored: Address, entry: Entry, max = LENGTH): void => stored.add(joinedPart(stored, entry, max));

test("parts of one version are what was put together, whatever the order", () => {
  const range = fc
    .tuple(fc.nat(LENGTH - 1), fc.nat(30))
    .map(([first, more]) => [first, Math.min(first + more, LENGTH - 1)]);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
      const stored = new Address();
      for (const [first, last] of ranges) add(stored, partOf(first!, last!));
      const parts = [...stored.variants].sort((a, b) => a.part!.first - b.part!.first);
      const has = (byte: number): boolean => ranges.some(([first, last]) => first! <= byte && byte <= last!);
      parts.forEach((each, at) => {
        const { first, last } = each.part!;
        expect(contentOf(each)).toEqual([...CONTENT.subarray(first, last + 1)]);
        if (at > 0) expect(first).toBeGreaterThan(parts[at - 1]!.part!.last + 1);
      });
      const covered = parts.flatMap((each) => contentOf(each));
      expect(covered).toEqual([...CONTENT].filter(has));
    }),
  );
});

const BESIDE: readonly (readonly [name: string, before: Entry, after: Entry, max: number, left: readonly number[]])[] =
  [
    ["what touches is joined", partOf(0, 9), partOf(10, 19), 100, [20]],
    ["what lies apart is not", partOf(0, 9), partOf(11, 19), 100, [10, 9]],
    ["nor what would be too long", partOf(0, 9), partOf(10, 19), 19, [10, 10]],
    ["another version takes the place of the first", partOf(0, 9), partOf(20, 29, '"b"'), 100, [10]],
    ["weak tags do not say that it is the same", partOf(0, 9, 'W/"a"'), partOf(10, 19, 'W/"a"'), 100, [10, 10]],
  ];
for (const [name, before, after, max, left] of BESIDE)
  test(name, () => {
    const stored = new Address();
    add(stored, before, max);
    add(stored, after, max);
    expect(stored.variants.map((each) => contentOf(each).length)).toEqual([...left]);
  });
