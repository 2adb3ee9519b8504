import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { watchExternalRules } from '../../control/external-rules.ts';
import { ControlMetrics } from '../../control/metrics.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { openConsulTopology } from '../../topo/consul-topology.ts';
import { startConsul } from '../support/servers/consul.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

const note = { by: 'test', reason: 'because' };
const never = new AbortController().signal;

test('rules that somebody deleted come back from their history, without hands', async () => {
  await using consul = await startConsul();
  await using topology = openConsulTopology({ address: consul.address, cluster: 'test', clock: systemClock, newNonce: randomUUID });
  const first = await topology.initialRules(note, 'old', never);
  const tables = { orders: { primary: 'old', attempt: 7, writes: 'open' as const, names: [] } };
  await topology.updateRules(note, ({ defaultKeyspace, keyspaces }) => ({ defaultKeyspace, keyspaces, tables }), never);

  const ending = new AbortController();
  const deps = { topology, clock: systemClock, log: pino({ level: 'silent' }), newId: randomUUID, controlId: 'test' };
  const watching = watchExternalRules(deps, new ControlMetrics(createMetrics()), ending.signal);
  for (const version of [first.version + 2, first.version + 3]) {
    await consul.kv('delete', 'switchyard/test/rules');
    const restored = await waitUntil('the rules coming back', { limitMs: 10_000, everyMs: 50 }, async () => {
      const rules = await topology.readRules(never);
      return rules.kind === 'valid' ? rules.document : undefined;
    });
    expect(restored).toMatchObject({ version, tables, changedBy: 'control test' });
  }
  ending.abort();
  await watching;
});
