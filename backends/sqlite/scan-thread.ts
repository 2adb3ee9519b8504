import { parentPort, workerData } from 'node:worker_threads';
import { faultOf } from './errors.ts';
import { OpenFile } from './open-file.ts';
import { packRows } from './scan-rows.ts';
import type { ScanAnswer, ScanQuestion, ScanThreadData } from './scan-workers.ts';

/* A thread with a connection of its own, for statements that look at many rows. It answers one question after the other, each in one snapshot. */

const { path, stopped } = workerData as ScanThreadData;
let current = 0;
const file = new OpenFile({ path, goOn: () => Atomics.load(stopped, 0) !== current });

function answer({ id, tables, statements, maxBytes = Number.POSITIVE_INFINITY }: ScanQuestion): ScanAnswer {
  current = id;
  try {
    const { connection, fence } = file.get();
    const { rows, cut } = connection.transaction('DEFERRED', () => {
      fence.check(tables);
      return connection.within(maxBytes, statements);
    });
    return { id, packed: packRows(rows), cut };
  } catch (error) {
    return { id, fault: faultOf(error) };
  }
}

parentPort?.on('message', (question: ScanQuestion) => {
  const given = answer(question);
  parentPort?.postMessage(given, 'packed' in given ? [given.packed.bytes.buffer] : []);
});
