import { expect, test } from '@jest/globals';
import { acceptedCoding, codings, packingOf } from './codings.ts';

test.each([
  [undefined, null],
  ['', null],
  ['identity', null],
  ['deflate, zstd', null],
  ['gzip', 'gzip'],
  ['gzip, br', 'br'],
  ['br;q=0.5, gzip', 'gzip'],
  ['br;q=0, gzip;q=0', null],
  ['*', 'br'],
  ['*;q=0.5, br;q=0', 'gzip'],
  ['GZIP ; q=0.1', 'gzip'],
])('of "%s" %s is taken', (header, coding) => {
  expect(acceptedCoding(header)).toBe(coding);
});

test.each(codings)('%s comes back, and is refused beyond its limit, cut off and as something else', async (coding) => {
  const { pack, unpack } = packingOf(coding);
  const bytes = Buffer.from('what is packed '.repeat(500));
  const packed = await pack(bytes);
  expect(packed.length).toBeLessThan(bytes.length / 10);
  expect(await unpack(packed, bytes.length)).toEqual(bytes);
  await expect(unpack(packed, bytes.length - 1)).rejects.toMatchObject({ code: 'ERR_BUFFER_TOO_LARGE' });
  await expect(unpack(packed.subarray(0, -5), bytes.length)).rejects.toThrow();
  await expect(unpack(Buffer.from('plain text'), 100)).rejects.toThrow();
});
