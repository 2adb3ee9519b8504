/** Canonical gRPC status codes that we answer with. */
export type CanonicalCode =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'PERMISSION_DENIED'
  | 'INTERNAL'
  | 'UNKNOWN';

export interface CatalogueEntry {
  readonly code: CanonicalCode;
  /** Whether repeating the same call can help and cannot do harm. OUTCOME_UNKNOWN of a call with a request id is, too, and brings its own advice. */
  readonly retryable: boolean;
  readonly summary: string;
}

type Entries = Readonly<Record<string, CatalogueEntry>>;

const entry = (code: CanonicalCode, retryable: boolean, summary: string): CatalogueEntry => ({ code, retryable, summary });

const ofRequests = {
  ARGUMENT_INVALID: entry('INVALID_ARGUMENT', false, 'A field is missing, malformed or contradicts another; the message names it and the fix.'),
  VALUE_INVALID: entry(
    'INVALID_ARGUMENT',
    false,
    "A value does not fit its column. Where the gateway refuses it the message names column, value and expected type; where the store does, as for a sum beyond its type, it is the store's.",
  ),
  COLUMN_UNKNOWN: entry('INVALID_ARGUMENT', false, 'The table has no such column; the message names the closest one.'),
  PAGE_TOKEN_INVALID: entry(
    'INVALID_ARGUMENT',
    false,
    'The page token is malformed or belongs to another query; or the token of a watch is malformed or belongs to another table.',
  ),
  FIELD_NOT_SERVED: entry('UNIMPLEMENTED', false, 'The field is part of the API but not served yet.'),
  HTTP_REQUEST_INVALID: entry(
    'INVALID_ARGUMENT',
    false,
    'The HTTP request itself is wrong: its path, method, encoding, media type or a header; the status and the message say what.',
  ),
  MESSAGE_TOO_LARGE: entry('RESOURCE_EXHAUSTED', false, 'The request is larger than a gateway takes (16 MiB, also when unpacked); send less at once.'),
  RESULT_TOO_LARGE: entry(
    'RESOURCE_EXHAUSTED',
    false,
    'The answer would be larger than a call carries; nothing was written. The message says which bound it exceeds, and how to ask for less.',
  ),
  TABLES_NOT_TOGETHER: entry('FAILED_PRECONDITION', false, 'The tables of one Mutate are served by different keyspaces just now.'),
  REQUEST_ID_REUSED: entry('FAILED_PRECONDITION', false, 'The request id belongs to an earlier write of the same caller with other content; nothing was written.'),
  REQUEST_IDS_NOT_KEPT: entry('FAILED_PRECONDITION', false, 'The store is not prepared to keep request ids; nothing was written. The message names the fix.'),
} as const satisfies Entries;

const ofRowsAndTables = {
  TABLE_UNKNOWN: entry('NOT_FOUND', false, 'No keyspace serves a table of that name.'),
  TABLE_UNSUPPORTED: entry('FAILED_PRECONDITION', false, 'The table cannot be served: it has no primary key or a column of a type without an exact mapping.'),
  VALUE_UNSUPPORTED: entry(
    'FAILED_PRECONDITION',
    false,
    'The store holds a value that has no exact form in the API (an array of two dimensions, a text where a number was declared); the message names table, row and column. Correct it in the store, or leave the column out.',
  ),
  ROW_NOT_FOUND: entry('NOT_FOUND', false, 'No row has that primary key.'),
  PRECONDITION_FAILED: entry('FAILED_PRECONDITION', false, 'The row does not satisfy the precondition; nothing was written.'),
  UNIQUE_VIOLATION: entry('ALREADY_EXISTS', false, 'Another row has the same unique key.'),
  FOREIGN_KEY_VIOLATION: entry('FAILED_PRECONDITION', false, 'The write breaks a foreign key.'),
  NOT_NULL_VIOLATION: entry('INVALID_ARGUMENT', false, 'A column that must have a value has none.'),
  CHECK_VIOLATION: entry('FAILED_PRECONDITION', false, 'The write breaks a check constraint.'),
  TRANSACTION_FAILED: entry('FAILED_PRECONDITION', false, 'An earlier request of the transaction failed in the store: go back to a savepoint, or roll back.'),
  TRANSACTION_COMMITTED: entry('ALREADY_EXISTS', false, 'A transaction with this request id has been committed; nothing is done now.'),
  TRANSACTION_EXPIRED: entry('ABORTED', true, 'The transaction was idle or open for too long and was rolled back; run it again.'),
  TRANSACTION_MOVED: entry('ABORTED', true, "A cutover moves the transaction's tables; it was rolled back: run it again."),
  TABLE_NOT_WATCHED: entry('FAILED_PRECONDITION', false, 'Nobody writes down the changes of the table; the message names the command that begins it.'),
  WATCH_TOO_OLD: entry('OUT_OF_RANGE', false, 'The changes behind this token are not kept any more: read the table anew and watch from now.'),
  NOT_SUPPORTED: entry('UNIMPLEMENTED', false, 'The store that serves the table cannot do this; the message says what, and which kind of store it is.'),
} as const satisfies Entries;

const ofStores = {
  SERIALIZATION_FAILURE: entry('ABORTED', true, 'The store aborted the transaction because of a concurrent one; nothing was written.'),
  STORE_UNAVAILABLE: entry('UNAVAILABLE', true, 'The store cannot be reached or refuses connections; nothing was written.'),
  STORE_LOGIN_REFUSED: entry(
    'UNAVAILABLE',
    true,
    "The store refuses the login of the process that serves the call; nothing was written. Another process, or a connection that is open already, may serve it; else an operator must act: the message names store, login and the password's place.",
  ),
  STORE_OVERLOADED: entry(
    'UNAVAILABLE',
    true,
    'No connection to the store was free in time, its write lock was not, or as many transactions are open as may be; nothing was written.',
  ),
  STORE_READ_ONLY: entry('UNAVAILABLE', true, 'The store is read-only just now.'),
  STORE_DENIED: entry('PERMISSION_DENIED', false, 'The store refuses the gateway a right that no cutover took away.'),
  STORE_FAILED: entry(
    'INTERNAL',
    false,
    'The store failed in a way that has no reason of its own, or the answer to a write that was done cannot be shown or sent; the message says what, and whether a write was done.',
  ),
  OUTCOME_UNKNOWN: entry(
    'UNKNOWN',
    false,
    'The write may or may not have been done: the connection was lost during the commit, or the call ended after the write was sent and the store did not say in time. With a request id repeat the same call; without one read before you repeat it.',
  ),
  FENCED: entry('UNAVAILABLE', true, "The store's fence rejected the call; definitely not applied. The gateway routes it again by itself."),
} as const satisfies Entries;

const ofGateways = {
  BUFFER_FULL: entry('UNAVAILABLE', true, 'Writes of the table are held for a cutover and the buffer is full; not applied.'),
  HELD_TOO_LONG: entry('UNAVAILABLE', true, "The write was held for a cutover longer than the buffer's window; not applied."),
  DEADLINE_TOO_SHORT: entry('DEADLINE_EXCEEDED', true, 'The write would be held for a cutover longer than its deadline allows; not applied.'),
  DEADLINE_EXCEEDED: entry('DEADLINE_EXCEEDED', false, 'The deadline passed. A write may or may not have been done unless the message says otherwise.'),
  CANCELLED: entry('CANCELLED', false, 'The caller cancelled. A write may or may not have been done.'),
  GATEWAY_NOT_READY: entry('UNAVAILABLE', true, 'The gateway has no valid routing rules yet, or is shutting down.'),
  INTERNAL: entry('INTERNAL', false, 'A fault of Switchyard itself; please report it.'),
} as const satisfies Entries;

const ofTheWay = {
  PEER_UNREACHABLE: entry('UNAVAILABLE', false, 'The process that was called cannot be reached or the connection broke; a write may or may not have been done.'),
} as const satisfies Entries;

const ofRules = {
  RULES_INVALID: entry('INVALID_ARGUMENT', false, 'The rules document is malformed; the message names the field.'),
  RULES_STALE: entry('ABORTED', true, "The rules changed meanwhile, or the document's version is not higher than the applied one."),
  RULES_MISSING: entry('UNAVAILABLE', true, 'The rules key does not exist; the last good rules stay in force.'),
  RULE_FENCED: entry('FAILED_PRECONDITION', false, "The rule contradicts the table's fence row; the fence wins."),
  KEYSPACE_UNKNOWN: entry('NOT_FOUND', false, 'No keyspace has that name.'),
  KEYSPACE_INVALID: entry('INVALID_ARGUMENT', false, "The keyspace's definition is wrong; the message names the field."),
  TOPOLOGY_UNAVAILABLE: entry('UNAVAILABLE', true, 'Consul cannot be reached or has no leader.'),
  TOPOLOGY_CONFLICT: entry('ABORTED', true, 'A compare-and-set lost against another change.'),
  TOPOLOGY_TOO_LARGE: entry('RESOURCE_EXHAUSTED', false, 'The document exceeds what one Consul transaction can hold (512 KiB).'),
  TOPOLOGY_DENIED: entry('PERMISSION_DENIED', false, "Consul refuses the token a right; the message is Consul's."),
  TOPOLOGY_INVALID: entry('FAILED_PRECONDITION', false, 'A document in Consul is malformed; the message names key and field.'),
  GATEWAY_UNKNOWN: entry('NOT_FOUND', false, 'No gateway has registered under that id.'),
  GATEWAY_ALIVE: entry('FAILED_PRECONDITION', false, 'The gateway is alive; stop it before it is removed.'),
} as const satisfies Entries;

const ofWorkflows = {
  WORKFLOW_UNKNOWN: entry('NOT_FOUND', false, 'No workflow has that name.'),
  WORKFLOW_EXISTS: entry('ALREADY_EXISTS', false, 'A workflow of that name exists.'),
  WORKFLOW_STATE: entry('FAILED_PRECONDITION', false, "The workflow's state does not allow this; the message names the state and the next step."),
  WORKFLOW_FAILED: entry('FAILED_PRECONDITION', false, 'The workflow has failed; its message says why.'),
  TABLE_OWNED: entry('FAILED_PRECONDITION', false, 'Another workflow owns the table; the message names it.'),
  PRECHECK_FAILED: entry('FAILED_PRECONDITION', false, 'A check before the move or the cutover failed; the message lists each with its fix.'),
  NOT_VERIFIED: entry('FAILED_PRECONDITION', false, 'The switch needs a verification that is clean and young.'),
  DIFFERENCES_FOUND: entry('FAILED_PRECONDITION', false, 'Source and target differ.'),
  SCHEMA_CHANGED: entry(
    'FAILED_PRECONDITION',
    false,
    'The shape of a table is another one by now: of one that is being moved, or of one whose store another service passes on; nothing was done.',
  ),
  LAG_TOO_HIGH: entry('ABORTED', true, 'The target is further behind than a cutover allows.'),
  LOCK_TAKEN: entry('ABORTED', true, 'Another control process holds the lock.'),
  LOCK_TIMEOUT: entry('ABORTED', true, "The source's writers did not drain within the lock timeout; the cutover was aborted and traffic goes on."),
  HOLD_BUDGET: entry('ABORTED', true, 'The hold would have exceeded its budget; the cutover was aborted and traffic goes on.'),
  SEQUENCE_BEHIND: entry('ABORTED', true, "A sequence of the target is not ahead of the source's; the cutover was aborted and traffic goes on."),
  FENCE_CONFLICT: entry('ABORTED', false, 'A fence row is not in the state that the step asks for: somebody else has decided. The coordinator stops.'),
  STREAM_TAKEN: entry('ABORTED', false, 'Another player has taken the stream; this one stops.'),
  STREAM_FAILED: entry('FAILED_PRECONDITION', false, 'The stream stopped; the message says why and what to do.'),
} as const satisfies Entries;

/** Every reason that a caller can see. docs/errors.md is held to this table by a test. */
export const errorCatalogue = { ...ofRequests, ...ofRowsAndTables, ...ofStores, ...ofGateways, ...ofTheWay, ...ofRules, ...ofWorkflows } as const satisfies Entries;

export type ErrorReason = keyof typeof errorCatalogue;

/** Who meets the reasons of a group: a caller of the data API, a caller of the typed client alone (no process answers with them), or an operator. */
export type ReasonsFor = 'callers' | 'clients' | 'operators';

/** Reasons by what they are about, in the order of docs/errors.md. Each reason is in one of them. */
export const reasonGroups: readonly { readonly title: string; readonly of: ReasonsFor; readonly entries: Entries }[] = [
  { title: 'The request', of: 'callers', entries: ofRequests },
  { title: 'Rows, tables and transactions', of: 'callers', entries: ofRowsAndTables },
  { title: 'The store', of: 'callers', entries: ofStores },
  { title: 'The gateway', of: 'callers', entries: ofGateways },
  { title: 'The way to a gateway', of: 'clients', entries: ofTheWay },
  { title: 'Rules and topology', of: 'operators', entries: ofRules },
  { title: 'Workflows', of: 'operators', entries: ofWorkflows },
];
