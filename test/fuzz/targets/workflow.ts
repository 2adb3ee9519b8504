import { create, type DescMethod, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { nextAction, type Serving } from '../../../control/workflow/machine.ts';
import { WorkflowService } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { ConsulKeys } from '../../../topo/consul-keys.ts';
import { cluster, ControlApi } from '../inputs/control-api.ts';
import { type Json, strayJson } from '../inputs/random-json.ts';
import type { Random } from '../random.ts';
import { type FuzzTarget, must } from '../target.ts';
import { workflowStates } from '../../../core/workflow-document.ts';

const never = new AbortController().signal;
const name = 'stored';
const key = new ConsulKeys(cluster).named(new ConsulKeys(cluster).workflows, name);
const { method } = WorkflowService;
/** Everything that is asked about a workflow and only looks. */
const questions: readonly (readonly [DescMethod, object])[] = [
  [method.getWorkflow, {}],
  [method.watchWorkflow, {}],
  [method.switchTraffic, { validateOnly: true }],
  [method.reverseTraffic, { validateOnly: true }],
  [method.completeWorkflow, { validateOnly: true }],
  [method.cancelWorkflow, { validateOnly: true }],
  [method.repairWorkflow, {}],
];

const numbers = [0, 1, 3.5, 1_000, 2 ** 31, 2 ** 53 - 1, 1e300, -1];
const times = ['2026-01-01T00:00:00.000Z', 'now', '', '+275760-09-13T00:00:00.000Z', '-271821-04-20T00:00:00.000Z', '0000-01-01T00:00:00Z'];

function sample(random: Random): Json {
  const number = (good: number): number => (random.chance(97) ? good : random.pick(numbers));
  const time = (): string => (random.chance(90) ? '2026-01-01T00:00:00.000Z' : random.pick(times));
  const cutover: Json = {
    attempt: number(1),
    to: random.pick(['source', 'target']),
    outcome: random.pick(['running', 'switched', 'aborted', 'repaired']),
    reason: random.pick(['LAG_TOO_LARGE', 'constructor', '']),
    message: 'm',
    startedAt: time(),
    attempts: number(1),
    holdMs: number(3.5),
    traceId: 't',
    steps: [{ name: 'fence', startMs: number(0), durationMs: number(1), detail: 'd' }],
  };
  const difference: Json = { table: 'item', key: '1', what: 'name', sourceValue: 'a', targetValue: '\ud800' };
  return {
    nonce: 'n',
    name,
    source: 'old',
    target: 'new',
    tables: ['item', 'line'],
    limits: { holdBudgetMs: 250, attempts: 5, lagMs: 20, verificationAgeS: number(60), transactionAgeMs: number(1000) },
    state: random.pick(workflowStates),
    message: '',
    createdAt: time(),
    journal: [{ step: 'claim', at: time() }],
    createdTables: ['item'],
    progress: [{ table: 'item', rowsCopied: number(1), rowsTotal: number(2), bytesCopied: 3, done: false }],
    lagMs: number(1.5),
    verification: { finishedAt: time(), durationMs: number(5), rowsCompared: number(2), differences: number(0), sample: [difference], error: 'e' },
    cutovers: [cutover],
    ...(random.chance(50) ? {} : { request: { kind: random.pick(['verify', 'complete', 'cancel']), id: 'r', at: time(), keepData: false } }),
    runner: { id: 'control-1', session: 's' },
  };
}

/** A workflow's document as Consul holds it, whoever wrote it there: what can be read can be shown and asked about, what cannot is said by key and field, and takes no other workflow away. */
export const target: FuzzTarget = {
  name: 'workflow',
  words: ['"state"', '"cutovers"', '"journal"', '"progress"', '"request"', '"limits"', '"attempts"', '2147483648', '1e300', '9007199254740993', '__proto__', 'toString', ...times],
  changedPercent: 20,
  generate: (random) => Buffer.from(strayJson(random, sample(random), random.pick([0, 0, 0, 1]))),
  open: async () => {
    const api = await ControlApi.open();
    const ask = ([asked, more]: (typeof questions)[number]): Promise<string> =>
      api.answer(asked, toBinary(asked.input, create(asked.input, { name, ...more } as MessageInitShape<typeof asked.input>)));
    const good = (await api.topology.workflows(never)).map(({ value }) => value.name);
    return {
      run: async (input) => {
        await api.consul.write([{ verb: 'set', key, value: input }]);
        const listed = await api.topology.workflows(never);
        const document = listed.find(({ value }) => value.name === name)?.value;
        const others = listed.map(({ value }) => value.name).filter((each) => each !== name);
        must(others.length === good.length, `of ${good.join()} only ${others.join()} are listed`);
        must((await api.answer(method.listWorkflows, new Uint8Array())) === 'value', 'the list is refused');
        const outcomes: string[] = [];
        if (document === undefined) {
          const why = await api.topology.workflow(name, never).then(
            () => 'nothing',
            (error: unknown) => (error instanceof Error ? error.message : String(error)),
          );
          must(why.startsWith(`${key}: `) && why.length > key.length + 5, `an unreadable document is said to be: ${why}`);
          must((await ask([method.getWorkflow, {}])) === 'TOPOLOGY_INVALID', 'an unreadable document is shown');
          api.restore();
          return 'unreadable';
        }
        for (const serving of ['source', 'target', 'between', 'unclaimed', 'source-given-back', 'target-given-back', 'unknown'] satisfies readonly Serving[])
          must(nextAction({ document, serving, want: 'target', copied: true }).kind !== undefined, 'no next step');
        for (const question of questions) outcomes.push(await ask(question));
        api.restore();
        return `${document.state}: ${[...new Set(outcomes)].toSorted().join(', ')}`;
      },
      check: async () => api.file.checkUntouched(),
      [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
    };
  },
};
