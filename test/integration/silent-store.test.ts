import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { postgresBackend } from '../../backends/postgres/backend.ts';
import { runCutover } from '../../control/cutover/cutover.ts';
import { CutoverStage } from '../support/cutover/move-harness.ts';

const never = new AbortController().signal;
let stage: CutoverStage;

beforeAll(async () => {
  stage = await CutoverStage.open(postgresBackend);
}, 120_000);
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

test.each(['precheck', 'reverse-stream'])(
  'a cutover ends although its target is silent from %s on',
  async (step) => {
    await using staged = await stage.arm({ attempts: 1 });
    using _thawed = { [Symbol.dispose]: () => stage.proxies.target.thaw() };
    await using session = await stage.topology.openSession('test', never);
    const onStep = async (_workflow: string, _to: string, done: string): Promise<void> => {
      if (done === step) stage.proxies.target.freeze();
    };
    const record = await runCutover({ armed: await staged.armed(), to: 'target', streams: staged.streams, session, deps: { ...stage.deps, onStep }, signal: never });
    expect(record).toMatchObject({ outcome: 'aborted', reason: 'STORE_UNAVAILABLE', holdMs: 0 });
    expect(record.message).toContain('"new" did not answer within');
    expect(await staged.takesWrites('source')).toBe(true);
  },
  90_000,
);
