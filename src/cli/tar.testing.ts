// Archives for tests, byte by byte, so that there can be those that no program makes.

export interface Entry {
  readonly name: string;
  readonly content?: string;
  /** `0` a file, `5` a folder, `2` a symbolic link, `x` an extended head. */
  readonly type?: string;
}

const BLOCK = 512;

export function tarOf(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap(({ name, content = "", type = "0" }) => {
    const head = Buffer.alloc(BLOCK);
    const bytes = Buffer.from(content);
    head.write(name, 0, 100);
    head.write("0000644\0", 100);
    head.write(`${bytes.length.toString(8).padStart(11, "0")}\0`, 124);
    head.write("        ", 148);
    head.write(type, 156);
    head.write("ustar\0", 257);
    const sum = head.reduce((all, byte) => all + byte, 0);
    head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return [head, bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}
