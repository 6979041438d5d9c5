// Scripts that run in Node.js, each in a process of its own: what others make of a protocol is not what
// the runtime of the tests makes of it. They talk in lines of JSON.

export class NodeScript implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  /** Starts the script; it ends when its standard input does. */
  constructor(script: URL, ...args: readonly string[]) {
    const node = Bun.which("node");
    if (node === null) throw new Error("this test needs Node.js in PATH");
    this.#child = Bun.spawn([node, script.pathname, ...args], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  }

  /** What the script says, line by line; for one reader. */
  async *said(): AsyncGenerator<unknown, void, undefined> {
    const decoder = new TextDecoder();
    let unread = "";
    for await (const chunk of this.#child.stdout) {
      unread += decoder.decode(chunk, { stream: true });
      const lines = unread.split("\n");
      unread = lines.pop()!;
      for (const line of lines) yield JSON.parse(line);
    }
  }

  /** The port of a script that says nothing else. */
  async port(): Promise<number> {
    const { value } = await this.said().next();
    if (typeof value !== "number") throw new Error(`not a port: ${JSON.stringify(value)}`);
    return value;
  }

  say(message: unknown): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
    this.#child.stdin.flush();
  }

  /** Ends it at once, with its connections. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
