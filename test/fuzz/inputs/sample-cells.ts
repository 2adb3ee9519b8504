import type { Cell, ColumnKind } from '../../../core/cell.ts';

const samples: Readonly<Record<ColumnKind, Cell>> = {
  bool: true,
  int16: 7,
  int32: -7,
  int64: 2n ** 60n,
  uint64: 2n ** 63n,
  float32: 0.5,
  float64: 0.1,
  decimal: '1.50',
  text: 'ä/..?#&=%',
  bytes: new Uint8Array([0, 255]),
  uuid: '00000000-0000-4000-8000-000000000000',
  date: '2024-02-29',
  time: 1n,
  timestamp: 0n,
  timestamptz: 1_700_000_000_000_000n,
  json: '{"a":1}',
  enum: 'good',
  array: [],
};

/** A good cell of a kind. */
export const sampleCell = (kind: ColumnKind): Cell => samples[kind];
