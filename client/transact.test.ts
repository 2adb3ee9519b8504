import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { create } from '@bufbuild/protobuf';
import type { ErrorReason } from '../core/error-catalogue.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { type TransactResponse, TransactResponseSchema } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { type Transaction, transact } from './transact.ts';

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

/** What each try's only request and its commit are answered with; a reason: the stream ends with it. */
interface Try {
  readonly at?: ErrorReason;
  readonly commit?: ErrorReason;
}

/** A gateway that answers so; the last try again and again. */
function answering(...tries: readonly Try[]) {
  const asked: string[] = [];
  let begun = 0;
  const client = {
    transact: () => {
      const { at, commit } = tries[Math.min(begun, tries.length - 1)] ?? {};
      begun += 1;
      let step = '';
      let over = false;
      return {
        send: async ({ kind }: { readonly kind?: { readonly case: string | undefined } }) => {
          step = kind?.case ?? '';
          asked.push(step);
        },
        next: async (): Promise<TransactResponse | null> => {
          if (over) return null;
          const reason = step === 'commit' ? commit : step === 'begin' ? undefined : at;
          over = reason !== undefined;
          if (reason !== undefined) throw new SwitchyardError(reason, reason);
          return create(TransactResponseSchema, { kind: step === 'commit' ? { case: 'ended', value: { committed: true } } : { case: 'goesOn', value: {} } });
        },
        end: () => {},
        [Symbol.asyncDispose]: async () => {},
      };
    },
  };
  return { client: client as never, asked };
}

/** What becomes of a call, with all the time that its pauses take. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  const told = work.then(
    (result) => ({ result }),
    (error: unknown) => (error instanceof SwitchyardError ? error.reason : error),
  );
  await jest.advanceTimersByTimeAsync(120_000);
  return await told;
}

describe('a function that does not throw the failure that ended its transaction', () => {
  const appError = new Error('the order failed');
  const swallows = async (transaction: Transaction): Promise<string> => {
    await transaction.savepoint('a').catch(() => {});
    return 'done';
  };
  const wraps = async (transaction: Transaction): Promise<string> => {
    await transaction.savepoint('a').catch(() => {
      throw appError;
    });
    return 'done';
  };
  const functions = [
    ['swallows', swallows],
    ['wraps', wraps],
  ] as const;

  test.each(functions)('runs again where a repetition mends that: it %s it', async (_, work) => {
    for (const at of ['TRANSACTION_MOVED', 'SERIALIZATION_FAILURE', 'PEER_UNREACHABLE'] as const) {
      const { client, asked } = answering({ at }, {});
      expect(await outcome(transact(client, work))).toEqual({ result: 'done' });
      expect(asked).toEqual(['begin', 'savepoint', 'begin', 'savepoint', 'commit']);
    }
  });

  test.each(functions)('does not hide that an earlier commit was done: it %s it', async (_, work) => {
    const { client } = answering({ commit: 'PEER_UNREACHABLE' }, { at: 'TRANSACTION_COMMITTED' });
    expect(await outcome(transact(client, work))).toEqual({ result: 'done' });
  });

  test('is not told as in doubt: nothing was committed', async () => {
    const { client } = answering({ at: 'PEER_UNREACHABLE' });
    expect(await outcome(transact(client, swallows, { retryMs: 100 }))).toBe('PEER_UNREACHABLE');
  });

  test('has its own error thrown where no repetition follows, and where the transaction had not ended', async () => {
    expect(await outcome(transact(answering({ at: 'TRANSACTION_EXPIRED' }).client, wraps))).toBe(appError);
    const { client, asked } = answering({});
    expect(await outcome(transact(client, () => Promise.reject(appError)))).toBe(appError);
    expect(asked).toEqual(['begin']);
  });

  test('is told of its own error, not of a request under way that this ended', async () => {
    const left = Promise.withResolvers<TransactResponse>();
    left.promise.catch(() => {});
    let step = '';
    let tries = 0;
    const client = {
      transact: () => ({
        send: async ({ kind }: { readonly kind?: { readonly case: string | undefined } }) => {
          step = kind?.case ?? '';
          if (step === 'begin') tries += 1;
        },
        next: () => (step === 'begin' ? Promise.resolve(create(TransactResponseSchema, { kind: { case: 'goesOn', value: {} } })) : left.promise),
        end: () => {},
        [Symbol.asyncDispose]: async () => {
          left.reject(new SwitchyardError('STORE_UNAVAILABLE', 'left'));
          await jest.advanceTimersByTimeAsync(1);
        },
      }),
    };
    const work = async (transaction: Transaction): Promise<void> => {
      transaction.savepoint('a').catch(() => {});
      await Promise.resolve();
      await jest.advanceTimersByTimeAsync(1);
      throw appError;
    };
    expect(await outcome(transact(client as never, work))).toBe(appError);
    expect(tries).toBe(1);
  });
});

describe('a transaction of which more than one commit was not answered', () => {
  const inDoubt = [{ commit: 'PEER_UNREACHABLE' }, { commit: 'OUTCOME_UNKNOWN' }, { at: 'TRANSACTION_COMMITTED' }] as const;
  const saved = async (transaction: Transaction): Promise<void> => {
    await transaction.savepoint('a');
  };

  test('says that it was committed, but not with which result', async () => {
    let tries = 0;
    const work = async (transaction: Transaction): Promise<number> => {
      tries += 1;
      await saved(transaction);
      return tries;
    };
    const failed = expect(transact(answering(...inDoubt).client, work)).rejects.toMatchObject({
      reason: 'TRANSACTION_COMMITTED',
      message: expect.stringMatching(/^the transaction has been committed.* 2 /),
    });
    await jest.advanceTimersByTimeAsync(120_000);
    await failed;
    expect(tries).toBe(3);
  });

  test('returns a result that is the same of each', async () => {
    expect(await outcome(transact(answering(...inDoubt).client, saved))).toEqual({ result: undefined });
  });
});

describe('a commit', () => {
  test('that a fault of the gateway has kept from being answered is in doubt', async () => {
    const saved = (transaction: Transaction): Promise<void> => transaction.savepoint('a');
    expect(await outcome(transact(answering({ commit: 'INTERNAL' }, { at: 'TRANSACTION_COMMITTED' }).client, saved))).toEqual({ result: undefined });
    expect(await outcome(transact(answering({ commit: 'INTERNAL' }).client, saved))).toBe('OUTCOME_UNKNOWN');
  });
});
