// All that threads share beside the servers: what filters count in, files, and addresses that are denied at run time.
// One object for the whole process.
import type { Config } from "../config/schema.ts";
import type { Log } from "../observe/log.ts";
import type { Shared } from "../pipeline/shared.ts";
import { AddressDenials } from "./address-denials.ts";
import { DENIED, type Memories, SharedMemories } from "./shared.ts";
import { SharedFiles } from "./shared-files.ts";

/** What a configuration needs, not in use yet: nothing has to be taken back where it is not used. */
export interface PreparedCommons {
  /** For compiling the configuration, which names there what it counts in. */
  readonly shared: Shared;
  /** Once it is compiled. */
  readonly memories: Memories;
  commit(): void;
}

export class Commons {
  readonly denials: AddressDenials;
  readonly #counted = new SharedMemories();
  readonly #files: SharedFiles;

  /** `changed` gets what has changed under its name, for all threads. */
  constructor(log: Log, changed: (name: string, memory: SharedArrayBuffer) => void) {
    this.#files = new SharedFiles(log, changed);
    this.denials = new AddressDenials((memory) => changed(DENIED, memory));
  }

  /** What is in use. */
  get memories(): Memories {
    return this.#with(this.#counted.memories, this.#files.memories);
  }

  /** Throws an Error for a file that cannot be used. `threads` is for how many there should be room. */
  prepare(config: Config, threads: number): PreparedCommons {
    const shared = this.#counted.prepare(threads);
    const files = this.#files.prepare(config);
    const merged = (): Memories => this.#with(shared.gathered, files.memories);
    return {
      shared,
      get memories() {
        return merged();
      },
      commit: () => {
        this.#counted.commit(shared.gathered);
        files.commit();
      },
    };
  }

  #with(counted: Memories, files: Memories): Memories {
    return new Map([...counted, ...files, [DENIED, this.denials.memory]]);
  }

  /** The thread with this number is gone: what it had under way is over. */
  forget(thread: number): void {
    this.#counted.forget(thread);
  }

  stop(): void {
    this.#files.stop();
    this.denials.stop();
  }
}
