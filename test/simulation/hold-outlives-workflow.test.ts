import { expect, test } from '@jest/globals';
import type { FenceRow, FenceState } from '../../core/fence.ts';
import { attempt } from '../../core/ids.ts';
import type { TableRef } from '../../core/routing-table.ts';
import { WriteBuffer } from '../../gateway/flow/buffer.ts';
import { Holds } from '../../gateway/flow/hold.ts';
import { FenceView } from '../../gateway/rules/fence-view.ts';
import { SimProcess } from './kernel/process.ts';
import { Random } from './kernel/random.ts';
import { Scheduler } from './kernel/scheduler.ts';
import { Journal } from './world/journal.ts';

const row = (state: FenceState, number: number, peer: string): FenceRow => ({ table: 'item', state, attempt: attempt(number), peer, workflow: 'move' });

test('a hold ends with the rows also when its workflow has ended meanwhile and the rules no longer name it', async () => {
  const scheduler = new Scheduler();
  const { clock } = new SimProcess('gateway', scheduler, new Random('hold'));
  const log = new Journal(scheduler).logger('gateway', false);
  const rows = new Map<string, FenceRow | null>([
    ['new', row('OPEN', 1, 'old')],
    ['old', row('CLOSED', 0, 'new')],
  ]);
  const read = async (keyspace: string): Promise<readonly FenceRow[]> => {
    const found = rows.get(keyspace);
    if (found === null || found === undefined) throw new Error('the store does not answer');
    return [found];
  };
  const fenceView = new FenceView({ read, clock, log });
  const buffer = new WriteBuffer({ clock, maxEntries: 10, maxBytes: 1_000, windowMs: 10_000, drainConcurrency: 4 });
  const ref: TableRef = { key: 'item', table: 'item', keyspace: 'new', rule: null, group: 'move', places: ['new.item', 'old.item'] };
  let named: readonly TableRef[] = [ref];
  const holds = new Holds({ clock, log, fenceView, buffer, tablesOf: () => named, onBegin: () => {}, onEnd: () => {} });
  const wait = (ms: number): Promise<void> => {
    const until = scheduler.now + ms;
    scheduler.schedule(ms, null, () => {});
    return scheduler.run(() => scheduler.now >= until);
  };
  void fenceView.look(fenceView.subjectOf([ref]), 'all', 100, new AbortController().signal);
  await wait(10);

  // The rules hold the table; the switch is made while this gateway cannot ask the new primary's store.
  holds.beginHolds(new Map([['move', { holdMs: 500, attempt: 2 }]]));
  rows.set('new', row('CLOSED', 2, 'old'));
  rows.set('old', null);
  let isAdmitted = false;
  void buffer.admit({ group: 'move', keys: ['item 1'], deadline: clock.monotonic() + 9_000, bytes: 10, signal: new AbortController().signal }, 0).then(() => {
    isAdmitted = true;
  });
  holds.watch('move');
  await wait(20);
  holds.endOthers(new Map());
  await wait(20);
  expect([holds.isHeld('move'), isAdmitted]).toEqual([true, false]);

  // The workflow ends, and after it the store answers again.
  named = [];
  await wait(20);
  rows.set('old', row('OPEN', 2, 'new'));
  await wait(100);
  expect([holds.isHeld('move'), isAdmitted]).toEqual([false, true]);
});
