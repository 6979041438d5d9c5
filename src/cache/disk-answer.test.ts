import { expect, test } from "bun:test";
import fc from "fast-check";
import { storedHead } from "../engines/cache/stored-head.ts";
import { NO_VARY, type VaryRule } from "../engines/cache/vary.ts";
import { type DiskRecord, ENTRY, encodeRecord, RecordView } from "../engines/storage/record.ts";
import { ResponseHead } from "../http/message.ts";
import { Body } from "./body.ts";
import {
  countOf,
  diskEntryOf,
  entryOf,
  rulesEntry,
  rulesOf,
  type TimesInto,
  viewHead,
  viewTimes,
} from "./disk-answer.ts";
import type { DiskEntry } from "./disk-store.ts";
import { Entry } from "./entry.ts";

const NOW = 1_800_000_000_000;
const STAMP = { slot: 3, count: 4, purges: 5, disk: 6 };
const NOTHING = Buffer.alloc(0);

const recordOf = (entry: DiskEntry): DiskRecord => ({ ...entry, kind: ENTRY, key: Buffer.from("key") });

function answer(status: number, fields: readonly (readonly [string, string])[], rule: VaryRule, tags: string[]): Entry {
  const head = new ResponseHead();
  head.status = status;
  for (const [name, value] of fields) head.headers.add(name, value);
  const times = {
    bornAt: NOW - 1,
    freshUntil: NOW + 2,
    refreshUntil: NOW + 3,
    errorUntil: 0,
    downUntil: NOW + 5,
    mayBeStale: status !== 404,
    immutable: status === 404,
  };
  const variant = { rule, key: rule === NO_VARY ? "" : "de\n\u0001\n", encoding: "br", language: "de" };
  return new Entry("app\n", variant, tags, STAMP, times, storedHead(head, [], 4, NOW), Body.of([Buffer.from("body")]));
}

const names = fc.constantFrom("Content-Type", "ETag", "X-A", "cache-control", "x-other", "Last-Modified");
const fieldsOf = fc.array(
  fc.tuple(
    names,
    fc.stringMatching(/^[ -~]{0,40}$/).map((text) => text.trim()),
  ),
);

test("an answer comes back as it was stored", () => {
  const rule: VaryRule = { names: ["accept-language", "x-a"], text: "accept-language,x-a" };
  fc.assert(
    fc.property(fieldsOf, fc.constantFrom(200, 404, 204), fc.boolean(), (fields, status, varies) => {
      const tags = varies ? ["a", "b"] : [];
      const before = answer(status, fields, varies ? rule : NO_VARY, tags);
      const record = recordOf(diskEntryOf(before, 77, NOTHING, NOW));
      expect(countOf(record)).toBe(77);
      expect(rulesOf(record)).toBeNull();
      expect(record.meta.readDoubleLE(0)).toBe(NOW + 2);
      const after = entryOf(record, "app\n", STAMP, before.body)!;
      expect(after.times).toEqual(before.times);
      expect([after.rule, after.key, after.encoding, after.language]).toEqual([
        before.rule,
        before.key,
        before.encoding,
        before.language,
      ]);
      expect([after.tags, after.extra, after.stamp]).toEqual([tags, "app\n", STAMP]);
      expect([...after.freshHead().headers.entries()]).toEqual([...before.freshHead().headers.entries()]);
      expect([after.status, after.stored.reason]).toEqual([status, before.stored.reason]);
      expect(after.validators).toEqual(before.validators);
    }),
  );
});

test("seen where it lies in its record, it is the same", () => {
  const view = new RecordView();
  const head = new ResponseHead();
  const times: TimesInto = { ...answer(200, [], NO_VARY, []).times };
  fc.assert(
    fc.property(fieldsOf, fc.constantFrom(200, 404), fc.integer(), (fields, status, count) => {
      const before = answer(status, fields, NO_VARY, []);
      const bytes = encodeRecord(recordOf(diskEntryOf(before, count, Buffer.from("body"), NOW)));
      const { errorUntil, downUntil } = times; // of no use for what is fresh
      expect(view.read(bytes, bytes.length) && viewTimes(view, times)).toBe(count >>> 0);
      expect(times).toEqual({ ...before.times, errorUntil, downUntil });
      expect(viewHead(view, head, Buffer.alloc(8192))).toBe(true);
      expect([head.status, head.reason, head.headers.entries()]).toEqual([
        status,
        before.reason,
        before.freshHead().headers.entries(),
      ]);
      expect(view.bytes.toString("latin1", view.headEnd, view.bodyEnd)).toBe("body");
    }),
  );
});

test("what not every request gets is none to be seen so", () => {
  const view = new RecordView();
  const times: TimesInto = { ...answer(200, [], NO_VARY, []).times };
  const rule: VaryRule = { names: ["x-a"], text: "x-a" };
  for (const entry of [diskEntryOf(answer(200, [], rule, []), 1, NOTHING, NOW), rulesEntry(rule, [], 1, NOW)]) {
    const bytes = encodeRecord(recordOf(entry));
    expect(view.read(bytes, bytes.length)).toBe(true);
    expect(viewTimes(view, times)).toBe(-1);
  }
});

test("a record that names fields has the latest rule first, each once, and few of them", () => {
  let rules: readonly VaryRule[] = [];
  for (const name of ["a", "b", "a", "c", "d", "e"]) {
    const record = recordOf(rulesEntry({ names: [name], text: name }, rules, 9, NOW));
    rules = rulesOf(record)!;
    expect([rules[0]!.text, countOf(record)]).toEqual([name, 9]);
  }
  expect(rules.map(({ text }) => text)).toEqual(["e", "d", "c", "a"]);
});

test("what is of another form is no answer", () => {
  const record = recordOf(diskEntryOf(answer(200, [["ETag", '"a"']], NO_VARY, []), 1, NOTHING, NOW));
  const body = Body.of([]);
  for (let length = 0; length < record.meta.length; length += 1) {
    const cut = { ...record, meta: record.meta.subarray(0, length) as Buffer };
    expect(entryOf(cut, "", STAMP, body)).toBeNull();
  }
  expect(
    entryOf({ ...record, meta: Buffer.concat([record.meta, NOTHING, Buffer.alloc(16)]) }, "", STAMP, body),
  ).toBeNull();
});
