import { describe, expect, test } from '@jest/globals';
import { decodeFrame, decodeMessage, encodeStatus, formatLsn, ProtocolFault, parseLsn, unsent } from './pgoutput.ts';

const u8 = (value: number): Buffer => Buffer.from([value]);
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}
function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}
const z = (text: string): Buffer => Buffer.from(`${text}\0`);
const t = (text: string): Buffer => Buffer.concat([Buffer.from('t'), u32(Buffer.byteLength(text)), Buffer.from(text)]);
const bytes = (...parts: (Buffer | string)[]): Buffer => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));

describe('pgoutput', () => {
  test('frames', () => {
    expect(decodeFrame(bytes('w', u64(1n), u64(0x1_0000_0002n), u64(-5n), 'B...'))).toMatchObject({
      kind: 'data',
      walEnd: 0x1_0000_0002n,
      sentAtMicros: -5n,
      message: Buffer.from('B...'),
    });
    expect(decodeFrame(bytes('k', u64(7n), u64(0n), u8(1)))).toEqual({ kind: 'keepalive', walEnd: 7n, replyRequested: true });
    expect(() => decodeFrame(bytes('x'))).toThrow(ProtocolFault);
  });

  test('a transaction', () => {
    expect(decodeMessage(bytes('B', u64(9n), u64(100n), u32(5)))).toEqual({ kind: 'begin', finalLsn: 9n, committedAtMicros: 100n, xid: 5 });
    expect(decodeMessage(bytes('C', u8(0), u64(9n), u64(10n), u64(100n)))).toEqual({ kind: 'commit', commitLsn: 9n, endLsn: 10n, committedAtMicros: 100n });
    expect(decodeMessage(bytes('R', u32(4_000_000_000), z('public'), z('täble'), 'd', u16(2), u8(1), z('id'), u32(20), u32(-1), u8(0), z('v'), u32(1043), u32(12)))).toEqual({
      kind: 'relation',
      relationId: 4_000_000_000,
      schema: 'public',
      table: 'täble',
      replicaIdentity: 'd',
      columns: [
        { name: 'id', typeOid: 20, typeModifier: -1, isKey: true },
        { name: 'v', typeOid: 1043, typeModifier: 12, isKey: false },
      ],
    });
    expect(decodeMessage(bytes('I', u32(1), 'N', u16(4), t('1'), 'n', 'u', t('')))).toEqual({ kind: 'insert', relationId: 1, row: ['1', null, unsent, ''] });
    expect(decodeMessage(bytes('U', u32(1), 'N', u16(1), t('ö')))).toEqual({ kind: 'update', relationId: 1, oldKey: null, row: ['ö'] });
    expect(decodeMessage(bytes('U', u32(1), 'K', u16(2), t('1'), 'n', 'N', u16(2), t('2'), 'u'))).toEqual({
      kind: 'update',
      relationId: 1,
      oldKey: ['1', null],
      row: ['2', unsent],
    });
    expect(decodeMessage(bytes('D', u32(1), 'K', u16(1), t('1')))).toEqual({ kind: 'delete', relationId: 1, oldKey: ['1'] });
    expect(decodeMessage(bytes('T', u32(2), u8(1), u32(5), u32(6)))).toEqual({ kind: 'truncate', relationIds: [5, 6] });
    expect(decodeMessage(bytes('M', u8(1), u64(9n), z('a prefix'), u32(2), 'tx'))).toEqual({ kind: 'message', prefix: 'a prefix', text: 'tx' });
    for (const tag of ['O', 'Y']) expect(decodeMessage(bytes(tag, 'whatever'))).toEqual({ kind: 'ignored' });
  });

  test('what is cut off or unknown is an error, never a shorter row', () => {
    expect(() => decodeMessage(bytes('?'))).toThrow(ProtocolFault);
    expect(() => decodeMessage(bytes('I', u32(1), 'X'))).toThrow(ProtocolFault);
    expect(() => decodeMessage(bytes('I', u32(1), 'N', u16(1), 'b'))).toThrow(ProtocolFault);
    expect(() => decodeMessage(bytes('I', u32(1), 'N', u16(1), 't', u32(5), 'abc'))).toThrow(ProtocolFault);
    expect(() => decodeMessage(bytes('I', u32(1), 'N', u16(2), t('1')))).toThrow(ProtocolFault);
    expect(() => decodeMessage(bytes('R', u32(1), 'no end'))).toThrow(ProtocolFault);
  });

  test('positions and status', () => {
    for (const text of ['0/0', '16/B374D848', 'FFFFFFFF/FFFFFFFF']) expect(formatLsn(parseLsn(text))).toBe(text);
    expect(parseLsn('1/2')).toBe(0x1_0000_0002n);
    for (const text of ['', '1', '1/2/3', 'G/1', '123456789/0']) expect(() => parseLsn(text)).toThrow(ProtocolFault);
    const status = encodeStatus(0x1_0000_0002n, 77n, true);
    expect(status).toEqual(bytes('r', u64(0x1_0000_0002n), u64(0x1_0000_0002n), u64(0x1_0000_0002n), u64(77n), u8(1)));
  });
});
