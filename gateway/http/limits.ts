import { mostJsonValues } from '../../runtime/json/json-parser.ts';
import { maxMessageBytes } from '../../core/message-limit.ts';

/** Limits of the HTTP door; the only home of their values. */
export const httpLimits = {
  /** Of a request's body, as it is sent and unpacked. */
  bodyBytes: maxMessageBytes,
  /** Of all bodies that are read at once, unpacked ones included; who comes then waits. */
  allBodiesBytes: 256 * 1024 * 1024,
  /** Bodies up to here are not counted: there are no more of them than connections. */
  smallBodyBytes: 64 * 1024,
  jsonDepth: 100,
  jsonValues: mostJsonValues,
  /** Of the request line and all headers together. */
  headerBytes: 16 * 1024,
  headers: 100,
  /** Until all headers have arrived. */
  headersTimeoutMs: 10_000,
  /** Until the whole request has arrived. */
  requestTimeoutMs: 60_000,
  /** A connection without a request is closed after this. */
  keepAliveMs: 30_000,
  /** An answer of which nothing more can be sent for so long is given up, with its connection. */
  sendLimitMs: 30_000,
  /** More are closed at once. */
  connections: 4_096,
  /** Of one connection, sent without waiting for answers; with more it is closed. */
  requestsInLine: 100,
  /** Longest deadline that a caller may ask for. */
  longestDeadlineMs: 3_600_000,
  /** Answers from here on are packed where the caller takes that. */
  packFromBytes: 2_048,
} as const;
