import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from '@jest/globals';
import { STATUS_DETAILS_KEY } from '../core/rpc-definition.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { ErrorInfoSchema } from '../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../gen/google/rpc/status_pb.ts';
import { toGrpcError } from './grpc-error.ts';

const half = '😀'.slice(0, 1);

describe('whatever a message quotes', () => {
  test.each([
    ['half a character', `got "${half}"`],
    ['half a character at the end', `got ${half}`],
    ['many characters that a header writes as twelve', '😀'.repeat(40_000)],
    ['a megabyte', 'x'.repeat(2 ** 20)],
  ])('%s: it can be put into headers that others take', (_, text) => {
    const error = new SwitchyardError('COLUMN_UNKNOWN', text, { fix: text, metadata: { column: text, table: 't' } });
    expect([error.message.isWellFormed(), error.what.isWellFormed()]).toEqual([true, true]);
    const { details, metadata } = toGrpcError(error);
    const [bytes] = metadata.get(STATUS_DETAILS_KEY);
    const status = fromBinary(StatusSchema, bytes as Buffer);
    const info = fromBinary(ErrorInfoSchema, status.details[0]?.value ?? new Uint8Array());
    expect(encodeURI(details).length).toBeLessThanOrEqual(1_024);
    expect(encodeURI(details).length + Math.ceil((bytes as Buffer).length / 3) * 4).toBeLessThan(32 * 1_024);
    expect([info.reason, info.metadata.table]).toEqual(['COLUMN_UNKNOWN', 't']);
    expect(status.message.startsWith(details.slice(0, 5))).toBe(true);
  });

  test('what is short stays as it is', () => {
    const { details } = toGrpcError(new SwitchyardError('VALUE_INVALID', 'got "é😀"', { fix: 'mend it' }));
    expect(details).toBe('got "é😀" (mend it)');
  });
});
