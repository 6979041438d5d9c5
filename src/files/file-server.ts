// The `files` action: finds the file that a request means, and answers with it.
import { randomBytes } from "node:crypto";
import { closeSync, read } from "node:fs";
import { turnTime, wallClock } from "../core/clock.ts";
import { type Fault, fault } from "../core/faults.ts";
import { layoutByteranges } from "../http/byteranges.ts";
import { evaluatePreconditions, rangeApplies, type Validators } from "../http/conditional.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import { layOut } from "../http/laid-out.ts";
import { ResponseHead } from "../http/message.ts";
import { normalizePath } from "../http/path.ts";
import { type ByteRange, contentRange, type RangeOutcome, requestedRanges, unsatisfiedRange } from "../http/ranges.ts";
import type { Exchange, ServeEnvironment } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";
import { chooseCopy, SUFFIXES } from "./codings.ts";
import { bodiless, FileEntry } from "./file-entry.ts";
import { FileMemory, type Shelf } from "./file-memory.ts";
import { FileStream, type Part, readWhole } from "./file-stream.ts";
import { sendListing } from "./listing.ts";
import { isSame, NO_FILE, type OpenedFile } from "./open.ts";
import { fileNameOf } from "./resolve.ts";
import type { Found, Site } from "./site.ts";

/** Files up to this size are read at once: even a slow disk has them in one go. */
const AT_ONCE_MAX = 65_536;
/** Files up to this size are kept in memory when they are asked for again. */
const KEPT_MAX = 1_048_576;
/** After this long it is looked again whether the path leads to another file, or there are other compressed copies. */
const RESOLVED_MS = 1000;

const ALLOWED = "GET, HEAD, OPTIONS";
const OPTIONS_REPLY = bodiless(204, [["Allow", ALLOWED]]);
const METHOD_REPLY = bodiless(405, [["Allow", ALLOWED]]);
const CHANGED = fault("file.changed", "written to while it was read");

const memory = new FileMemory();

/** An answer that is read from the file while it is sent. */
interface Streamed {
  readonly status: number;
  readonly reason: string;
  readonly fields: FileEntry["fields"];
  readonly parts: readonly Part[];
  /** Bytes of all parts. */
  readonly length: number;
}

export class FileServer {
  readonly #site: Site;
  readonly #shelf: Shelf = new Map();

  constructor(site: Site) {
    this.#site = site;
  }

  serve(x: Exchange, env: ServeEnvironment): void {
    const { method } = x.request;
    if (method !== "GET" && method !== "HEAD")
      return env.answer(x, method === "OPTIONS" ? OPTIONS_REPLY : METHOD_REPLY);
    const path = pathOf(x);
    // Encoded characters have many spellings, and a file has one entry: such paths take the longer way to it.
    const known = path.includes("%") ? undefined : this.#shelf.get(path);
    if (known !== undefined && this.#isCurrent(known)) return this.#negotiate(x, env, known);
    this.#lookUp(x, env, path);
  }

  /** Whether the entry still tells the truth. */
  #isCurrent(entry: FileEntry): boolean {
    const now = turnTime();
    return now - entry.resolvedAt <= RESOLVED_MS && this.#isUnchanged(entry, now);
  }

  /** Compares the file with what is known of it, once in a turn. */
  #isUnchanged(entry: FileEntry, now: number): boolean {
    if (entry.checkedAt === now) return true;
    const there = this.#site.root.look(entry.name);
    if (there === null || !isSame(there, entry.state)) return false;
    entry.checkedAt = now;
    return true;
  }

  /** Finds out what a path stands for. */
  #lookUp(x: Exchange, env: ServeEnvironment, path: string): void {
    const { config, root } = this.#site;
    const name = fileNameOf(path, config.dotfiles);
    if (name === null) return env.answer(x, NO_FILE);
    const key = `/${name}`;
    const known = this.#shelf.get(key);
    if (known !== undefined && this.#isCurrent(known)) return this.#negotiate(x, env, known);
    const found = this.#site.find(name);
    if (found.kind === "folder") return redirect(x, env, `${x.request.path ?? ""}/`);
    if (found.kind === "shorter") return this.#shorten(x, env, key, found);
    if (found.kind === "listing") return sendListing(x, env, root, found.name, config.dotfiles);
    if (found.kind === "file") return this.#serveNamed(x, env, key, found.name);
    const { fallback } = this.#site;
    if (fallback === "" || !isNavigation(x.request.headers)) return env.answer(x, NO_FILE);
    this.#serveNamed(x, env, `/${fallback}`, fallback);
  }

  #serveNamed(x: Exchange, env: ServeEnvironment, key: string, name: string): void {
    const entry = this.#entryOf(key, name);
    if (!(entry instanceof FileEntry)) return env.answer(x, entry);
    this.#negotiate(x, env, entry);
    if (entry.opened !== null) closeSync(entry.opened.fd);
    entry.opened = null;
  }

  #shorten(x: Exchange, env: ServeEnvironment, key: string, found: Extract<Found, { kind: "shorter" }>): void {
    const own = x.request.path ?? "";
    const { name, remove } = found;
    // What a rewrite made of another path cannot be shortened there.
    if (own.endsWith(name.slice(-remove))) redirect(x, env, own.slice(0, -remove));
    else this.#serveNamed(x, env, key, name);
  }

  // ——— what is known of files

  /** What is known of the file, looked up anew where that is older than it may be. */
  #entryOf(key: string, name: string): FileEntry | Fault {
    const known = this.#shelf.get(key);
    const now = turnTime();
    if (known?.name === name && this.#isUnchanged(known, now)) {
      known.resolvedAt = now;
      this.#findCopies(known);
      return known;
    }
    if (known !== undefined) memory.drop(known);
    const opened = this.#site.root.open(name);
    if ("code" in opened) return opened;
    const varies = this.#site.config.precompressed;
    const entry = new FileEntry(this.#site, name, opened.state, -1, varies, wallClock(), now);
    entry.opened = opened;
    if (varies) this.#findCopies(entry);
    if (!entry.young) memory.put(this.#shelf, key, entry);
    return entry;
  }

  /** Looks which compressed copies there are. One that is older than its file was made from another one. */
  #findCopies(entry: FileEntry): void {
    if (!this.#site.config.precompressed) return;
    const { root } = this.#site;
    entry.copies = SUFFIXES.map((suffix, coding) => {
      const name = entry.name + suffix;
      const there = root.look(name);
      if (there === null || there.mtimeMs < entry.state.mtimeMs) return null;
      const before = entry.copies?.[coding] ?? null;
      if (before !== null && isSame(before.state, there)) return before;
      const opened = root.open(name);
      if ("code" in opened) return null;
      closeSync(opened.fd);
      return new FileEntry(this.#site, name, opened.state, coding, true, wallClock(), turnTime());
    });
    memory.weigh(entry);
  }

  #negotiate(x: Exchange, env: ServeEnvironment, entry: FileEntry): void {
    const { copies } = entry;
    if (copies === null) return this.#serveEntry(x, env, entry, entry);
    const coding = chooseCopy(x.acceptEncoding ?? x.request.headers.getById(ID["accept-encoding"]), copies);
    const chosen = coding < 0 ? entry : copies[coding]!;
    if (!this.#isUnchanged(chosen, turnTime())) {
      this.#findCopies(entry); // the next request gets the new one, this one the file itself
      return this.#serveEntry(x, env, entry, entry);
    }
    this.#serveEntry(x, env, entry, chosen);
  }

  // ——— the answer

  /** Answers with `entry`, which is `owner` or a compressed copy of it. */
  #serveEntry(x: Exchange, env: ServeEnvironment, owner: FileEntry, entry: FileEntry): void {
    const { request } = x;
    const { headers } = request;
    let range: RangeOutcome | null = null;
    if (asksMore(headers)) {
      const now = wallClock();
      const validators: Validators = { etag: entry.etag, lastModified: entry.lastModified, date: now };
      const verdict = evaluatePreconditions(request.method, headers, validators, now);
      if (verdict === "not-modified") {
        x.unmodified = entry.described;
        return env.answer(x, entry.notModified);
      }
      if (verdict === "failed") return env.answer(x, bodiless(412, []));
      const field = request.method === "GET" ? headers.getById(ID.range) : null;
      if (field !== null && rangeApplies(headers, validators, now)) range = requestedRanges(field, entry.size);
      if (range?.kind === "unsatisfiable")
        return env.answer(
          x,
          bodiless(416, [
            ["Content-Range", unsatisfiedRange(entry.size)],
            ["Accept-Ranges", "bytes"],
          ]),
        );
    }
    if (entry.hints !== null && request.version >= 20) x.downstream.informational(entry.hints);
    if (range === null || range.kind === "whole") {
      // With a rate, only what is sent in one piece anyway comes out of memory.
      const isPaced = x.route!.rate > 0 && entry.size > AT_ONCE_MAX;
      const reply = isPaced ? null : (entry.reply ?? this.#load(owner, entry));
      owner.used = true;
      if (reply !== null) return env.answer(x, reply);
      return this.#stream(x, env, owner, entry, wholeOf(entry));
    }
    if (range.kind === "partial") this.#stream(x, env, owner, entry, partsOf(entry, range.ranges));
  }

  /** Sends bytes of the file as they are read. */
  #stream(x: Exchange, env: ServeEnvironment, owner: FileEntry, entry: FileEntry, answer: Streamed): void {
    const file = this.#take(entry);
    if (file === null) return this.#startAnew(x, env, owner);
    const { status, reason, length } = answer;
    const head = new ResponseHead();
    head.status = status;
    head.reason = reason;
    head.body = "length";
    head.length = length;
    layOut(head.headers, status, reason, [...answer.fields, ["Content-Length", String(length)]]);
    head.lineAt = 0;
    head.own = true;
    new FileStream(x, env, file, x.request.method === "HEAD" ? [] : answer.parts).start(head);
  }

  /** The file is another one than a moment ago. */
  #startAnew(x: Exchange, env: ServeEnvironment, owner: FileEntry): void {
    memory.drop(owner);
    // What was looked at in this very turn is written to all the time.
    if (owner.resolvedAt === turnTime()) env.answer(x, CHANGED);
    else this.#lookUp(x, env, pathOf(x));
  }

  /** The open file of an entry; null when another one is there by now. */
  #take(entry: FileEntry): OpenedFile | null {
    const { opened } = entry;
    entry.opened = null;
    return opened ?? this.#site.root.openSame(entry.name, entry.state);
  }

  // ——— bytes in memory

  /** The whole answer where its bytes can be had at once; null where they are to be streamed. */
  #load(owner: FileEntry, entry: FileEntry): Reply | Fault | null {
    if (entry.size > AT_ONCE_MAX) {
      if (owner.used && entry.size <= KEPT_MAX && !entry.young && !entry.loading) this.#loadLater(owner, entry);
      return null;
    }
    const file = this.#take(entry);
    if (file === null) return null;
    const content = readAndClose(file);
    if (!Buffer.isBuffer(content)) return content;
    entry.fill(content);
    memory.weigh(owner);
    return entry.reply;
  }

  /** Reads a file of middle size without holding up the thread; meanwhile it is streamed. */
  #loadLater(owner: FileEntry, entry: FileEntry): void {
    const file = this.#site.root.openSame(entry.name, entry.state);
    if (file === null) return;
    entry.loading = true;
    const bytes = Buffer.allocUnsafeSlow(entry.size);
    read(file.fd, bytes, 0, bytes.length, 0, (error, count) => {
      entry.loading = false;
      closeSync(file.fd);
      // One that was changed while it was read shows that when it is compared the next time.
      if (error !== null || count !== bytes.length) return;
      entry.fill(bytes);
      memory.weigh(owner);
    });
  }
}

const wholeOf = ({ fields, size }: FileEntry): Streamed => ({
  status: 200,
  reason: "OK",
  fields,
  parts: [{ first: 0, last: size - 1 }],
  length: size,
});

function partsOf({ size, fields, type }: FileEntry, ranges: readonly ByteRange[]): Streamed {
  const reason = "Partial Content";
  if (ranges.length === 1) {
    const range = ranges[0]!;
    const own = [...fields, ["Content-Range", contentRange(range, size)] as const];
    return { status: 206, reason, fields: own, parts: [range], length: range.last - range.first + 1 };
  }
  const { contentType, heads, close, length } = layoutByteranges(ranges, size, type, boundary());
  const own = fields.map((field) =>
    field[0].toLowerCase() === "content-type" ? (["Content-Type", contentType] as const) : field,
  );
  const parts = ranges.flatMap((range, at): Part[] => [heads[at]!, range]);
  return { status: 206, reason, fields: own, parts: [...parts, close], length };
}

function readAndClose(file: OpenedFile): Buffer | Fault {
  try {
    return readWhole(file) ?? CHANGED;
  } catch (error) {
    return fault("file.failed", String(error));
  } finally {
    closeSync(file.fd);
  }
}

function redirect(x: Exchange, env: ServeEnvironment, path: string): void {
  const query = x.request.query === "" ? "" : `?${x.request.query}`;
  env.answer(x, bodiless(308, [["Location", path + query]]));
}

/** The path that names the file: what a rewrite made of it, if there is one. "" where that is no path. */
function pathOf(x: Exchange): string {
  const { rewrittenTarget } = x;
  if (rewrittenTarget === "") return x.request.path ?? "";
  const query = rewrittenTarget.indexOf("?");
  return normalizePath(query < 0 ? rewrittenTarget : rewrittenTarget.slice(0, query)) ?? "";
}

/** Whether a request has preconditions, or asks for a part. */
function asksMore(headers: HeaderBlock): boolean {
  return (
    headers.received(ID["if-none-match"]) ||
    headers.received(ID["if-modified-since"]) ||
    headers.received(ID.range) ||
    headers.received(ID["if-match"]) ||
    headers.received(ID["if-unmodified-since"]) ||
    headers.added !== null // a plugin may have given it some
  );
}

/** Whether a browser is about to show the answer as a page. */
function isNavigation(headers: HeaderBlock): boolean {
  const mode = headers.get("sec-fetch-mode");
  return mode === null ? (headers.getById(ID.accept)?.includes("text/html") ?? false) : mode === "navigate";
}

/** 80 random bits: no file holds it by chance or by somebody's will. */
const boundary = (): string => randomBytes(10).toString("hex");
