// What can put records into the DNS for dns-01.

export interface TextRecord {
  /** `_acme-challenge.example.com`, or where a CNAME there leads. */
  readonly name: string;
  readonly value: string;
}

export interface DnsProvider {
  /**
   * Adds a TXT record beside others of the same name, which may belong to other orders.
   *
   * @throws Error in words for an operator
   */
  present(record: TextRecord, signal: AbortSignal): Promise<void>;
  /** Removes that one record. */
  cleanUp(record: TextRecord, signal: AbortSignal): Promise<void>;
}
