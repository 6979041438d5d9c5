// A table of counts as a file of the same size, in which parts are written over where they lie. What was written is
// with the system, so it outlives a process that is killed. One program writes it.
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { encodeKey } from "./file-name.ts";

export interface Part {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class TableFile {
  readonly #path: string;
  readonly #folder: string;

  /** `folder` is that of the state in files. */
  constructor(folder: string, name: string) {
    this.#folder = join(folder, "tables");
    this.#path = join(this.#folder, encodeKey(name));
  }

  /** All of it, zeros where nothing was written yet; null where there is no such file, or one that is too long. */
  async read(length: number): Promise<Uint8Array | null> {
    const file = Bun.file(this.#path);
    if (!(await file.exists()) || file.size > length) return null;
    const whole = new Uint8Array(length);
    whole.set(await file.bytes());
    return whole;
  }

  async write(parts: readonly Part[]): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const file = await open(this.#path, "a+", 0o600).then(async (made) => {
      await made.close();
      return await open(this.#path, "r+");
    });
    try {
      for (const { offset, bytes } of parts) await file.write(bytes, 0, bytes.length, offset);
    } finally {
      await file.close();
    }
  }
}
