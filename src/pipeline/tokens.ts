// What a language model has read and written for one request: one shape for logs, metrics, limits and metering.

export interface Tokens {
  /** Name of the provider that answered, as configured. */
  readonly provider: string;
  /** The model as clients name it, where the configuration knows that name; else "other". */
  readonly model: string;
  /** Tokens of the prompt, those that the provider had in its cache included. */
  readonly input: number;
  /** Of `input`: read from the provider's cache, and written to it. */
  readonly cached: number;
  readonly cacheWritten: number;
  /** Tokens of the answer, those of reasoning included. */
  readonly output: number;
  /** Of `output`: what the model thought and did not say. */
  readonly reasoning: number;
  /** The provider has not said it, or the answer was cut off: the numbers are reckoned from the text. */
  readonly estimated: boolean;
  /** What it costs by the configured prices, in their currency; 0 without a price. */
  readonly cost: number;
  /** Milliseconds from the request to the first piece of the answer's body; 0 when it did not come to that. */
  readonly firstMs: number;
}
