// A JSON value that may be changed: as it was read until somebody goes into it, so that a change costs what lies on its
// way and not what lies beside it.
import { type JsonDocument, LIST, NEXT, OBJECT, PLAIN, readJson, START, TEXT, WIDTH } from "./json-document.ts";
import { nameStep, type Step } from "./json-path.ts";

type NameStep = Extract<Step, { kind: "name" }>;

/** As it lies in its document. */
const READ = 0;
/** An object or a list whose parts are nodes. */
const OPEN_OBJECT = 1;
const OPEN_LIST = 2;
/** A JSON text that was made here. */
const MADE = 3;

export class JsonNode {
  #kind: number;
  /** Where it was read; null for what was made here. */
  document: JsonDocument | null;
  /** Its entry in there. */
  entry: number;
  /** Of an open object, for each member: the entry of its name in the document, or -1 where `nameTexts` has it. */
  nameEntries: number[] = NONE;
  nameTexts: string[] = NO_TEXTS;
  /** Of an open object or list. */
  items: JsonNode[] = NO_NODES;
  /** The JSON text of what was made here. */
  text = "";

  private constructor(kind: number, document: JsonDocument | null, entry: number) {
    this.#kind = kind;
    this.document = document;
    this.entry = entry;
  }

  static read(document: JsonDocument, entry = 0): JsonNode {
    return new JsonNode(READ, document, entry);
  }
  /** From a JSON text. */
  static of(text: string): JsonNode {
    const node = new JsonNode(MADE, null, 0);
    node.text = text;
    return node;
  }
  static object(): JsonNode {
    const node = new JsonNode(OPEN_OBJECT, null, 0);
    node.#empty();
    return node;
  }
  static list(items: JsonNode[]): JsonNode {
    const node = new JsonNode(OPEN_LIST, null, 0);
    node.items = items;
    return node;
  }

  /** The same value, which may be changed without this one. */
  copy(): JsonNode {
    const made = new JsonNode(this.#kind, this.document, this.entry);
    made.text = this.text;
    if (this.#kind !== OPEN_OBJECT && this.#kind !== OPEN_LIST) return made;
    made.nameEntries = [...this.nameEntries];
    made.nameTexts = [...this.nameTexts];
    made.items = this.items.map((item) => item.copy());
    return made;
  }

  /** Nothing of it has been gone into: it goes out as it lies in its document. */
  get isRead(): boolean {
    return this.#kind === READ;
  }
  get isMade(): boolean {
    return this.#kind === MADE;
  }
  get isOpenObject(): boolean {
    return this.#kind === OPEN_OBJECT;
  }

  /** Whether it is an object; from then on its members can be changed. */
  openObject(): boolean {
    this.#open(OBJECT);
    return this.#kind === OPEN_OBJECT;
  }
  openList(): boolean {
    this.#open(LIST);
    return this.#kind === OPEN_LIST;
  }
  /** Whether a member may have this name, or one of anything in it: false spares going into it. */
  mayHave({ hash }: NameStep, isDeep: boolean): boolean {
    const { document } = this;
    return this.#kind !== READ || document === null || document.hasName(this.entry, hash, isDeep);
  }
  /** Becomes an object without members unless it is one. */
  forceObject(): void {
    if (this.openObject()) return;
    this.#kind = OPEN_OBJECT;
    this.document = null;
    this.#empty();
  }

  #empty(): void {
    this.nameEntries = [];
    this.nameTexts = [];
    this.items = [];
  }

  /** Goes into it if it is an object, or a list, as is wanted. */
  #open(wanted: number): void {
    if (this.#kind === MADE) this.#readMade();
    const { document } = this;
    if (this.#kind !== READ || document === null) return;
    const { table } = document;
    const kind = table[this.entry]!;
    if (kind !== wanted) return;
    this.#empty();
    const end = table[this.entry + NEXT]!;
    let at = this.entry + WIDTH;
    while (at < end) {
      if (kind === OBJECT) {
        this.nameEntries.push(at);
        this.nameTexts.push("");
        at += WIDTH;
      }
      this.items.push(JsonNode.read(document, at));
      at = table[at + NEXT]!;
    }
    this.#kind = kind === OBJECT ? OPEN_OBJECT : OPEN_LIST;
  }

  #readMade(): void {
    const first = this.text.charCodeAt(0);
    if (first !== 0x7b && first !== 0x5b) return; // neither an object nor a list
    const { document } = readJson(Buffer.from(this.text));
    if (document === null) return;
    this.#kind = READ;
    this.document = document;
    this.entry = 0;
  }

  /** Where an open object has the member; -1 when it has none. */
  find({ name, hash, bytes }: NameStep): number {
    const { nameEntries, nameTexts, document } = this;
    for (let at = 0; at < nameEntries.length; at += 1) {
      const entry = nameEntries[at]!;
      if (entry < 0 ? nameTexts[at] === name : document!.isNamed(entry, hash, bytes)) return at;
    }
    return -1;
  }

  /** The name of a member of an open object. */
  nameAt(at: number): string {
    const entry = this.nameEntries[at]!;
    return entry < 0 ? this.nameTexts[at]! : this.document!.textAt(entry);
  }

  /** Adds a member to an open object, behind all others. There must be none with this name. */
  add(name: string, item: JsonNode): void {
    this.nameEntries.push(-1);
    this.nameTexts.push(name);
    this.items.push(item);
  }

  removeAt(at: number): void {
    this.items.splice(at, 1);
    if (this.#kind !== OPEN_OBJECT) return;
    this.nameEntries.splice(at, 1);
    this.nameTexts.splice(at, 1);
  }

  /** Removes the parts of an open object or list that are not to stay; `stays` may change what is in one. */
  retain(stays: (at: number) => boolean): void {
    const isObject = this.#kind === OPEN_OBJECT;
    let kept = 0;
    for (let at = 0; at < this.items.length; at += 1) {
      if (!stays(at)) continue;
      this.items[kept] = this.items[at]!;
      if (isObject) {
        this.nameEntries[kept] = this.nameEntries[at]!;
        this.nameTexts[kept] = this.nameTexts[at]!;
      }
      kept += 1;
    }
    this.items.length = kept;
    if (!isObject) return;
    this.nameEntries.length = kept;
    this.nameTexts.length = kept;
  }

  /** Gives a member of an open object another name; one that had it is replaced. */
  rename(at: number, name: string): void {
    const other = this.find(nameStep(name) as NameStep);
    if (other === at) return;
    this.nameEntries[at] = -1;
    this.nameTexts[at] = name;
    if (other >= 0) this.removeAt(other);
  }

  /** What a scalar says as text, "" for null; of others null. */
  scalarText(): string | null {
    if (this.#kind === MADE) {
      const first = this.text.charCodeAt(0);
      if (first === 0x22) return JSON.parse(this.text) as string;
      return first === 0x7b || first === 0x5b ? null : plainText(this.text);
    }
    const { document } = this;
    if (this.#kind !== READ || document === null) return null;
    const kind = document.table[this.entry];
    if (kind === TEXT) return document.textAt(this.entry);
    if (kind !== PLAIN) return null;
    return plainText(document.bytes.latin1Slice(document.table[this.entry + START], document.table[this.entry + 2]));
  }

  /** Whether it is a text, as opposed to a number, true, false or null. */
  get isText(): boolean {
    if (this.#kind === MADE) return this.text.charCodeAt(0) === 0x22;
    return this.#kind === READ && this.document?.table[this.entry] === TEXT;
  }
}

const plainText = (text: string): string => (text === "null" ? "" : text);

// Shared by all nodes that are not open; never added to.
const NONE: number[] = [];
const NO_TEXTS: string[] = [];
const NO_NODES: JsonNode[] = [];
