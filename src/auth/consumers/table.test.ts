// The table of consumers: whatever is put, replaced and removed, in whatever order, threads find what a plain map says.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ConsumerEntry, type CredentialEntry, consumerEntry, digestOf, KIND } from "./entries.ts";
import { ConsumerTable } from "./table.ts";
import { TableWriter } from "./table-writer.ts";

const consumer = (name: string, more: Partial<ConsumerEntry> = {}): ConsumerEntry => ({
  ...consumerEntry(name, { groups: ["g"], scopes: [], disabled: false, claims: {} }),
  ...more,
});
const key = (text: string, id = text): CredentialEntry => ({
  kind: KIND.apiKey,
  digest: digestOf(KIND.apiKey, text),
  endsAt: Number.POSITIVE_INFINITY,
  disabled: false,
  details: { id, scopes: null, key: null, password: "" },
});

class Rig {
  memories = 0;
  readonly writer: TableWriter = new TableWriter((memory) => {
    this.memories += 1;
    this.table = new ConsumerTable(memory);
  });
  table: ConsumerTable = new ConsumerTable(this.writer.memory);

  owner(text: string): string | null {
    return this.table.find(digestOf(KIND.apiKey, text), KIND.apiKey)?.details.name ?? null;
  }
}

describe("the table", () => {
  test("without memory has nobody in it", () => {
    const table = new ConsumerTable(new SharedArrayBuffer(0));
    expect(table.find(digestOf(KIND.apiKey, "a"), KIND.apiKey)).toBeNull();
    expect(table.changes).toBe(0);
    expect(table.holds(0, 0, 0, 0)).toBe(false);
  });

  test("gives what was put, with the earlier end", () => {
    const rig = new Rig();
    rig.writer.put(consumer("acme", { endsAt: 7, disabled: true }), [{ ...key("a"), endsAt: 9 }, key("b")]);
    const found = rig.table.find(digestOf(KIND.apiKey, "a"), KIND.apiKey)!;
    expect(found).toMatchObject({ endsAt: 7, isDisabled: false, isConsumerDisabled: true, credential: { id: "a" } });
    expect(found.details).toMatchObject({ name: "acme", groups: ["g"] });
    expect(rig.table.find(digestOf(KIND.apiKey, "a"), KIND.jwt)).toBeNull();
    expect(rig.writer.ownerOf(digestOf(KIND.apiKey, "b"), KIND.apiKey)).toBe("acme");
  });

  test("shows at once that something has changed", () => {
    const rig = new Rig();
    rig.writer.put(consumer("acme"), [key("a")]);
    const holds = (): boolean => {
      const { slot, ref, consumer: place, consumerRef } = found;
      return rig.table.holds(slot, ref, place, consumerRef);
    };
    let found = rig.table.find(digestOf(KIND.apiKey, "a"), KIND.apiKey)!;
    expect(holds()).toBe(true);
    rig.writer.put(consumer("other"), [key("b")]);
    expect(holds()).toBe(true);
    rig.writer.put(consumer("acme", { disabled: true }), [key("a")]);
    expect(holds()).toBe(false);
    found = rig.table.find(digestOf(KIND.apiKey, "a"), KIND.apiKey)!;
    rig.writer.remove("acme");
    expect(holds()).toBe(false);
    // Whoever takes the place of somebody is not taken for him.
    rig.writer.put(consumer("new"), [key("a")]);
    expect(holds()).toBe(false);
    expect(rig.owner("a")).toBe("new");
  });

  test("never takes the bytes of one kind for another", () => {
    const rig = new Rig();
    rig.writer.put(consumer("acme"), []);
    expect(rig.table.find(digestOf(KIND.name, "acme"), KIND.apiKey)).toBeNull();
    expect(digestOf(KIND.jwt, "ab", "c")).not.toEqual(digestOf(KIND.jwt, "a", "bc"));
  });

  test("is made anew when it is full, and threads hear of it", () => {
    const rig = new Rig();
    for (let i = 0; i < 3000; i += 1) rig.writer.put(consumer(`c${i}`), [key(`k${i}`), key(`l${i}`)]);
    expect(rig.memories).toBeGreaterThan(1);
    expect(rig.writer.size).toBe(3000);
    for (let i = 0; i < 3000; i += 7) expect(rig.owner(`l${i}`)).toBe(`c${i}`);
  });

  test("takes half a kilobyte for each, as there may be a million", () => {
    const rig = new Rig();
    const count = 20_000;
    for (let i = 0; i < count; i += 1) rig.writer.put(consumer(`consumer-${i}`), [key(`k${i}`)]);
    // Right behind growing there is room for as many again.
    expect(rig.writer.memory.byteLength / count).toBeLessThan(1000);
    expect(rig.owner(`k${count - 1}`)).toBe(`consumer-${count - 1}`);
  });

  test("needs no more room for being changed again and again", () => {
    const rig = new Rig();
    const sizes = new Set<number>();
    for (let i = 0; i < 5000; i += 1) {
      rig.writer.put(consumer("acme"), [key(`k${i}`)]);
      sizes.add(rig.writer.memory.byteLength);
    }
    expect(sizes.size).toBe(1);
    expect(rig.owner("k4999")).toBe("acme");
    expect(rig.owner("k4998")).toBeNull();
  });
});

test("a table is what a map would be, whatever happens to it", () => {
  const names = ["a", "b", "c", "d"];
  const keys = ["1", "2", "3", "4", "5", "6"];
  const step = fc.record({
    name: fc.constantFrom(...names),
    keys: fc.option(fc.uniqueArray(fc.constantFrom(...keys), { maxLength: 3 })),
    padding: fc.nat(4000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rig = new Rig();
      const model = new Map<string, readonly string[]>();
      for (const { name, keys: wanted, padding } of steps) {
        if (wanted === null) {
          rig.writer.remove(name);
          model.delete(name);
        } else {
          // As the book does it: what another one has is not given twice.
          const own = wanted.filter((one) => [...model].every(([who, has]) => who === name || !has.includes(one)));
          const entry = consumer(name);
          rig.writer.put(
            { ...entry, details: { ...entry.details, claims: { padding: "x".repeat(padding) } } },
            own.map((one) => key(one)),
          );
          model.set(name, own);
        }
        for (const one of keys)
          expect(rig.owner(one)).toBe([...model].find(([, has]) => has.includes(one))?.[0] ?? null);
        expect(rig.writer.size).toBe(model.size);
      }
    }),
    { numRuns: 60 },
  );
});
