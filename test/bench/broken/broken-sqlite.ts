// Loaded before a gateway's or a control's own code (`node --import`): takes the safeguard that SWITCHYARD_TEST_BREAK names out of the SQLite stores of this process. What the functions of a PostgreSQL store do are statements and checks of the
// program's own there, so a test build has to alter those. (The marker's check is passed by `pretendMarker`.)
import { Connection } from '../../../backends/sqlite/connection.ts';
import { ReadFence } from '../../../backends/sqlite/read-fence.ts';

type Rewrite = readonly [remove: string, insert: string];

/** Every statement that holds the text to remove is sent with the other one. */
function rewrite(...rewrites: readonly Rewrite[]): void {
  const altered = (text: string): string => rewrites.reduce((all, [remove, insert]) => all.replace(remove, insert), text);
  const { all, run, script } = Connection.prototype;
  Connection.prototype.all = function (text, values) {
    return all.call(this, altered(text), values);
  };
  Connection.prototype.run = function (text, values) {
    return run.call(this, altered(text), values);
  };
  Connection.prototype.script = function (text) {
    script.call(this, altered(text));
  };
}

switch (process.env.SWITCHYARD_TEST_BREAK) {
  // The row is changed and the marker is written, but neither triggers nor gateways refuse a write.
  case 'fence':
    ReadFence.prototype.checkWrite = () => {};
    rewrite([" IS NOT 'OPEN' AND NOT ", " IS 'never' AND NOT "]);
    break;
  // The row says CLOSED, and gateways read all the same.
  case 'read-fence':
    ReadFence.prototype.check = () => {};
    break;
  // Neither the token nor the tables' state is looked at.
  case 'token':
    rewrite([' AND workflow = ? AND token = ?', ' AND workflow = ? AND (token = ? OR 1)'], [" AND state = 'CLOSED' AND workflow = ?", ' AND workflow = ?']);
    break;
}
