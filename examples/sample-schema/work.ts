import { parseArgs } from 'node:util';
import { PgBoss } from 'pg-boss';

/*
 * pg-boss at work in a store: takes a job from each kind of partition and completes it, lets one fail into the dead letter queue, and counts its queues. With --queues it also makes and drops a
 * queue with a partition of its own, which is not for the time of a move. Throws where something is not as it should be.
 * Usage: node examples/sample-schema/work.ts [--queues] postgres://…
 */
const { values, positionals } = parseArgs({ options: { queues: { type: 'boolean', default: false } }, allowPositionals: true });
const [connectionString = ''] = positionals;
const boss = new PgBoss({ connectionString, schema: 'public', createSchema: false, migrate: false, supervise: false, schedule: false, persistQueueStats: true });
boss.on('error', (error) => {
  throw error;
});
await boss.start();

function expect(what: string, is: unknown, due: unknown): void {
  if (is !== due) throw new Error(`${what}: ${is}, not ${due}`);
}

for (const queue of ['mail/out', 'orders', 'ledger']) {
  const [job] = await boss.fetch(queue);
  if (job === undefined) throw new Error(`no job in ${queue}`);
  await boss.complete(queue, job.id, { by: 'work.ts' });
  const [done] = await boss.findJobs(queue, { id: job.id });
  expect(`job of ${queue}`, done?.state, 'completed');
  console.log(`${queue}: fetched and completed a job`);
}

const countDead = async (): Promise<number> => (await boss.findJobs('mail/dead', { limit: 10_000 })).length;
const before = await countDead();
const [failing] = await boss.fetch('mail/out');
if (failing === undefined) throw new Error('no job in mail/out');
await boss.fail('mail/out', failing.id, { message: 'no such mailbox' });
expect('dead letters', await countDead(), before + 1);
console.log('mail/out: a job failed into mail/dead');

await boss.supervise();
console.log('queues counted');

if (values.queues) {
  await boss.createQueue('after', { partition: true, policy: 'exclusive' });
  await boss.send('after', { first: true }, { singletonKey: 'one' });
  expect('second job of one key', await boss.send('after', { second: true }, { singletonKey: 'one' }), null);
  const [first] = await boss.fetch<{ readonly first: boolean }>('after');
  expect('first job', first?.data.first, true);
  await boss.deleteQueue('after');
  console.log('after: a queue with a partition of its own was made, used and dropped');
}
await boss.stop();
