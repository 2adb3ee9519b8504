import { type Call, jsonReply, Refusal, type Reply } from './http-exchange.ts';
import { serveKv } from './kv-endpoint.ts';
import { checkParameters } from './query-options.ts';
import { createSession, destroySession, getSession, listSessions, NODE, renewSession, type SessionParts } from './session-endpoint.ts';
import { serveTransaction } from './transaction-endpoint.ts';

export interface EndpointParts extends SessionParts {
  /** "host:port" of this server. */
  readonly address: () => string;
}

interface Endpoint {
  /** Ends in a slash where something follows. */
  readonly path: string;
  readonly methods: readonly string[];
  readonly serve: (parts: EndpointParts, call: Call) => Promise<Reply>;
}

/** Everything that is served. Of Consul's API, this is what Switchyard's client and `consul kv` use. */
const ENDPOINTS: readonly Endpoint[] = [
  { path: '/v1/kv/', methods: ['GET', 'PUT', 'DELETE'], serve: serveKv },
  { path: '/v1/txn', methods: ['PUT'], serve: serveTransaction },
  { path: '/v1/session/create', methods: ['PUT'], serve: createSession },
  { path: '/v1/session/renew/', methods: ['PUT'], serve: renewSession },
  { path: '/v1/session/destroy/', methods: ['PUT'], serve: destroySession },
  { path: '/v1/session/info/', methods: ['GET'], serve: getSession },
  { path: '/v1/session/list', methods: ['GET'], serve: listSessions },
  { path: '/v1/session/node/', methods: ['GET'], serve: listSessions },
  { path: '/v1/status/leader', methods: ['GET'], serve: async (parts) => jsonReply(parts.address()) },
  { path: '/v1/status/peers', methods: ['GET'], serve: async (parts) => jsonReply([parts.address()]) },
  { path: '/v1/agent/self', methods: ['GET'], serve: async () => jsonReply({ Config: { Datacenter: 'dc1', NodeName: NODE, Server: true } }) },
];

/** The parts of Consul's API of which nothing is served. */
const FOREIGN = [
  'acl',
  'agent',
  'catalog',
  'config',
  'connect',
  'coordinate',
  'discovery-chain',
  'event',
  'health',
  'operator',
  'query',
  'session',
  'snapshot',
  'status',
  'internal',
];

/** Finds the endpoint and asks it. `path` is as it came, undecoded. Refusals: 400, 404, 405, 501 with a text that names what is wrong. */
export async function serveCall(parts: EndpointParts, path: string, call: Omit<Call, 'rest'>): Promise<Reply> {
  const endpoint = ENDPOINTS.find((candidate) => (candidate.path.endsWith('/') ? path.startsWith(candidate.path) : path === candidate.path));
  if (endpoint === undefined) {
    const part = /^\/v1\/([a-z-]+)(?:\/|$)/.exec(path)?.[1] ?? '';
    if (FOREIGN.includes(part)) throw new Refusal(501, `${path} is not served by the embedded topology`);
    throw new Refusal(404, `there is nothing at ${path}`);
  }
  if (!endpoint.methods.includes(call.method)) throw new Refusal(405, `method ${call.method} not allowed`, { Allow: ['OPTIONS', ...endpoint.methods].join(',') });
  checkParameters(call.query);
  return endpoint.serve(parts, { ...call, rest: decoded(path.slice(endpoint.path.length)) });
}

function decoded(rest: string): string {
  let text: string;
  try {
    text = decodeURIComponent(rest);
  } catch {
    throw new Refusal(400, 'the path is not percent-encoded UTF-8');
  }
  if (text.startsWith('/') || text.includes('\0')) throw new Refusal(400, 'a key must not begin with a slash or hold a NUL');
  return text;
}
