import type { WriteOperation } from '../../../core/operation.ts';
import type { Network } from '../kernel/network.ts';
import { SimProcess } from '../kernel/process.ts';
import type { Random } from '../kernel/random.ts';
import type { Timeline } from '../kernel/scheduler.ts';
import { readRows, writeRow } from '../store/rows.ts';
import type { StoreServer } from '../store/server.ts';
import { StoreLink } from '../store/store-link.ts';
import type { Isolation } from '../store/transaction.ts';
import { hasReason } from '../../../core/switchyard-error.ts';
import type { RowOperation } from '../../checker/history.ts';
import { registers } from './tables.ts';

/** Somebody with the gateway's login and a console: a transaction that reads, stays open, writes, stays open once more, and commits. What it writes is as good as any other write. */
export async function longTransaction(parts: {
  readonly server: StoreServer;
  readonly isolation: Isolation;
  readonly forMs: number;
  readonly network: Network;
  readonly scheduler: Timeline;
  readonly random: Random;
  readonly value: number;
  readonly onOperation: (operation: RowOperation) => void;
}): Promise<void> {
  const { server, isolation, forMs, network, scheduler, random, value, onOperation } = parts;
  const process = new SimProcess('console', scheduler, random);
  const link = new StoreLink(process, server, network, scheduler);
  const connection = link.connect();
  const id = random.pick(registers);
  const operation: WriteOperation = { kind: 'upsert', table: 'item', row: { columns: ['id', 'value'], cells: [id, BigInt(value)] }, precondition: null, returning: [] };
  const never = new AbortController().signal;
  const invoked = scheduler.now;
  const tell = (outcome: RowOperation['outcome']): void => onOperation({ process: 'console', invoked, responded: scheduler.now, outcome, key: `item ${id}`, kind: 'write', value });
  try {
    await link.request(connection, 'nothing', never, (session) =>
      session.begin('gateway', isolation, async (transaction) => {
        await readRows(server, transaction, 'item');
      }),
    );
    await process.clock.sleep(forMs / 2);
    await link.request(connection, 'nothing', never, (session) =>
      session.continue(async (transaction) => {
        await writeRow(server, transaction, operation);
      }),
    );
    await process.clock.sleep(forMs / 2);
    await link.request(connection, 'commits', never, (session) => session.commit(async () => {}));
    tell('ok');
  } catch (error) {
    tell(hasReason(error, 'OUTCOME_UNKNOWN') ? 'unknown' : 'failed');
  } finally {
    connection.drop();
  }
}
