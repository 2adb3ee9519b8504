import type { IncomingMessage } from 'node:http';

/** One request, taken apart. */
export interface Call {
  readonly method: string;
  /** What comes after the endpoint's own part of the path, decoded: a key, a session's id, or nothing. */
  readonly rest: string;
  readonly query: URLSearchParams;
  /** The whole body; rejects with a refusal when it is larger. */
  readonly body: (limitBytes: number, setting: string) => Promise<Buffer>;
  /** Aborts when the client has gone or the server ends. */
  readonly signal: AbortSignal;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | string;
}

/** Ends a call with this status and text. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, text: string, headers: Readonly<Record<string, string>> = {}) {
    super(text);
    this.status = status;
    this.headers = headers;
  }
}

/** Of a body that is too large, this much is read and thrown away, so that its sender gets to see the answer. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024;

export function jsonReply(value: unknown, headers: Readonly<Record<string, string>> = {}, status = 200): Reply {
  return { status, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(value) };
}

export function textReply(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body: text };
}

/** Reads a body to its end. Larger than `limitBytes`: a refusal with 413, in Consul's words. */
export async function readBody(request: IncomingMessage, limitBytes: number, setting: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size <= limitBytes) pieces.push(piece);
    if (size > MAX_DISCARDED_BYTES) break;
  }
  if (size > limitBytes) throw new Refusal(413, `Request body(${size} bytes) too large, max size: ${limitBytes} bytes (${setting})`, { Connection: 'close' });
  return Buffer.concat(pieces);
}

/** The parameter as a whole number; undefined when it is not given. Refused with 400 when it is something else, or more than can be counted exactly here. */
export function numberOf(query: URLSearchParams, name: string, refusal = `"${name}" must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new Refusal(400, refusal);
  return value;
}

const UNITS_MS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it ("1m30s", "500ms", "0") in milliseconds; undefined when it is none. */
export function durationMs(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount = '0', unit = 'ms'] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|μs|ms|s|m|h)/g)) total += Number(amount) * (UNITS_MS[unit] ?? 1);
  return total;
}
