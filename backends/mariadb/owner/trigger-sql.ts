import { createHash } from 'node:crypto';
import { quoteIdentifier, quoteText } from '../connection.ts';
import { FENCED_STATE } from '../errors.ts';
import { FENCE_TABLE, OWN_PREFIX } from '../names.ts';
import { GATE_TABLE, PASS_TABLE } from './store-sql.ts';

/*
 * The write fence: a trigger for each row that anybody writes. It reads three rows, in this order:
 *  1. the gate of the table's workflow, shared. A fence that waits for the gate lets nobody in behind it; whoever has it already has it again.
 *  2. the fence row, plainly: no lock stays on it, so that none of those who are turned away keeps a transition waiting. It may turn away, and it must not admit: what it sees may be as old as the transaction.
 *  3. the pass of the attempt that the fence row has there, shared. This one is as new as it can be, and stays as it is while the writer's transaction is open. It alone admits.
 * Only SELECT … INTO reads a row plainly: whatever a SET, an IF or a statement that writes looks at, InnoDB locks in most isolation levels. A transaction that is SERIALIZABLE locks what it reads in any case.
 */

/** SQLSTATE of a write by a transaction that sees the table as it was before a fence. */
const OLD_SNAPSHOT_STATE = '40001';

const events = ['insert', 'update', 'delete'] as const;
const NAME_LIMIT = 64;

/** What the triggers of a table depend on. */
export interface FencedTable {
  readonly table: string;
  /** Workflow whose gate the table's writers share. */
  readonly gate: string;
  /** The login whose writes pass: they are under the stream's token instead. */
  readonly player: string;
}

export interface Trigger {
  readonly table: string;
  readonly name: string;
  /** What information_schema shows of it. */
  readonly body: string;
  readonly sql: string;
}

/** Names of all triggers of ours on a table. A name is one in the whole database, and has 64 characters. */
export const triggerNames = (table: string): readonly string[] => events.map((event) => triggerName(event, table));

export function fenceTriggers(fenced: FencedTable): readonly Trigger[] {
  const body = bodyOf(fenced);
  return events.map((event) => {
    const name = triggerName(event, fenced.table);
    return {
      table: fenced.table,
      name,
      body,
      sql: `CREATE OR REPLACE TRIGGER ${quoteIdentifier(name)} BEFORE ${event.toUpperCase()} ON ${quoteIdentifier(fenced.table)} FOR EACH ROW ${body}`,
    };
  });
}

function triggerName(event: (typeof events)[number], table: string): string {
  const begin = `${OWN_PREFIX}fence_${event}_`;
  const whole = `${begin}${table}`;
  return [...whole].length <= NAME_LIMIT ? whole : `${begin}${createHash('sha256').update(table).digest('hex').slice(0, 32)}`;
}

/** The machine's part of USER() has no "@", a user's name may have one. A user's name is told by its letters' case. */
const isPlayer = (player: string): string => `CONVERT(USER() USING utf8mb4) COLLATE utf8mb4_nopad_bin = CONCAT(${quoteText(`${player}@`)}, SUBSTRING_INDEX(USER(), '@', -1))`;

/** Every step of it costs some microseconds a row, a declaration too: for the player's rows, which are a table's worth, there is but one. */
const bodyOf = ({ table, gate, player }: FencedTable): string => `BEGIN
  IF NOT ${isPlayer(player)} THEN
  BEGIN
    DECLARE seen_attempt bigint;
    DECLARE found tinyint;
${check(quoteText(table), quoteText(gate), `table "${table}"`)}
  END;
  END IF;
END`;

/** Statements that let the caller's transaction write, or end it with an error. `table` and `gate`: as SQL. `what`: the table, for people. */
const check = (table: string, gate: string, what: string): string => `    SET found = (SELECT 1 FROM ${GATE_TABLE} WHERE workflow = ${gate} LOCK IN SHARE MODE);
    SELECT IF(state = 'OPEN', attempt, -1) INTO seen_attempt FROM ${FENCE_TABLE} WHERE table_name = ${table};
    IF seen_attempt = -1 THEN
      SIGNAL SQLSTATE '${FENCED_STATE}' SET MESSAGE_TEXT = ${quoteText(`${what} is fenced`)};
    END IF;
    SET found = (SELECT is_open FROM ${PASS_TABLE} WHERE table_name = ${table} AND attempt = COALESCE(seen_attempt, 0) LOCK IN SHARE MODE);
    IF found = 0 AND @@in_transaction = 1 THEN
      SIGNAL SQLSTATE '${OLD_SNAPSHOT_STATE}' SET MESSAGE_TEXT = ${quoteText(`${what} was fenced after the transaction began: begin it anew`)};
    END IF;
    IF found IS NULL OR found = 0 THEN
      SIGNAL SQLSTATE '${FENCED_STATE}' SET MESSAGE_TEXT = ${quoteText(`${what} is fenced`)};
    END IF;`;

export const HOLD_OPEN = 'switchyard_hold_open';

/**
 * What a writer's trigger does, for a transaction of a gateway that only reads but lets nobody change what it has read: it is a writer to a fence. A table that is nobody's is not fenced either. Answers with 1 where it is held open.
 */
export const holdOpen = `
CREATE OR REPLACE FUNCTION ${HOLD_OPEN}(in_table varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin) RETURNS tinyint READS SQL DATA
BEGIN
  DECLARE seen_attempt bigint;
  DECLARE found tinyint;
  DECLARE gate varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
  SELECT attempt, workflow INTO seen_attempt, gate FROM ${FENCE_TABLE} WHERE table_name = in_table;
  IF seen_attempt IS NULL THEN RETURN 0; END IF;
${check('in_table', 'gate', 'the table')}
  RETURN 1;
END`;
