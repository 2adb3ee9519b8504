import { expect, test } from '@jest/globals';
import type { Cell } from '../../core/cell.ts';
import { ChunkSize } from './chunk-size.ts';

const chunk = (rows: number, text: string): readonly (readonly Cell[])[] => Array.from({ length: rows }, (_, id) => [id, text]);

test('quick chunks of narrow rows grow to the bound, slow ones shrink', () => {
  const size = new ChunkSize();
  for (let i = 0; i < 12; i += 1) size.learn(chunk(size.rows, 'x'), 5);
  expect(size.rows).toBe(20_000);
  size.learn(chunk(size.rows, 'x'), 600);
  expect(size.rows).toBe(5_000);
});

test('wide rows keep the chunk small however quick it was', () => {
  const size = new ChunkSize();
  for (let i = 0; i < 12; i += 1) size.learn(chunk(size.rows, 'x'.repeat(100_000)), 1);
  expect(size.rows).toBeLessThanOrEqual(84);
  expect(size.rows).toBeGreaterThan(50);
});

test('slow chunks do not shrink below what is paid for whatever their size', () => {
  const size = new ChunkSize();
  for (let i = 0; i < 12; i += 1) size.learn(chunk(size.rows, 'x'), 400);
  expect(size.rows).toBe(200);
});
