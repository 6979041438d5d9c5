// multipart/form-data (RFC 7578) as ModSecurity reads it: what servers could read differently is flagged, so that rules
// can refuse it. The content of files is not looked at beyond boundaries, and not copied.
import { isSpace } from "../transformations/characters.ts";
import { boundaryOf } from "./boundary.ts";
import { parseDisposition } from "./disposition.ts";
import { MULTIPART_FLAG, MULTIPART_STRICT } from "./multipart-flags.ts";

export interface MultipartLimits {
  /** Parts, fields and files together. */
  readonly parts: number;
  /** Files; those beyond set a flag (SecUploadFileLimit). */
  readonly files: number;
}

/** One field or file of a form. */
export interface MultipartPart {
  readonly name: string;
  /** Name of the file; null for a field. */
  readonly fileName: string | null;
  /** The other name that a file was given (`filename*`); null for none. */
  readonly fileNameExtended: string | null;
  /** Lines of its head, `name: value`, as they came; folded ones joined by a blank. */
  readonly headers: readonly string[];
  /** Content of a field; "" for a file. */
  readonly value: string;
  /** Where the content lies in the body. */
  readonly start: number;
  readonly end: number;
}

export interface MultipartBody {
  /** What is wrong; "" when nothing is. Parts up to there are given. */
  readonly fault: string;
  /** The fault is that more should follow. */
  readonly endsEarly: boolean;
  /** MULTIPART_FLAG bits. */
  readonly flags: number;
  /** MULTIPART_STRICT_ERROR. */
  readonly strictError: boolean;
  /** 1: something looks like a boundary and is none; 2: and boundaries follow it. */
  readonly unmatchedBoundary: 0 | 1 | 2;
  readonly parts: readonly MultipartPart[];
  /** Bytes of heads and fields (SecRequestBodyNoFilesLimit). */
  readonly noFilesLength: number;
}

/** A line of a head above this is refused, as ModSecurity does: its buffer ends there. */
const LINE_MAX = 4096;
/** Lines of a head. Browsers send two, mail programs five. */
const HEADERS_MAX = 32;

const CR = 0x0d;
const LF = 0x0a;
const DASH = 0x2d;
const QUOTE = 0x22;

/** Reads a whole body, whose Content-Type is given as it came. */
export function parseMultipart(body: string, contentType: string, limits: MultipartLimits): MultipartBody {
  return new MultipartReader(body, limits).read(contentType);
}

class MultipartReader {
  readonly #text: string;
  readonly #limits: MultipartLimits;
  readonly #parts: MultipartPart[] = [];
  /** `--` and the boundary. */
  #mark = "";
  #at = 0;
  #flags = 0;
  #fault = "";
  #unmatched: 0 | 1 | 2 = 0;
  #boundaries = 0;
  #files = 0;
  #noFilesLength = 0;
  #final = false;
  #endsEarly = false;

  constructor(text: string, limits: MultipartLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  read(contentType: string): MultipartBody {
    const boundary = boundaryOf(contentType);
    this.#flags = boundary.flags;
    this.#fault = boundary.fault;
    this.#mark = `--${boundary.text}`;
    if (this.#fault === "" && this.#text !== "") this.#body();
    return {
      fault: this.#fault,
      endsEarly: this.#endsEarly,
      flags: this.#flags,
      strictError: this.#fault !== "" || (this.#flags & MULTIPART_STRICT) !== 0,
      unmatchedBoundary: this.#unmatched,
      parts: this.#parts,
      noFilesLength: this.#noFilesLength,
    };
  }

  #body(): void {
    // What stands before the first boundary is passed over, and told.
    const start = this.#contentEnd(0);
    if (this.#fault !== "") return;
    if (start > 0) this.#flags |= MULTIPART_FLAG.dataBefore;
    while (!this.#final && this.#fault === "" && this.#at < this.#text.length) this.#part();
    if (this.#fault !== "") return;
    this.#endsEarly = !this.#final;
    if (!this.#final) this.#fail(this.#boundaries > 0 ? "the final boundary is missing" : "there is no boundary");
    else if (this.#at < this.#text.length) this.#flags |= MULTIPART_FLAG.dataAfter;
  }

  #fail(what: string): false {
    this.#fault = `Multipart: ${what}`;
    return false;
  }

  /**
   * Looks from `from`, where a line begins, for the next boundary and passes over it. Returns where the content before
   * it ends, with its line end; at the end of the body, that.
   */
  #contentEnd(from: number): number {
    const text = this.#text;
    let mark = -1;
    let looked = false;
    let line = text.startsWith("--", from) ? from : this.#dashedLine(from);
    for (;;) {
      if (this.#unmatched === 0 && (!looked || (mark >= 0 && mark < line))) {
        // Found before the next line of dashes, it stands within a line.
        if (!looked) mark = text.indexOf(this.#mark, from);
        looked = true;
        if (mark >= 0 && (line < 0 || mark < line)) this.#unmatched = 1;
      }
      if (line < 0) {
        this.#at = text.length;
        return text.length;
      }
      const next = this.#boundaryEnd(line);
      if (this.#fault !== "") return line;
      if (next > line) {
        this.#at = next;
        return line;
      }
      line = this.#dashedLine(line);
    }
  }

  /** Where the next line begins with two dashes, behind `from`; -1 for none. */
  #dashedLine(from: number): number {
    const feed = this.#text.indexOf("\n--", from);
    return feed < 0 ? -1 : feed + 1;
  }

  /** Behind the boundary line that begins there; `at` itself when it is none. */
  #boundaryEnd(at: number): number {
    const text = this.#text;
    if (!text.startsWith(this.#mark, at)) {
      this.#lookAlike(at);
      return at;
    }
    let end = at + this.#mark.length;
    const final = text.charCodeAt(end) === DASH && text.charCodeAt(end + 1) === DASH;
    if (final) end += 2;
    const ended = final && end === text.length;
    if (text.charCodeAt(end) === LF) {
      this.#flags |= MULTIPART_FLAG.lfLine;
      end += 1;
    } else if (text.charCodeAt(end) === CR && text.charCodeAt(end + 1) === LF) {
      this.#flags |= MULTIPART_FLAG.crlfLine;
      end += 2;
    } else if (!ended) {
      // Cut off within the line: it is no boundary yet, and what is missing is said at the end.
      if (end + 2 > text.length) return at;
      this.#fail("a boundary line is malformed");
      return at;
    }
    if (this.#unmatched === 1 && this.#boundaries > 0) this.#unmatched = 2;
    this.#boundaries += 1;
    this.#final = final;
    // Parts without a head count as well, though they are not given out.
    if (this.#boundaries > this.#limits.parts + 1) this.#fail("there are too many parts");
    return end;
  }

  /** A line that begins with two dashes and is no boundary: flagged, and refused where the boundary is only disguised. */
  #lookAlike(at: number): void {
    const text = this.#text;
    // Nothing but dashes is no boundary.
    if (at + 3 >= text.length || text.charCodeAt(at + 2) === LF) return;
    const boundary = this.#mark.slice(2);
    if ((this.#flags & MULTIPART_FLAG.boundaryQuoted) !== 0 && text.charCodeAt(at + 2) === QUOTE) {
      if (text.startsWith(boundary, at + 3)) this.#fail("a boundary has quotes");
    }
    let start = at + 2;
    // A boundary has no line end, so blanks are looked for within reason.
    while (isSpace(text.charCodeAt(start)) && start < at + LINE_MAX) start += 1;
    if (start > at + 2 && text.startsWith(boundary, start)) this.#fail("a boundary has blanks before it");
    this.#unmatched = 1;
  }

  #part(): void {
    const names: string[] = [];
    const values: string[] = [];
    const lines: string[] = [];
    const start = this.#at;
    const boundaries = this.#boundaries;
    for (;;) {
      const before = this.#at;
      const line = this.#headLine();
      if (this.#fault !== "") return;
      // A boundary where a head was to come: a part that is none. At the end, what is missing is said there.
      if (line === null) {
        this.#noFilesLength += before - start;
        if (this.#boundaries > boundaries) this.#flags |= MULTIPART_FLAG.invalidPart;
        return;
      }
      if (line === "") break;
      if (!this.#header(line, names, values, lines)) return;
    }
    this.#noFilesLength += this.#at - start;
    this.#content(names, values, lines);
  }

  /** The next line of a head without its end, null when a boundary stands there or the body ends. */
  #headLine(): string | null {
    const text = this.#text;
    const start = this.#at;
    if (text.startsWith("--", start)) {
      const next = this.#boundaryEnd(start);
      if (this.#fault !== "") return null;
      if (next > start) {
        this.#at = next;
        return null;
      }
    }
    const feed = text.indexOf("\n", start);
    if (feed < 0) {
      this.#at = text.length;
      return null;
    }
    if (feed + 1 - start >= LINE_MAX) {
      this.#fail("a line of a head is too long");
      return null;
    }
    const crlf = feed > start && text.charCodeAt(feed - 1) === CR;
    this.#flags |= crlf ? MULTIPART_FLAG.crlfLine : MULTIPART_FLAG.lfLine;
    this.#at = feed + 1;
    const line = text.slice(start, crlf ? feed - 1 : feed);
    if (line.indexOf(this.#mark, 1) > 0) this.#unmatched = 1;
    if (line.includes("\0")) this.#fail("a head has a NUL byte");
    return line;
  }

  #header(line: string, names: string[], values: string[], lines: string[]): boolean {
    const last = lines.length - 1;
    if (isSpace(line.charCodeAt(0))) {
      this.#flags |= MULTIPART_FLAG.headerFolding;
      let from = 0;
      for (; isSpace(line.charCodeAt(from)); from += 1)
        if (line.charCodeAt(from) !== 0x20 && line.charCodeAt(from) !== 0x09)
          this.#flags |= MULTIPART_FLAG.invalidHeaderFolding;
      if (last < 0) return this.#fail("a head begins with a folded line");
      const folded = line.slice(from);
      values[last] = `${values[last]} ${folded}`;
      lines[last] = `${lines[last]} ${folded}`;
      return lines[last]!.length <= LINE_MAX || this.#fail("a line of a head is too long");
    }
    const colon = line.indexOf(":");
    if (colon <= 0) return this.#fail(colon < 0 ? "a line of a head has no colon" : "a line of a head has no name");
    const name = line.slice(0, colon).toLowerCase();
    if (names.includes(name)) return this.#fail("a head has a field twice");
    if (lines.length === HEADERS_MAX) return this.#fail("a head has too many lines");
    let from = colon + 1;
    while (line.charCodeAt(from) === 0x20 || line.charCodeAt(from) === 0x09) from += 1;
    names.push(name);
    values.push(line.slice(from));
    lines.push(line);
    return true;
  }

  #content(names: readonly string[], values: readonly string[], headers: readonly string[]): void {
    const index = names.indexOf("content-disposition");
    if (index < 0) {
      this.#fail("a part has no Content-Disposition");
      return;
    }
    const disposition = parseDisposition(values[index]!);
    if (disposition.invalidQuoting) this.#flags |= MULTIPART_FLAG.invalidQuoting;
    if (disposition.fault !== "") {
      this.#fail(`Content-Disposition of a part: ${disposition.fault}`);
      return;
    }
    const { name, fileName, fileNameExtended } = disposition;
    // Forms may not have it (RFC 7578 §4.2), and servers differ in which of the names they take.
    if (fileNameExtended !== null) this.#flags |= MULTIPART_FLAG.invalidPart;
    // Some servers look for the word alone: one that reads the head otherwise than we do must find it as well.
    if ((fileName ?? "") !== "" && !values[index]!.includes("filename=")) {
      this.#fail("Content-Disposition of a part: the file name is disguised");
      return;
    }
    const start = this.#at;
    const boundary = this.#contentEnd(start);
    if (this.#fault !== "") return;
    // A boundary right behind a head has no line end of its own: for some it is not there.
    if (boundary === start && boundary < this.#text.length) this.#flags |= MULTIPART_FLAG.invalidPart;
    const end = Math.max(start, boundary - this.#lineEndBefore(boundary));
    const isFile = (fileName ?? "") !== "" || (fileNameExtended ?? "") !== "";
    if (!isFile) this.#noFilesLength += end - start;
    else if (this.#files === this.#limits.files) this.#flags |= MULTIPART_FLAG.fileLimitExceeded;
    else this.#files += 1;
    if (this.#parts.length === this.#limits.parts) {
      this.#fail("there are too many parts");
      return;
    }
    const value = isFile ? "" : this.#text.slice(start, end);
    const file = isFile ? (fileName ?? "") : null;
    this.#parts.push({ name, fileName: file, fileNameExtended, headers, value, start, end });
  }

  /** Bytes of the line end that stands before a boundary and belongs to it. */
  #lineEndBefore(at: number): number {
    if (at === this.#text.length || this.#text.charCodeAt(at - 1) !== LF) return 0;
    if (this.#text.charCodeAt(at - 2) === CR) return 2;
    this.#flags |= MULTIPART_FLAG.lfLine;
    return 1;
  }
}
