import { COPY_TABLE, FENCE_TABLE, MARKER_TABLE, STREAM_TABLE } from '../names.ts';
import { GATE_TABLE, LOG_ATTEMPT_TABLE, LOG_TABLE, PASS_TABLE, PREPARATION_TABLE } from './store-sql.ts';

/*
 * The transitions of the fence as functions of the store, so that each is one statement, one transaction and one round trip: whatever ends it, the server takes all of it back and lets go of its locks, and a client that sleeps keeps none.
 * Every one locks the rows of all tables in the order given, looks at them, and either changes all of them or none. 1: the rows are in the wished state now, changed or found so. 0: they are not, and nothing has changed.
 * They are called by sessions that are READ COMMITTED: each statement inside sees what is committed by then, and no lock reaches beyond the rows that it is about.
 */

/** What `switchyard_fence` answers. */
export const FENCE_ANSWERS = { conflict: 0, done: 1, busy: 2, late: 3 } as const;

/** SQLSTATE of a beginning that rests on what is so no more. */
export const NOT_AS_SEEN_STATE = 'SY003';

const text = (length: number): string => `varchar(${length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin`;
const list = 'longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin';

/** The parameter `in_tables`, a JSON array of names, as rows. */
const named = `JSON_TABLE(in_tables, '$[*]' COLUMNS (name ${text(64)} PATH '$')) n`;
/** By key, in the order of the parameter, however few rows the table has: a scan would lock those of others. */
const namedRows = `${named} STRAIGHT_JOIN ${FENCE_TABLE} f FORCE INDEX (PRIMARY) ON f.table_name = n.name`;
const passes = `${PASS_TABLE} p FORCE INDEX (PRIMARY) ON p.table_name = f.table_name AND p.attempt = f.attempt`;
const isOurs = 'f.workflow = in_workflow AND f.peer = in_peer';
const owner = `in_workflow ${text(255)}, in_peer ${text(255)}, in_tables ${list}`;
const scope = `${owner}, in_attempt bigint`;
const inState = (state: string, attempt: string): string => `f.state = '${state}' AND f.attempt ${attempt} in_attempt`;

/** Counts the scope's rows for which each condition holds, into the variable named with it, after locking all of them. */
const countLocked = (counts: Readonly<Record<string, string>>, how = 'FOR UPDATE'): string => `
  SELECT ${Object.values(counts)
    .map((condition) => `COALESCE(SUM(${condition}), 0)`)
    .join(', ')} INTO ${Object.keys(counts).join(', ')} FROM ${namedRows} WHERE ${isOurs} ${how};`;
const changeRows = (set: string): string => `UPDATE ${namedRows} SET ${set};`;

interface FunctionParts {
  readonly name: string;
  readonly parameters: string;
  readonly body: string;
}

const storeFunction = ({ name, parameters, body }: FunctionParts): string => `
CREATE OR REPLACE FUNCTION ${name}(${parameters}) RETURNS tinyint MODIFIES SQL DATA
BEGIN
  DECLARE wanted int DEFAULT JSON_LENGTH(in_tables);
  DECLARE from_count, wished_count, other_count int DEFAULT 0;
  DECLARE found_number bigint;${body}
END`;

const transition = (name: string, conditions: { readonly from: string; readonly wished: string }, change: string, first = ''): string =>
  storeFunction({
    name,
    parameters: first === '' ? scope : `${scope}, in_stream ${text(255)}`,
    body: `${first}${countLocked({ from_count: conditions.from, wished_count: conditions.wished })}
  IF wanted = 0 OR from_count <> wanted THEN RETURN wanted > 0 AND wished_count = wanted; END IF;
  ${change}
  RETURN 1;`,
  });

/** Adds the pass of the attempt in which the tables are open now. Nobody can have it locked: nobody could see it. */
const addPasses = `INSERT INTO ${PASS_TABLE} (table_name, attempt, is_open) SELECT f.table_name, f.attempt, 1 FROM ${namedRows} ON DUPLICATE KEY UPDATE is_open = 1;`;

/** Locks the stream's row first, as an apply does: none is in flight while the state changes. */
const lockStream = (column: string): string => `
  SELECT s.${column} INTO found_number FROM ${STREAM_TABLE} s WHERE s.id = in_stream AND s.workflow = in_workflow FOR UPDATE;`;

/**
 * Waits for nothing but the gate, with no lock of its own: so it is the lightest of all in whatever deadlock it is part of, and the store ends it and nobody else. Behind the gate nobody who writes has anything of what it locks; where somebody
 * else has (a reader that shares a fence row, a gateway that holds a table open without the gate), it gives way at once: 2, with nothing changed.
 */
const fenceTables = storeFunction({
  name: 'switchyard_fence',
  parameters: scope,
  body: `
  SELECT COUNT(*) INTO wished_count FROM ${namedRows} WHERE ${isOurs} AND ${inState('FROZEN', '=')};
  IF wanted = 0 OR wished_count = wanted THEN RETURN wanted > 0; END IF;
  SELECT attempt INTO found_number FROM ${PREPARATION_TABLE} WHERE workflow = in_workflow;
  IF found_number > in_attempt THEN RETURN ${FENCE_ANSWERS.late}; END IF;
  SELECT 1 INTO found_number FROM ${GATE_TABLE} WHERE workflow = in_workflow FOR UPDATE;
  -- Until this statement ends no other attempt begins to prepare.
  INSERT INTO ${PREPARATION_TABLE} (workflow, attempt) VALUES (in_workflow, in_attempt) ON DUPLICATE KEY UPDATE attempt = GREATEST(attempt, in_attempt);
  SELECT attempt INTO found_number FROM ${PREPARATION_TABLE} WHERE workflow = in_workflow;
  IF found_number > in_attempt THEN RETURN ${FENCE_ANSWERS.late}; END IF;
  SELECT COUNT(*) INTO other_count FROM ${namedRows} WHERE ${isOurs};${countLocked({ from_count: inState('OPEN', '<'), wished_count: '1' }, 'FOR UPDATE SKIP LOCKED')}
  IF wished_count < other_count THEN RETURN ${FENCE_ANSWERS.busy}; END IF;
  IF from_count <> wanted THEN RETURN ${FENCE_ANSWERS.conflict}; END IF;
  SELECT COUNT(*) INTO other_count FROM ${namedRows} JOIN ${passes};
  SELECT COUNT(*) INTO found_number FROM ${namedRows} STRAIGHT_JOIN ${passes} FOR UPDATE SKIP LOCKED;
  IF found_number < other_count THEN RETURN ${FENCE_ANSWERS.busy}; END IF;
  UPDATE ${namedRows} STRAIGHT_JOIN ${passes} SET p.is_open = 0;
  ${changeRows(`f.state = 'FROZEN', f.attempt = in_attempt`)}
  RETURN ${FENCE_ANSWERS.done};`,
});

/**
 * Ends the history with the attempt's marker. Not before every distributed transaction that was prepared when the tables were FROZEN has ended: XA PREPARE lets go of shared locks, so that no fence waits for its commit. The rows are not locked: a
 * marker that comes after an abort is that of an attempt which is never fenced again.
 */
const endHistory = storeFunction({
  name: 'switchyard_end_history',
  parameters: scope,
  body: `
  SELECT COUNT(*) INTO from_count FROM ${namedRows} WHERE ${isOurs} AND ${inState('FROZEN', '=')};
  SELECT attempt INTO found_number FROM ${MARKER_TABLE} WHERE workflow = in_workflow;
  IF found_number = in_attempt THEN RETURN 1; END IF;
  IF wanted = 0 OR from_count <> wanted THEN RETURN 0; END IF;
  INSERT INTO ${MARKER_TABLE} (workflow, attempt) VALUES (in_workflow, in_attempt) ON DUPLICATE KEY UPDATE attempt = GREATEST(attempt, in_attempt);
  RETURN 1;`,
});

/** Leaves the fence rows alone, which writers may hold. 0: a later attempt has begun to prepare. */
const prepareFence = storeFunction({
  name: 'switchyard_prepare',
  parameters: scope,
  body: `
  INSERT INTO ${PREPARATION_TABLE} (workflow, attempt) VALUES (in_workflow, in_attempt) ON DUPLICATE KEY UPDATE attempt = GREATEST(attempt, in_attempt);
  SELECT attempt INTO found_number FROM ${PREPARATION_TABLE} WHERE workflow = in_workflow;
  RETURN found_number = in_attempt;`,
});

const commitFence = transition('switchyard_commit', { from: inState('FROZEN', '='), wished: inState('SEALED', '=') }, changeRows(`f.state = 'SEALED'`));
const closeFence = transition('switchyard_close', { from: inState('SEALED', '='), wished: inState('CLOSED', '=') }, changeRows(`f.state = 'CLOSED'`));
const abortFence = transition('switchyard_abort', { from: inState('FROZEN', '='), wished: inState('OPEN', '=') }, `${changeRows(`f.state = 'OPEN'`)}\n  ${addPasses}`);

const readyFence = transition(
  'switchyard_ready',
  { from: `${inState('CLOSED', '<')} AND f.guarded = 1`, wished: inState('READABLE', '<') },
  changeRows(`f.state = 'READABLE'`),
  `${lockStream('marker')}
  IF NOT (found_number <=> in_attempt) THEN RETURN 0; END IF;`,
);

const openFence = transition(
  'switchyard_open',
  { from: inState('READABLE', '<'), wished: inState('OPEN', '=') },
  `UPDATE ${STREAM_TABLE} SET token = token + 1 WHERE id = in_stream;
  ${changeRows(`f.state = 'OPEN', f.attempt = in_attempt`)}
  ${addPasses}`,
  `${lockStream('token')}
  IF found_number IS NULL THEN RETURN 0; END IF;`,
);

/** What `switchyard_claim` answers. */
export const CLAIM_ANSWERS = { done: 1, owned: 2, state: 3 } as const;

/** Takes the rows of all tables, made where they are missing, in the state `in_state` that rows without an owner must be in. An open table has its pass from the beginning. */
const claimRows = storeFunction({
  name: 'switchyard_claim',
  parameters: `${owner}, in_state ${text(10)}`,
  body: `
  SELECT COALESCE(SUM(f.workflow IS NOT NULL AND NOT (${isOurs})), 0), COALESCE(SUM(f.workflow IS NULL AND f.state <> in_state), 0) INTO other_count, from_count FROM ${namedRows} FOR UPDATE;
  IF other_count > 0 THEN RETURN ${CLAIM_ANSWERS.owned}; END IF;
  IF from_count > 0 THEN RETURN ${CLAIM_ANSWERS.state}; END IF;
  INSERT IGNORE INTO ${GATE_TABLE} (workflow) VALUES (in_workflow);
  UPDATE ${namedRows} SET f.workflow = in_workflow, f.peer = in_peer, f.guarded = 0 WHERE f.workflow IS NULL;
  INSERT IGNORE INTO ${FENCE_TABLE} (table_name, state, attempt, peer, workflow) SELECT n.name, in_state, 0, in_peer, in_workflow FROM ${named};
  INSERT IGNORE INTO ${PASS_TABLE} (table_name, attempt, is_open) SELECT f.table_name, f.attempt, f.state = 'OPEN' FROM ${namedRows} WHERE ${isOurs};
  SELECT COUNT(*) INTO wished_count FROM ${namedRows} WHERE ${isOurs};
  IF wished_count <> wanted THEN SIGNAL SQLSTATE '${NOT_AS_SEEN_STATE}' SET MESSAGE_TEXT = 'another workflow has claimed a table in the same moment'; END IF;
  RETURN ${CLAIM_ANSWERS.done};`,
});

/** Gives back what a claim of a target has taken and not guarded: as if it had never been. */
const unclaimRows = storeFunction({
  name: 'switchyard_unclaim',
  parameters: owner,
  body: `
  SELECT COUNT(*) INTO wished_count FROM ${namedRows} WHERE ${isOurs} FOR UPDATE;
  DELETE p FROM ${namedRows} STRAIGHT_JOIN ${PASS_TABLE} p FORCE INDEX (PRIMARY) ON p.table_name = f.table_name WHERE ${isOurs} AND f.guarded = 0 AND f.state = 'CLOSED' AND f.attempt = 0;
  DELETE f FROM ${namedRows} WHERE ${isOurs} AND f.guarded = 0 AND f.state = 'CLOSED' AND f.attempt = 0;
  UPDATE ${namedRows} SET f.workflow = NULL WHERE ${isOurs} AND f.guarded = 0 AND f.state = 'CLOSED';
  RETURN 1;`,
});

/** Takes the mark from tables that are to be dropped. */
const unguardRows = storeFunction({
  name: 'switchyard_unguard',
  parameters: owner,
  body: `${countLocked({ from_count: `f.state = 'CLOSED'` })}
  IF from_count <> wanted THEN RETURN 0; END IF;
  ${changeRows('f.guarded = 0')}
  RETURN 1;`,
});

/** Clears the owner of the rows that are the workflow's, all of which must be in this state. */
const disownRows = storeFunction({
  name: 'switchyard_disown',
  parameters: `${owner}, in_state ${text(10)}`,
  body: `
  SELECT COUNT(*) INTO other_count FROM ${namedRows} WHERE f.workflow = in_workflow AND f.state <> in_state FOR UPDATE;
  IF other_count > 0 THEN RETURN 0; END IF;
  UPDATE ${namedRows} SET f.workflow = NULL WHERE f.workflow = in_workflow AND f.state = in_state;
  RETURN 1;`,
});

/** Written first and judged then: a row that is not there cannot be locked, and of two that make it the second one finds the first one's here. */
const beginStream = storeFunction({
  name: 'switchyard_begin_stream',
  parameters: `${owner}, in_state ${text(10)}, in_stream ${text(255)}, in_stream_workflow ${text(255)}, in_position ${list}, in_token bigint`,
  body: `
  INSERT INTO ${STREAM_TABLE} (id, workflow, token, position, marker) VALUES (in_stream, in_stream_workflow, 1, in_position, 0)
  ON DUPLICATE KEY UPDATE workflow = VALUES(workflow), position = VALUES(position), token = token + 1;
  SELECT token - 1 INTO found_number FROM ${STREAM_TABLE} WHERE id = in_stream;${countLocked({ from_count: 'f.state = in_state' })}
  IF found_number <> in_token OR from_count <> wanted THEN SIGNAL SQLSTATE '${NOT_AS_SEEN_STATE}'; END IF;
  RETURN 1;`,
});

/** Tokens never restart, or a forgotten player of this stream could hold the token of a later one with the same id. So the row stays, and its token rises. */
const dropStream = `
CREATE OR REPLACE FUNCTION switchyard_drop_stream(in_stream ${text(255)}) RETURNS tinyint MODIFIES SQL DATA
BEGIN
  UPDATE ${STREAM_TABLE} SET position = '', token = token + 1 WHERE id = in_stream AND position <> '';
  DELETE FROM ${COPY_TABLE} WHERE stream = in_stream;
  RETURN 1;
END`;

/** The position from which the stream's log is kept now; NULL: a later attempt has begun it. */
const beginLog = `
CREATE OR REPLACE FUNCTION switchyard_begin_log(in_stream ${text(255)}, in_workflow ${text(255)}, in_tables ${list}, in_attempt bigint) RETURNS ${list} MODIFIES SQL DATA
BEGIN
  DECLARE found_number bigint;
  DECLARE present ${list};
  INSERT INTO ${LOG_ATTEMPT_TABLE} (stream, attempt) VALUES (in_stream, in_attempt) ON DUPLICATE KEY UPDATE attempt = GREATEST(attempt, in_attempt);
  SELECT attempt INTO found_number FROM ${LOG_ATTEMPT_TABLE} WHERE stream = in_stream;
  IF found_number > in_attempt THEN RETURN NULL; END IF;
  SET present = @@global.gtid_binlog_pos;
  REPLACE INTO ${LOG_TABLE} (stream, workflow, tables, position) VALUES (in_stream, in_workflow, in_tables, present);
  RETURN present;
END`;

/** A log that a later attempt has begun stays; with NULL it goes in any case, and with it the memory of who has begun it. */
const dropLog = `
CREATE OR REPLACE FUNCTION switchyard_drop_log(in_stream ${text(255)}, in_attempt bigint) RETURNS tinyint MODIFIES SQL DATA
BEGIN
  DECLARE found_number bigint;
  SELECT attempt INTO found_number FROM ${LOG_ATTEMPT_TABLE} WHERE stream = in_stream FOR UPDATE;
  IF found_number > in_attempt THEN RETURN 0; END IF;
  DELETE FROM ${LOG_TABLE} WHERE stream = in_stream;
  IF in_attempt IS NULL THEN DELETE FROM ${LOG_ATTEMPT_TABLE} WHERE stream = in_stream; END IF;
  RETURN 1;
END`;

/** Every function of the owner's. */
export const storeFunctions: readonly string[] = [
  prepareFence,
  fenceTables,
  endHistory,
  commitFence,
  abortFence,
  readyFence,
  closeFence,
  openFence,
  claimRows,
  unclaimRows,
  unguardRows,
  disownRows,
  beginStream,
  dropStream,
  beginLog,
  dropLog,
].map((script) => script.trim());
