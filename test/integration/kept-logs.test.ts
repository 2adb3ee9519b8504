import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from '@jest/globals';
import { KeyspaceService } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { type Workflow, WorkflowService, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { untilServing } from '../support/cluster/cluster.ts';
import { KeyspaceCluster } from '../support/cluster/keyspace-cluster.ts';
import { waitUntil } from '../support/servers/wait-until.ts';

/* A move whose other store is away while its log grows, over two SQLite files, Consul and a control process that is started anew: it looks at the logs when it starts. */

test('a log that grows while the target is away is an alarm; when it is dropped the workflow fails, says why, and can be cancelled', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'switchyard-kept-logs-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const pathOf = (keyspace: string): string => join(folder, `${keyspace}.db`);
  const old = stack.use(new DatabaseSync(pathOf('old'), { timeout: 10_000 }));
  old.exec('PRAGMA journal_mode = WAL; CREATE TABLE item (id INTEGER PRIMARY KEY, body TEXT)');
  let rows = 0;
  const grow = (mebibytes: number): void => {
    for (let row = 0; row < mebibytes; row += 1) old.exec(`INSERT INTO item VALUES (${++rows}, printf('%.*c', 1048576, 'x'))`);
  };
  const one = (text: string): unknown => Object.values(old.prepare(text).get() ?? {})[0];
  const moveTarget = async (from: string, to: string): Promise<void> => {
    for (const file of ['', '-wal', '-shm']) await rename(`${pathOf(from)}${file}`, `${pathOf(to)}${file}`).catch(() => undefined); // closed by the last process: then they are gone
  };
  const keyspaces = ['old', 'new'].map((name) => ({ name, shards: [{ kind: 'sqlite', path: pathOf(name) }] }));
  const cluster = stack.use(await KeyspaceCluster.start({ gateways: 0, controls: 1, keyspaces, controlSettings: { logs: { alarmMiB: 64, dropMiB: 128 } } }));
  const [control] = cluster.controls;
  if (control === undefined) throw new Error('there is no control');
  const workflows = cluster.control(WorkflowService, 30_000);
  const until = (what: string, is: (workflow: Workflow) => boolean): Promise<Workflow> => {
    let last: Workflow | undefined;
    return waitUntil(what, { limitMs: 60_000, everyMs: 100, explain: () => `${last?.state} ${last?.message}` }, async () => {
      last = (await workflows.getWorkflow({ name: 'docs' })).workflow;
      return last !== undefined && is(last) ? last : undefined;
    });
  };
  await workflows.createWorkflow({ workflow: { name: 'docs', source: 'old', target: 'new', tables: ['item'] } });
  await until('the workflow running', ({ state }) => state === WorkflowState.RUNNING);

  await control.terminate();
  await moveTarget('new', 'away');
  grow(80);
  await control.start();
  await untilServing(control, () => workflows.getWorkflow({ name: 'docs' }));
  const alarmed = await until('the alarm', ({ message }) => message.includes('log "docs.forward"'));
  expect(alarmed.message).toMatch(
    /log "docs\.forward" of stream "docs\.forward" keeps (7|8)\d MiB of the store's history: when it keeps 128 MiB it is dropped, before the disk is full/,
  );
  expect((await cluster.control(KeyspaceService).checkKeyspace({ name: 'old' })).findings).toEqual([
    expect.objectContaining({
      message: expect.stringMatching(/^log "docs\.forward" of stream/),
      fix: expect.stringMatching(/^switchyard movetables status docs says .*: DELETE FROM switchyard_log WHERE stream = 'docs\.forward'$/),
    }),
  ]);
  expect(one('SELECT count(*) FROM switchyard_log')).toBe(1);

  await control.terminate();
  grow(60);
  await control.start();
  await untilServing(control, () => workflows.getWorkflow({ name: 'docs' }));
  await waitUntil('the log dropped', { limitMs: 60_000 }, async () => (one('SELECT count(*) FROM switchyard_log') === 0 ? true : undefined));
  old.exec("INSERT INTO item VALUES (0, 'in no log')");
  await moveTarget('away', 'new');
  const failed = await until('the workflow failed', ({ state }) => state === WorkflowState.FAILED);
  expect(failed.message).toMatch(
    /^STREAM_FAILED: the source no longer keeps the log from \d+ on: it keeps none for stream "docs\.forward" \(control drops a log that keeps more than logs\.dropMiB.*cancel it and create it anew/,
  );
  await workflows.cancelWorkflow({ name: 'docs' });
  expect(one('SELECT count(*) FROM switchyard_change')).toBe(0);
  expect(one('SELECT count(*) FROM item')).toBe(rows + 1);
}, 240_000);
