// Loaded before a gateway's or a control's own code (`node --import`): takes the safeguard that SWITCHYARD_TEST_BREAK names out of the SQLite and MariaDB stores of this process. What the functions of a PostgreSQL store do are statements and
// checks of the program's own in SQLite, and statements that the program sends in MariaDB, so a test build has to alter those. (SQLite's check of the marker is passed by `pretendMarker`.)
import { Session } from '../../../backends/mariadb/session.ts';
import { Connection } from '../../../backends/sqlite/connection.ts';
import { ReadFence } from '../../../backends/sqlite/read-fence.ts';

type Rewrite = readonly [remove: string, insert: string];

const rewritten = (text: string, rewrites: readonly Rewrite[]): string => rewrites.reduce((all, [remove, insert]) => all.replaceAll(remove, insert), text);

/** Every statement for SQLite that holds the text to remove is sent with the other one. */
function rewriteSqlite(...rewrites: readonly Rewrite[]): void {
  const { all, run, script } = Connection.prototype;
  Connection.prototype.all = function (text, values) {
    return all.call(this, rewritten(text, rewrites), values);
  };
  Connection.prototype.run = function (text, values) {
    return run.call(this, rewritten(text, rewrites), values);
  };
  Connection.prototype.script = function (text) {
    script.call(this, rewritten(text, rewrites));
  };
}

/** The same for MariaDB. What the server shows of its triggers is as it should be, or they would be made anew each time. */
function rewriteMariaDb(...rewrites: readonly Rewrite[]): void {
  const { run } = Session.prototype;
  const back = rewrites.map(([remove, insert]): Rewrite => [insert, remove]);
  Session.prototype.run = async function (statement, signal, cancel) {
    const outcome = await run.call(this, { ...statement, text: rewritten(statement.text, rewrites) }, signal, cancel);
    if (outcome?.ok !== true || !statement.text.includes('information_schema.TRIGGERS')) return outcome;
    return { ...outcome, rows: outcome.rows.map((row) => row.map((value) => (typeof value === 'string' ? rewritten(value, back) : value))) };
  };
}

switch (process.env.SWITCHYARD_TEST_BREAK) {
  // The row is changed and the marker is written, but neither triggers nor gateways refuse a write, and nobody waits for those who write.
  case 'fence':
    ReadFence.prototype.checkWrite = () => {};
    rewriteSqlite([" IS NOT 'OPEN' AND NOT ", " IS 'never' AND NOT "]);
    rewriteMariaDb(
      ['IF seen_attempt = -1 THEN', 'IF 1 = 2 THEN'],
      ['IF found = 0 AND @@in_transaction = 1 THEN', 'IF 1 = 3 THEN'],
      ['IF found IS NULL OR found = 0 THEN', 'IF 1 = 4 THEN'],
      ['SELECT 1 INTO found_number FROM switchyard_gate WHERE workflow = in_workflow FOR UPDATE;', '/* no gate */'],
      ['IF found_number < other_count THEN', 'IF 1 = 5 THEN'],
      ['p.is_open = 0;', 'p.is_open = p.is_open WHERE 1 = 6;'],
    );
    break;
  // The row says CLOSED, and gateways read all the same.
  case 'read-fence':
    ReadFence.prototype.check = () => {};
    rewriteMariaDb(['(SELECT state FROM switchyard_fence', '(SELECT NULL FROM switchyard_fence'], ['SELECT MAX(state) AS state FROM', 'SELECT MAX(NULL) AS state FROM']);
    break;
  // Neither the token nor the tables' state is looked at.
  case 'token':
    rewriteSqlite([' AND workflow = ? AND token = ?', ' AND workflow = ? AND (token = ? OR 1)'], [" AND state = 'CLOSED' AND workflow = ?", ' AND workflow = ?']);
    rewriteMariaDb(
      [' AND workflow = ? AND token = CAST(? AS SIGNED)', ' AND workflow = ? AND (token = CAST(? AS SIGNED) OR 1)'],
      [" AND state = 'CLOSED' AND workflow = ? LOCK IN SHARE MODE", ' AND workflow = ? LOCK IN SHARE MODE'],
    );
    break;
  // The target is made readable whether it has the end of the history or not.
  case 'marker':
    rewriteMariaDb(['IF NOT (found_number <=> in_attempt) THEN RETURN 0; END IF;', '/* no marker */']);
    break;
}
