// What is wrong with a certificate or its key. An error: it cannot be served. A warning: it is served, and clients will
// mind.

export interface Flaw {
  readonly severity: "error" | "warning";
  /** Which of the two files it is about. */
  readonly about: "cert" | "key";
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
}

export const flaw = (about: Flaw["about"], message: string, hint: string): Flaw => ({
  severity: "error",
  about,
  message,
  hint,
});

export const minor = (message: string, hint: string): Flaw => ({ severity: "warning", about: "cert", message, hint });
