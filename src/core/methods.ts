// The methods of RFC 9110 §9 and PATCH (RFC 5789), the commonest first.

export const METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"] as const;

/** The same for look-ups. */
export const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);
