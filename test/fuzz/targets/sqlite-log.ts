import { sqliteBackend } from '../../../backends/sqlite/backend.ts';
import type { StoreOptions } from '../../../backends/backend.ts';
import { attempt, position } from '../../../core/ids.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { ShopFile } from '../inputs/shop-file.ts';
import { nastyTexts } from '../mutate.ts';
import { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { outcomeOf } from '../verdict.ts';

const never = new AbortController().signal;
const stream = { id: 'move.forward', workflow: 'move', tables: ['item', 'line'] };
const kinds = ['insert', 'update', 'delete', 'marker', 'watermark', 'request', 'truncate', ''];
const names = ['item', 'line', 'move', 'move.forward', 'canary', '', 'x"; DROP TABLE canary; --'];
const rowsOfInput = 12;

/** Any value that a cell of the log can hold. */
function anything(random: Random, input: Buffer): string | number | bigint | Uint8Array | null {
  switch (random.below(7)) {
    case 0:
      return null;
    case 1:
      return random.pick([0n, 1n, -1n, 7n, 2n ** 63n - 1n, -(2n ** 63n)]);
    case 2:
      return random.pick([0.5, -0, 1e308, Number.POSITIVE_INFINITY]);
    case 3:
      return new Uint8Array(input.subarray(0, random.below(40)));
    case 4:
      return input.subarray(0, random.below(40)).toString('latin1');
    default:
      return random.pick(nastyTexts);
  }
}

/** SQLite's log of changes, records of requests and positions, whose rows somebody else may have written: an input is the seed and the texts of a few rows. */
export const target: FuzzTarget = {
  name: 'sqlite-log',
  words: ['2024-02-29', '1.5000', '00000000000000000007', '\x00'],
  generate: (random) => random.bytes(4 + random.below(60)),
  open: async () => {
    await using stack = new AsyncDisposableStack();
    const file = stack.use(await ShopFile.create());
    const shard = { kind: 'sqlite', path: file.path };
    const options: StoreOptions = {
      keyspace: 'shop',
      openedBy: 'the fuzzer',
      shard,
      password: '',
      poolSize: 2,
      acquireTimeoutMs: 5_000,
      applicationName: 'fuzz',
      clock: systemClock,
      onBackgroundError: () => {},
    };
    const owner = stack.use(sqliteBackend.openOwner(options));
    await owner.install(never);
    await owner.claim({ workflow: 'move', peer: 'new', tables: stream.tables }, 'source', never);
    await owner.createLog(stream, attempt(0), never);
    const replication = stack.use(sqliteBackend.openReplication(options));
    const schemas = new Map<string, TableSchema>();
    for (const table of stream.tables) {
      const schema = await replication.describe(table, never);
      if (schema !== null) schemas.set(table, schema);
    }
    const database = stack.use(file.connect());
    file.seal();
    const cells = (database.prepare('PRAGMA table_info(switchyard_change)').all() as { readonly name: string }[]).map(({ name }) => name).filter((name) => /^c\d+$/.test(name));
    const last = database.prepare('SELECT max(id) AS id FROM switchyard_change');
    const insert = database.prepare(`INSERT INTO switchyard_change (at, kind, name, number, ${cells.join(', ')}) VALUES (?, ?, ?, ?, ${cells.map(() => '?').join(', ')})`);
    const record = database.prepare('INSERT OR REPLACE INTO switchyard_request (caller, request_id, table_name, digest, result, recorded_at) VALUES (?, ?, ?, ?, ?, ?)');
    const running = stack.move();
    return {
      run: async (input) => {
        const random = new Random(input.length >= 4 ? input.readUInt32LE(0) : input.length);
        const rest = input.subarray(4);
        const from = String((last.get() as { readonly id: number | null }).id ?? 0);
        database.exec('BEGIN');
        for (let count = 1 + random.below(rowsOfInput); count > 0; count -= 1) {
          const kind = random.pick(kinds);
          if (kind === 'request')
            record.run(String(anything(random, rest)), String(anything(random, rest)), random.pick(names), 'd', anything(random, rest) ?? '', anything(random, rest) ?? 0);
          insert.run(anything(random, rest) ?? 0, kind, random.pick(names), anything(random, rest), ...cells.map(() => anything(random, rest)));
        }
        // The last one is always understood, so that the feed has something to end with.
        insert.run(0, 'watermark', stream.id, 42n, ...cells.map(() => null));
        database.exec('COMMIT');
        const outcome = await outcomeOf(
          async () => {
            await replication.readRequests(stream.tables, null, 100, never);
            await using feed = replication.follow(stream, schemas, position(random.chance(95) ? from : String(anything(random, rest))), never);
            for await (const transactions of feed) {
              for (const { events, ageMs } of transactions) {
                must(ageMs >= 0, `an age of ${ageMs} ms`);
                for (const event of events) {
                  if (event.kind === 'marker') must(Number.isSafeInteger(event.attempt), `a marker of attempt ${event.attempt}`);
                  if (event.kind === 'watermark') must(Number.isSafeInteger(event.id), `a watermark of id ${event.id}`);
                  if (event.kind === 'request')
                    must(event.record.result instanceof Uint8Array && typeof event.record.recordedAtMicros === 'bigint', 'a record of a request that is none');
                }
              }
              if (transactions.some(({ events }) => events.some((event) => event.kind === 'watermark' && event.id === 42))) return;
            }
          },
          [],
          ['STORE_FAILED'],
        ); // a record that somebody else wrote is a fault of the store
        database.exec('DELETE FROM switchyard_request');
        return outcome;
      },
      check: async () => file.checkUntouched(),
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  },
};
