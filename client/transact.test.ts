import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { create } from '@bufbuild/protobuf';
import { type TransactResponse, TransactResponseSchema } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { transact } from './transact.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test('a commit that nobody answers is not waited for without an end: its outcome is unknown', async () => {
  let asked = '';
  const client = {
    transact: () => ({
      send: async ({ kind }: { readonly kind?: { readonly case: string | undefined } }) => {
        asked = kind?.case ?? '';
      },
      next: (): Promise<TransactResponse> =>
        asked === 'commit' ? new Promise(() => {}) : Promise.resolve(create(TransactResponseSchema, { kind: { case: 'goesOn', value: {} } })),
      end: () => {},
      [Symbol.asyncDispose]: async () => {},
    }),
  };
  const done = expect(transact(client as never, async () => 1)).rejects.toMatchObject({ reason: 'OUTCOME_UNKNOWN' });
  await jest.advanceTimersByTimeAsync(120_000);
  await done;
  expect(asked).toBe('commit');
});
