import { z } from 'zod';
import { type Call, durationMs, jsonReply, Refusal, type Reply } from './http-exchange.ts';
import { blockingQuery, type Query, readHeaders } from './query-options.ts';
import type { SessionKeeper } from '../state/session-keeper.ts';
import type { Session } from '../state/topology-state.ts';

const MAX_BODY_BYTES = 64 * 1024;
const MAX_TTL_MS = 24 * 3_600_000;
const DEFAULT_LOCK_DELAY_MS = 15_000;
const MAX_LOCK_DELAY_MS = 60_000;
/** A lock delay given as a number is in seconds below this, and in nanoseconds from here on. */
const LEAST_NANOSECONDS = 1_000;
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** The name of the only node that there is. */
export const NODE = 'embedded';

export interface SessionParts extends Query {
  readonly sessions: SessionKeeper;
  /** A new UUID. */
  readonly newId: () => string;
  readonly leastTtlMs: number;
  /** At most this many sessions; the next is refused with 429. */
  readonly maxSessions: number;
}

const checks = z.array(z.string()).nullish();
const requestSchema = z.object({
  Name: z.string().default(''),
  Node: z.string().default(''),
  TTL: z.string().default(''),
  Behavior: z.string().default(''),
  LockDelay: z.union([z.string(), z.number().nonnegative()]).optional(),
  Checks: checks,
  NodeChecks: checks,
  ServiceChecks: z.array(z.unknown()).nullish(),
});
type SessionRequest = z.infer<typeof requestSchema>;

/** `PUT /v1/session/create`. */
export async function createSession(parts: SessionParts, call: Call): Promise<Reply> {
  const body = await call.body(MAX_BODY_BYTES, 'a session');
  const session = wanted(parse(body), parts.leastTtlMs);
  if (parts.store.state.sessions().length >= parts.maxSessions) throw new Refusal(429, `more than ${parts.maxSessions} sessions at once`);
  const id = parts.newId();
  parts.sessions.create({ ...session, id });
  return jsonReply({ ID: id });
}

/** `PUT /v1/session/renew/ID`: 404 for one that is not there (any more). */
export async function renewSession(parts: SessionParts, call: Call): Promise<Reply> {
  const id = idOf(call);
  const session = parts.sessions.renew(id);
  if (session === undefined) throw new Refusal(404, `Session id '${id}' not found`);
  return jsonReply([shown(session)]);
}

/** `PUT /v1/session/destroy/ID`: true, also for one that is not there. */
export async function destroySession(parts: SessionParts, call: Call): Promise<Reply> {
  parts.sessions.destroy(idOf(call));
  return jsonReply(true);
}

/** `GET /v1/session/info/ID`: a list of one or none. */
export function getSession(parts: SessionParts, call: Call): Promise<Reply> {
  const id = idOf(call);
  return list(parts, call, (session) => session.id === id);
}

/** `GET /v1/session/list`, `GET /v1/session/node/NAME`. */
export function listSessions(parts: SessionParts, call: Call): Promise<Reply> {
  return list(parts, call, () => call.rest === '' || call.rest === NODE);
}

async function list(parts: SessionParts, call: Call, isMeant: (session: Session) => boolean): Promise<Reply> {
  const { state } = parts.store;
  const look = () => ({ sessions: state.sessions().filter(isMeant), index: state.sessionIndex });
  const { sessions, index } = await blockingQuery(parts, call, look, (change) => change.sessions.length + change.ended.length > 0);
  return jsonReply(sessions.map(shown), readHeaders(index));
}

function parse(body: Buffer): SessionRequest {
  if (body.length === 0) return requestSchema.parse({});
  try {
    return requestSchema.parse(JSON.parse(body.toString()));
  } catch (error) {
    throw new Refusal(400, `Request decode failed: ${error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : String(error)}`);
  }
}

function wanted(request: SessionRequest, leastTtlMs: number): Omit<Session, 'id' | 'createIndex'> {
  const checksWanted = [...(request.Checks ?? []), ...(request.NodeChecks ?? []), ...(request.ServiceChecks ?? [])].filter((check) => check !== 'serfHealth');
  if (checksWanted.length > 0) throw new Refusal(501, 'health checks of a session are not served by the embedded topology: give it a TTL');
  if (request.Node !== '' && request.Node !== NODE) throw new Refusal(400, `there is no node "${request.Node}": the only one is "${NODE}"`);
  const behavior = request.Behavior === '' ? 'release' : request.Behavior;
  if (behavior !== 'release' && behavior !== 'delete') throw new Refusal(400, `Invalid Behavior setting '${behavior}'`);
  return { name: request.Name, behavior, ttl: request.TTL, ttlMs: ttlOf(request.TTL, leastTtlMs), lockDelayMs: lockDelayOf(request.LockDelay) };
}

function ttlOf(text: string, leastMs: number): number {
  if (text === '') return 0;
  const ttlMs = durationMs(text);
  if (ttlMs === undefined) throw new Refusal(400, `Session TTL '${text}' invalid: a duration such as "10s" is expected`);
  if (ttlMs !== 0 && (ttlMs < leastMs || ttlMs > MAX_TTL_MS)) throw new Refusal(400, `Invalid Session TTL '${text}', must be between [${leastMs}ms=${MAX_TTL_MS}ms]`);
  return ttlMs;
}

function lockDelayOf(given: string | number | undefined): number {
  if (given === undefined) return DEFAULT_LOCK_DELAY_MS;
  const delayMs = typeof given === 'string' ? durationMs(given) : given < LEAST_NANOSECONDS ? given * 1_000 : given / 1e6;
  if (delayMs === undefined) throw new Refusal(400, `Request decode failed: invalid lock delay '${given}'`);
  return Math.min(delayMs, MAX_LOCK_DELAY_MS);
}

function idOf(call: Call): string {
  if (call.rest === '') throw new Refusal(400, 'Missing session');
  if (!ID.test(call.rest)) throw new Refusal(400, `'${call.rest}' is no session's id: a UUID of 36 characters is expected`);
  return call.rest.toLowerCase();
}

function shown(session: Session): Readonly<Record<string, unknown>> {
  return {
    ID: session.id,
    Name: session.name,
    Node: NODE,
    LockDelay: Math.round(session.lockDelayMs * 1e6),
    Behavior: session.behavior,
    TTL: session.ttl,
    NodeChecks: [],
    ServiceChecks: null,
    CreateIndex: session.createIndex,
    ModifyIndex: session.createIndex,
  };
}
