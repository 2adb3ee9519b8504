import { create } from '@bufbuild/protobuf';
import { expect, test } from '@jest/globals';
import { GatewaySchema } from '../../gen/switchyard/control/v1/gateways_pb.ts';
import { KeyspaceFindingSchema } from '../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { WorkflowSchema, WorkflowState } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { type Finding, gatewayFindings, keyspaceFindings, workflowFindings } from './doctor.ts';

const faults = (findings: readonly Finding[]): readonly string[] => findings.filter(({ fix }) => fix !== null).map(({ what, fix }) => `${what} | ${fix}`);

test('gateways: none, silent, late, one that refuses a rule', () => {
  expect(faults(gatewayFindings([], 3n))).toEqual([expect.stringMatching(/no gateway.*\| start one/)]);
  const gateway = (fields: object) => create(GatewaySchema, { id: 'g', appliedVersion: 3n, ...fields });
  expect(faults(gatewayFindings([gateway({})], 3n))).toEqual([]);
  expect(faults(gatewayFindings([gateway({ silent: true })], 3n))).toEqual([expect.stringMatching(/g is silent.*gateways remove g/)]);
  expect(faults(gatewayFindings([gateway({ appliedVersion: 2n })], 3n))).toEqual([expect.stringMatching(/applies version 2 of the rules, in force is 3/)]);
  const problem = { version: 3n, table: 't', reason: 'RULE_FENCED', message: 'the store says new' };
  expect(faults(gatewayFindings([gateway({ appliedVersion: 2n, problems: [problem] })], 3n))).toEqual([
    expect.stringMatching(/refuses the rule of t: RULE_FENCED.*\| the store knows better/),
  ]);
});

test('keyspaces: what their stores answered', () => {
  expect(faults(keyspaceFindings('old', []))).toEqual([]);
  expect(faults(keyspaceFindings('new', [create(KeyspaceFindingSchema, { message: 'wal_level is replica', fix: 'ALTER SYSTEM' })]))).toEqual([
    'keyspace new: wal_level is replica | ALTER SYSTEM',
  ]);
});

test('gateways: one that a store does not let in, beside whatever else is wrong with it', () => {
  const storeProblems = [{ keyspace: 'new', reason: 'STORE_LOGIN_REFUSED', message: 'wrong password' }];
  const gateway = (appliedVersion: bigint) => create(GatewaySchema, { id: 'g', appliedVersion, storeProblems });
  const refused = expect.stringMatching(/^gateway g cannot use keyspace new: STORE_LOGIN_REFUSED: wrong password \| calls that need/);
  expect(faults(gatewayFindings([gateway(3n)], 3n))).toEqual([refused]);
  expect(faults(gatewayFindings([gateway(2n)], 3n))).toEqual([refused, expect.stringMatching(/applies version 2/)]);
});

test('workflows: failed, without a runner, far behind, different; those that are over are no matter', () => {
  const workflow = (fields: object) => create(WorkflowSchema, { name: 'w', state: WorkflowState.RUNNING, runner: 'control-1', lagMs: 4, ...fields });
  expect(faults(workflowFindings([workflow({}), workflow({ state: WorkflowState.COMPLETED, runner: '' }), workflow({ state: WorkflowState.CANCELLED })]))).toEqual([]);
  expect(faults(workflowFindings([workflow({ state: WorkflowState.FAILED, message: 'a column went' })]))).toEqual([expect.stringMatching(/has failed: a column went/)]);
  expect(faults(workflowFindings([workflow({ message: 'waits for a store that does not answer' })]))).toEqual([
    expect.stringMatching(/is running: waits for a store.*movetables repair w/),
  ]);
  expect(faults(workflowFindings([workflow({ state: WorkflowState.COPYING, message: 'building indexes of "t"' })]))).toEqual([]);
  expect(faults(workflowFindings([workflow({ verification: { error: 'cut off' } })]))).toEqual([expect.stringMatching(/verification failed: cut off/)]);
  expect(faults(workflowFindings([workflow({ runner: '' })]))).toEqual([expect.stringMatching(/no control process runs/)]);
  expect(faults(workflowFindings([workflow({ lagMs: 60_000 })]))).toEqual([expect.stringMatching(/is 60\.0 s behind/)]);
  expect(faults(workflowFindings([workflow({ verification: { differences: 2n } })]))).toEqual([expect.stringMatching(/found 2 differences/)]);
});
