import { PgBoss } from 'pg-boss';

/*
 * Installs pg-boss in the schema "public" of the store that is given and fills all its tables through its own calls: queues of every policy, two of them with a partition of their own, jobs in every state, awkward values.
 * Usage: node examples/sample-schema/fill.ts postgres://…
 */
const [connectionString = ''] = process.argv.slice(2);
const boss = new PgBoss({
  connectionString,
  schema: 'public',
  // The schema is there already.
  createSchema: false,
  // What it would do by itself while the tables move is done here once instead, by supervise.
  supervise: false,
  schedule: false,
  persistQueueStats: true,
  persistWarnings: true,
  registerInstance: true,
});
boss.on('error', (error) => {
  throw error;
});
await boss.start();

await boss.createQueue('mail/dead');
await boss.createQueue('mail/out', { deadLetter: 'mail/dead', retryLimit: 0, warningQueueSize: 100 });
await boss.createQueue('orders', { partition: true, deadLetter: 'mail/dead', retryLimit: 3, retryBackoff: true, retryDelayMax: 600 });
await boss.createQueue('ledger', { partition: true, policy: 'key_strict_fifo' });
for (const policy of ['short', 'singleton', 'stately', 'exclusive']) await boss.createQueue(`policy.${policy}`, { policy });

/** Values that are easily spoilt on the way: a text of all scripts, the ends of numbers, JSON's null beside SQL's. */
const awkward = [
  null,
  {},
  { text: 'Größe 圖像 🛤️ עברית \u202e\u0001\t\n "quoted" \\back\\slash 𝔘', '': 'no name', 'a.b': ["'", '$1', '%s', '\\N', '\u00a0'] },
  { largest: Number.MAX_VALUE, smallest: Number.MIN_VALUE, safe: Number.MAX_SAFE_INTEGER, zero: -0, third: 1 / 3 },
  { nothing: null, list: [null, [], [[]], {}, { deep: { deeper: { deepest: [true, false, null] } } }], empty: '' },
  { long: 'x'.repeat(20_000), wide: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, i])) },
];
const dataOf = (i: number) => awkward[i % awkward.length] ?? { i };
const day = 86_400_000;

const many = <T>(count: number, of: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => of(i));
await boss.insert(
  'mail/out',
  many(2_400, (i) => ({
    data: i % 8 === 0 ? { ...dataOf(i), to: `user${i}@example.org` } : { to: `user${i}@example.org`, subject: `№ ${i}` },
    priority: (i % 7) - 3,
    ...(i % 5 === 0 ? { startAfter: new Date(Date.now() + (i % 900) * day) } : {}),
    ...(i % 9 === 0 ? { singletonKey: `user ${i} 🎫` } : {}),
    ...(i % 11 === 0 ? { group: { id: `group ${i % 4}`, tier: i % 2 === 0 ? 'gold' : 'silver' } } : {}),
  })),
);
await boss.insert(
  'orders',
  many(1_200, (i) => ({ data: { order: i, total: (i * 1.1).toFixed(2), lines: many(i % 4, (line) => ({ line, text: dataOf(2) })) }, expireInSeconds: 60 + i })),
);
await boss.insert(
  'ledger',
  many(300, (i) => ({ data: { i }, singletonKey: `account ${i % 30}` })),
);
for (const policy of ['short', 'singleton', 'stately', 'exclusive'])
  for (const data of awkward) await boss.send(`policy.${policy}`, data, { singletonKey: `key ${awkward.indexOf(data)}` });
for (const [i, data] of awkward.entries()) {
  await boss.send('mail/out', data, { priority: i, startAfter: '2030-02-28T23:59:59.999Z', heartbeatSeconds: 60 });
  await boss.sendThrottled('orders', data, null, 60, `minute ${i}`);
}

// A chain of jobs that wait for each other.
await boss.flow([
  { ref: 'pack', name: 'orders', data: { step: 'pack' } },
  { ref: 'bill', name: 'ledger', data: { step: 'bill' }, options: { singletonKey: 'flow' } },
  { ref: 'ship', name: 'orders', data: { step: 'ship' }, dependsOn: ['pack', 'bill'] },
  { ref: 'tell', name: 'mail/out', data: { step: 'tell' }, dependsOn: ['ship'] },
]);

// Every state: completed, failed (and a like of it in the dead letter queue), to be tried again, cancelled, active.
const taken = await boss.fetch('mail/out', { batchSize: 400 });
const ids = taken.map(({ id }) => id);
await boss.complete('mail/out', ids.slice(0, 250), { sent: true, note: 'für immer ✅' });
await boss.fail('mail/out', ids.slice(250, 350), { message: 'mailbox "full" \\ 满', code: 550 });
await boss.cancel('mail/out', ids.slice(350, 380));
const orders = (await boss.fetch('orders', { batchSize: 200 })).map(({ id }) => id);
await boss.complete('orders', orders.slice(0, 100));
await boss.fail('orders', orders.slice(100, 150), { retry: 'later' });
for (let i = 0; i < 3; i++) {
  const [next] = await boss.fetch('ledger');
  if (next !== undefined) await boss.complete('ledger', next.id, { booked: i });
}
await boss.fetch('ledger');

await boss.schedule('mail/out', '*/5 * * * *', { every: 'five minutes' }, { tz: 'Europe/Vienna', key: 'digest' });
await boss.schedule('mail/out', 'FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17', null, { key: 'month' });
await boss.schedule('orders', '0 3 * * *');
await boss.subscribe('order paid', 'mail/out');
await boss.subscribe('order paid', 'ledger');
await boss.publish('order paid', { order: 7 }, { singletonKey: 'paid 7' });

// Counts the queues, writes statistics and warnings.
await boss.supervise();
for (const queue of await boss.getQueues())
  console.log(`${queue.name.padEnd(17)}${String(queue.totalCount).padStart(5)} jobs${queue.partition === true ? ', in a partition of its own' : ''}`);
await boss.stop();
