import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Side } from '../../control/move.ts';
import { StreamSupervisor } from '../../control/streams/stream-supervisor.ts';
import { verifyMove } from '../../control/verify/verify-move.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/logger.ts';
import { waitUntil } from '../support/servers/wait-until.ts';
import { arm, FORWARD, type MoveStores, never, type RawSession, TABLES } from './move-stores.ts';
import { PostgresPair, setStandby } from './postgres-move.ts';

/*
 * PostgreSQL writes a commit into its log before it lets readers see it; in between it waits for a synchronous standby, or just for a processor. Here it gets none for as long as a test wants: a write is in the log and on the target, nobody who
 * reads the source sees it, and its caller has no answer yet.
 */

const log = createLogger('test', 'silent');
let servers: PostgresPair;
let stores: MoveStores;
let service: RawSession;
let write: Promise<unknown>;
let isAnswered: boolean;
let stopped: number | null = null;

beforeAll(async () => {
  servers = await PostgresPair.start();
});
afterAll(async () => {
  await servers?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  stores = await servers.fresh();
  await stores.source.sql(`INSERT INTO item (name, amount) SELECT 'n' || i, 0 FROM generate_series(1, 50) i`, 'owner');
  await arm(stores);
  service = await stores.source.session('gateway');
});
afterEach(async () => {
  await show();
  await service.close();
  await stores[Symbol.asyncDispose]();
});

/** Resolves when the server process of this session waits for a standby with its commit. */
async function untilCommitWaits(backend: unknown): Promise<void> {
  const isWaiting = async (): Promise<true | undefined> => {
    const found = await stores.source.sql(`SELECT 1 FROM pg_stat_activity WHERE pid = ${String(backend)} AND wait_event = 'SyncRep'`, 'admin');
    return found.length > 0 ? true : undefined;
  };
  await waitUntil('a commit that waits', { limitMs: 10_000, everyMs: 20 }, isWaiting);
}

const processOf = async (session: RawSession): Promise<unknown> => (await session.query('SELECT pg_backend_pid()'))[0]?.[0];

/** Resolves when the write's commit is in the log and its process is stopped: it waited for a standby that there is not, which made the moment long enough to be met. */
async function writeUnseen(): Promise<void> {
  await setStandby(stores.source, 'nobody');
  // The server takes its time to learn of a setting and lets commits pass meanwhile: the write comes when another one waits.
  const other = await stores.source.session('gateway');
  const otherProcess = await processOf(other);
  let isKnown = false;
  const others = (async () => {
    while (!isKnown) await other.query('UPDATE item SET amount = amount WHERE id = 2');
  })();
  await untilCommitWaits(otherProcess);
  isKnown = true;
  isAnswered = false;
  const backend = await processOf(service);
  write = service.query('UPDATE item SET amount = 777 WHERE id = 1').finally(() => {
    isAnswered = true;
  });
  await untilCommitWaits(backend);
  stopped = Number(backend);
  process.kill(stopped, 'SIGSTOP');
  await setStandby(stores.source, '');
  await others;
  await other.close();
}

async function show(): Promise<void> {
  if (stopped !== null) process.kill(stopped, 'SIGCONT');
  stopped = null;
  await setStandby(stores.source, '');
  await write;
}

const side = (name: Side['name']): Side => ({ name, keyspace: name, kind: 'postgres', owner: stores[name].owner, player: stores[name].player });
const amount = async (store: 'source' | 'target'): Promise<unknown> => (await stores[store].sql('SELECT amount FROM item WHERE id = 1', 'owner'))[0]?.[0];
const untilAmount = (wanted: string): Promise<true> =>
  waitUntil(`${wanted} on the target`, { limitMs: 10_000, everyMs: 20 }, async () => ((await amount('target')) === wanted ? true : undefined));

interface Running extends AsyncDisposable {
  readonly supervisor: StreamSupervisor;
  readonly copied: Set<string>;
}

async function start(copies: boolean): Promise<Running> {
  const copied = new Set<string>();
  const supervisor = new StreamSupervisor({
    stream: FORWARD,
    from: side('source'),
    to: side('target'),
    copies: () => copies,
    share: () => ({ leastCopyShare: 5, mostCopyShare: 100 }),
    onProgress: (table, progress) => void (progress.done && copied.add(table)),
    clock: systemClock,
    log,
  });
  await supervisor.start(never());
  return { supervisor, copied, [Symbol.asyncDispose]: () => supervisor.stop() };
}

const untilCopied = ({ copied }: Running): Promise<true> => waitUntil('the end of the copy', { limitMs: 20_000, everyMs: 20 }, async () => (copied.has('line') ? true : undefined));

test('the copy does not put the row that readers still see in the place of the one that the stream has brought', async () => {
  await writeUnseen();
  await using running = await start(true);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect([isAnswered, await amount('source'), running.copied.has('item')]).toEqual([false, '0', false]);
  await show();
  await untilCopied(running);
  expect([await amount('source'), await amount('target')]).toEqual(['777', '777']);
}, 60_000);

test('nor does one that begins after another player has brought the row and moved the stream on', async () => {
  await stores.source.sql('UPDATE item SET amount = 1 WHERE id = 1', 'owner');
  {
    await using first = await start(true);
    await untilCopied(first);
  }
  await stores.target.sql(`UPDATE switchyard.copy SET last_key = NULL, rows = 0, done = false`, 'owner');
  await writeUnseen();
  {
    await using _second = await start(false);
    await untilAmount('777');
  }
  await using third = await start(true);
  expect([await amount('source'), await amount('target')]).toEqual(['1', '777']);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect([isAnswered, third.copied.has('item'), await amount('target')]).toEqual([false, false, '777']);
  await show();
  await untilCopied(third);
  expect(await amount('target')).toBe('777');
}, 60_000);

test('a verification waits for it, and finds both sides equal', async () => {
  await using running = await start(true);
  await untilCopied(running);
  await writeUnseen();
  await untilAmount('777');
  const move = { name: 'move1', tables: TABLES, source: side('source'), target: side('target') };
  let isVerified = false;
  const verified = verifyMove(
    { move, primary: 'source', stream: running.supervisor, clock: systemClock, repair: false },
    { request: 'v', startedAt: new Date().toISOString(), tables: [], sample: [] },
    async () => {},
    never(),
  ).finally(() => {
    isVerified = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect([isVerified, isAnswered]).toEqual([false, false]);
  await show();
  expect(await verified).toMatchObject({ differences: 0 });
}, 60_000);
