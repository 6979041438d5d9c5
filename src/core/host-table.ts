// Values by host name: exact names, and `*.example.com` for every name below it, however deep.

export class HostTable<T> {
  readonly #exact = new Map<string, T>();
  /** By what stands behind the asterisk and its dot. */
  readonly #below = new Map<string, T>();

  /** Patterns in any case. */
  constructor(entries: Iterable<readonly [pattern: string, value: T]>) {
    for (const [pattern, value] of entries) {
      const name = pattern.toLowerCase();
      if (name.startsWith("*.")) this.#below.set(name.slice(2), value);
      else this.#exact.set(name, value);
    }
  }

  /** The value for a name in lower case, that of the most specific pattern; undefined when none fits. */
  find(name: string): T | undefined {
    const exact = this.#exact.get(name);
    if (exact !== undefined || this.#below.size === 0) return exact;
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const value = this.#below.get(name.slice(dot + 1));
      if (value !== undefined) return value;
    }
    return undefined;
  }
}
