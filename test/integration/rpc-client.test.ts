import { constants, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, credentials, Server, type ServiceError } from '@grpc/grpc-js';
import { createRpcClient } from '../../client/rpc-client.ts';
import { fromServiceError } from '../../client/rpc-error.ts';
import { rpcMethodDefinition } from '../../core/rpc-definition.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { WorkflowService } from '../../gen/switchyard/control/v1/workflows_pb.ts';
import { systemClock } from '../../runtime/clock.ts';
import { addService, listenGrpc, type RpcImplementation } from '../../runtime/grpc-server.ts';

const unserved = async (): Promise<never> => {
  throw new SwitchyardError('INTERNAL', 'not part of this test');
};

/** Knows one workflow, "known"; any other name fails, "silent" never answers. */
const workflows: RpcImplementation<typeof WorkflowService> = {
  async getWorkflow({ name }, { signal }) {
    if (name === 'known') return { workflow: { name, lagMs: 1.5 } };
    if (name === 'silent') await systemClock.sleep(60_000, signal);
    throw new SwitchyardError('WORKFLOW_UNKNOWN', `no workflow "${name}"`, { metadata: { workflow: name }, retryAfterMs: 250 });
  },
  async *watchWorkflow({ name }, { signal }) {
    for (let lagMs = 0; ; lagMs += 1) {
      if (name === 'failing' && lagMs === 2) throw new SwitchyardError('WORKFLOW_FAILED', 'it failed');
      yield { workflow: { name, lagMs } };
      await systemClock.sleep(5, signal);
    }
  },
  createWorkflow: unserved,
  listWorkflows: unserved,
  verifyWorkflow: unserved,
  switchTraffic: unserved,
  reverseTraffic: unserved,
  completeWorkflow: unserved,
  cancelWorkflow: unserved,
  repairWorkflow: unserved,
  updateLimits: unserved,
};

describe('the RPC client', () => {
  const server = new Server();
  let address = '';
  beforeAll(async () => {
    addService(server, WorkflowService, workflows, { clock: systemClock, defaultDeadlineMs: 5_000, onFault: () => {} });
    address = `127.0.0.1:${await listenGrpc(server, { host: '127.0.0.1', port: 0 })}`;
  });
  afterAll(() => server.forceShutdown());

  test('answers with the typed message', async () => {
    using client = createRpcClient(WorkflowService, address);
    expect((await client.getWorkflow({ name: 'known' })).workflow?.lagMs).toBe(1.5);
  });

  test("gives the other end's reason, advice and facts", async () => {
    using client = createRpcClient(WorkflowService, address);
    const error = await client.getWorkflow({ name: 'other' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SwitchyardError);
    expect(error).toMatchObject({ reason: 'WORKFLOW_UNKNOWN', message: 'no workflow "other"', retryAfterMs: 250, metadata: { workflow: 'other' } });
  });

  test.each(['getWorkflow', 'watchWorkflow'] as const)('a request that is no message of %s is refused with a reason', async (name) => {
    const { path } = rpcMethodDefinition(WorkflowService.method[name]);
    const client = new Client(address, credentials.createInsecure());
    const same = (bytes: Buffer): Buffer => bytes;
    const error = await new Promise<ServiceError>((resolve) => client.makeServerStreamRequest(path, same, same, Buffer.from([0xff])).on('error', resolve));
    client.close();
    expect(fromServiceError(error, address)).toMatchObject({ reason: 'ARGUMENT_INVALID', message: expect.stringMatching(/no switchyard\.control\.v1\.\w+Request/) });
  });

  test('keeps its deadline and its signal', async () => {
    using client = createRpcClient(WorkflowService, address);
    await expect(client.getWorkflow({ name: 'silent' }, { deadlineMs: 50 })).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    await expect(client.getWorkflow({ name: 'silent' }, { signal: AbortSignal.timeout(20) })).rejects.toMatchObject({ reason: 'CANCELLED' });
    await expect(client.getWorkflow({ name: 'known' }, { signal: AbortSignal.abort(new SwitchyardError('LOCK_TAKEN', 'gone')) })).rejects.toMatchObject({ reason: 'LOCK_TAKEN' });
  });

  test('refuses a caller that no metadata can carry before there is any call', () => {
    expect(() => createRpcClient(WorkflowService, address, { caller: 'Zoë' })).toThrow(
      expect.objectContaining({ reason: 'ARGUMENT_INVALID', message: expect.stringMatching(/^caller: got "Zoë"/) }),
    );
  });

  test('says that nobody answers', async () => {
    using client = createRpcClient(WorkflowService, '127.0.0.1:1');
    await expect(client.getWorkflow({ name: 'known' }, { deadlineMs: 2_000 })).rejects.toMatchObject({ reason: 'PEER_UNREACHABLE' });
  });

  test.each([constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_CANCEL, constants.NGHTTP2_ENHANCE_YOUR_CALM])(
    'says that a stream which something reset with code %i was not answered',
    async (code) => {
      const resetting = createServer().on('stream', (stream) => stream.on('error', () => {}).close(code));
      await new Promise<void>((resolve) => resetting.listen(0, '127.0.0.1', resolve));
      using client = createRpcClient(WorkflowService, `127.0.0.1:${(resetting.address() as AddressInfo).port}`);
      await expect(client.getWorkflow({ name: 'known' })).rejects.toMatchObject({ reason: 'PEER_UNREACHABLE' });
      await expect(client.watchWorkflow({ name: 'known' })[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: 'PEER_UNREACHABLE' });
      resetting.close();
    },
  );

  test('streams, ends with the failure of the other end, and cancels when left', async () => {
    using client = createRpcClient(WorkflowService, address);
    const seen: number[] = [];
    const failing = async (): Promise<void> => {
      for await (const { workflow } of client.watchWorkflow({ name: 'failing' })) seen.push(workflow?.lagMs ?? -1);
    };
    await expect(failing()).rejects.toMatchObject({ reason: 'WORKFLOW_FAILED' });
    expect(seen).toEqual([0, 1]);
    for await (const { workflow } of client.watchWorkflow({ name: 'known' })) if ((workflow?.lagMs ?? 0) > 2) break;
  });
});
