import type { ColumnKind } from '../../core/cell.ts';
import { ColumnKind as WireKind } from '../../gen/switchyard/data/v1/value_pb.ts';

/** Kinds of columns as messages name them. */
export const wireKinds: Readonly<Record<ColumnKind, WireKind>> = {
  bool: WireKind.BOOL,
  int16: WireKind.INT16,
  int32: WireKind.INT32,
  int64: WireKind.INT64,
  uint64: WireKind.UINT64,
  float32: WireKind.FLOAT32,
  float64: WireKind.FLOAT64,
  decimal: WireKind.DECIMAL,
  text: WireKind.TEXT,
  bytes: WireKind.BYTES,
  uuid: WireKind.UUID,
  date: WireKind.DATE,
  time: WireKind.TIME,
  timestamp: WireKind.TIMESTAMP,
  timestamptz: WireKind.TIMESTAMPTZ,
  json: WireKind.JSON,
  enum: WireKind.ENUM,
  array: WireKind.ARRAY,
};

const kinds: ReadonlyMap<WireKind, ColumnKind> = new Map((Object.keys(wireKinds) as ColumnKind[]).map((kind) => [wireKinds[kind], kind]));

/** The kind of a column that a message describes; null for one that this release does not know. */
export const kindOfWire = (kind: WireKind): ColumnKind | null => kinds.get(kind) ?? null;
