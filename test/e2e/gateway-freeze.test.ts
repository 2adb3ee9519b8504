import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { hasReason } from '../../core/switchyard-error.ts';
import { movedTables, rpcDoor, startMove, verifyMove } from '../bench/cutover/bench-move.ts';
import { judge } from '../bench/cutover/judge.ts';
import { Load } from '../bench/cutover/load.ts';
import type { LoadRecord } from '../bench/cutover/load-record.ts';
import { readStoreFacts } from '../bench/cutover/store-facts.ts';
import type { Direction } from '../bench/cutover/summary.ts';
import { type Cluster, startCluster } from '../support/cluster/cluster.ts';
import { readSettledState } from '../support/moves/move-state.ts';
import { untilRowSetsAreEqual } from '../support/moves/row-sets.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/*
 * A gateway that is frozen across a whole cutover knows nothing of it when it wakes, and finds 15 s of requests in its sockets: no read of it may be stale, no write of it may be lost.
 */

const frozenMs = 15_000;
/** The cutover has to be over while the gateway is frozen. */
const orderLimitMs = 10_000;
const frozenGateway = 1;

let cluster: Cluster;

beforeAll(async () => {
  // Its sockets' content is worked off, not refused: by default, what waits long for a connection is told to try again.
  cluster = await startCluster({ gateways: 2, gatewaySettings: { pool: { acquireTimeoutMs: 20_000 } } });
  await startMove(cluster);
  await verifyMove(cluster);
}, 120_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** How many calls through the gateway were sent before and answered after the instant. */
function answeredAfter({ writes, reads }: LoadRecord, gateway: number, atMs: number): number {
  let count = 0;
  for (const calls of [writes, reads])
    for (let i = 0; i < calls.length; i += 1) if (calls.gateway[i] === gateway && (calls.issuedMs[i] ?? 0) < atMs && (calls.endedMs[i] ?? 0) > atMs) count += 1;
  return count;
}

/**
 * Orders the cutover. A gateway that was frozen in the middle of a transaction holds its rows until the store ends the transaction, some 5 s later: until then an order is refused, and is given again as a person would.
 */
async function order(direction: Direction, giveUpMs: number): Promise<void> {
  for (;;) {
    try {
      return await rpcDoor(cluster)(direction);
    } catch (error) {
      if (!hasReason(error, 'LOCK_TIMEOUT', 'LAG_TOO_HIGH') || performance.now() > giveUpMs) throw error;
      await sleep(250);
    }
  }
}

/** Waits until the gateway has answered what lay in its sockets. Progress is told once a second, so the first word may be from before it woke. */
async function untilWorkedOff(load: Load): Promise<void> {
  await sleep(2_000);
  const explain = (): string => JSON.stringify(load.progress);
  await waitUntil('the end of the backlog', { limitMs: 30_000, everyMs: 250, explain }, async () => (load.progress.pending < 20 ? true : undefined));
}

test('a gateway frozen for 15 s across a switch, and across the reverse, wakes and does no harm', async () => {
  const gateways = cluster.gateways.map(({ address }) => address);
  await using load = await Load.connect({
    gateways,
    readOnlyGateways: [],
    writesPerSecond: 40,
    readsPerSecond: 120,
    scale: 1,
    hotAccounts: 200,
    deadlineMs: 40_000,
    seed: Date.now(),
  });
  load.run();
  await sleep(1_000);
  const frozen = cluster.gateways[frozenGateway]?.process;
  const wokenAt: number[] = [];
  for (const direction of ['switch', 'reverse'] as const) {
    const froze = performance.now();
    await frozen?.pause();
    await sleep(1_000);
    await order(direction, froze + orderLimitMs);
    expect(performance.now() - froze).toBeLessThan(frozenMs);
    await sleep(frozenMs - (performance.now() - froze));
    wokenAt.push(performance.timeOrigin + performance.now());
    frozen?.resume();
    await untilWorkedOff(load);
  }
  const record = await load.finish();

  // It did have something to get wrong: both times hundreds of calls lay in its sockets.
  for (const atMs of wokenAt) expect(answeredAfter(record, frozenGateway, atMs)).toBeGreaterThan(300);
  expect(await readSettledState(cluster, movedTables)).toEqual({ kind: 'settled', primary: 'old' });
  await untilRowSetsAreEqual(cluster, movedTables);
  const [primary, copy] = await Promise.all([readStoreFacts(cluster.stores.old), readStoreFacts(cluster.stores.new)]);
  const violations = judge(record, { primary, copy, scale: 1 });
  expect(violations.slice(0, 10).map(({ kind, what }) => `${kind}: ${what}`)).toEqual([]);
}, 240_000);
