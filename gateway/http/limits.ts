/** Limits of the HTTP door; the only home of their values. */
export const httpLimits = {
  /** Of a request's body, as it is sent and unpacked; gRPC's messages have the same. */
  bodyBytes: 16 * 1024 * 1024,
  jsonDepth: 100,
  /** Values in one JSON text, those in arrays and objects included. */
  jsonValues: 100_000,
  /** Of the request line and all headers together. */
  headerBytes: 16 * 1024,
  headers: 100,
  /** Until all headers have arrived. */
  headersTimeoutMs: 10_000,
  /** Until the whole request has arrived. */
  requestTimeoutMs: 60_000,
  /** A connection without a request is closed after this. */
  keepAliveMs: 30_000,
  /** Longest deadline that a caller may ask for. */
  longestDeadlineMs: 3_600_000,
  /** Answers from here on are packed where the caller takes gzip. */
  gzipFromBytes: 2_048,
} as const;
