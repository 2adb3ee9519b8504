import type { ScalarKind } from '../../core/cell.ts';
import type { ColumnLimits, Length } from '../../core/column-limits.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { type ColumnSchema, isGiven, type TableSchema, type UniqueKey } from '../../core/table-schema.ts';
import { type Column as WireColumn, ColumnKind as WireKind, type UniqueKey as WireUniqueKey } from '../../gen/switchyard/data/v1/value_pb.ts';
import type { ColumnLimits as WireLimits, Length as WireLength, TableSchema as WireSchema, TableShape } from '../../gen/switchyard/store/v1/common_pb.ts';
import { kindOfWire, wireKinds } from './column-kind.ts';

/** A column as callers of the data API see it. */
export const columnMessage = (column: ColumnSchema): WireColumn => ({
  $typeName: 'switchyard.data.v1.Column',
  name: column.name,
  kind: wireKinds[column.kind],
  elementKind: column.elementKind === undefined ? WireKind.UNSPECIFIED : wireKinds[column.elementKind],
  nullable: column.nullable,
  hasDefault: column.hasDefault,
  generated: isGiven(column),
  nativeType: column.nativeType,
});

export const uniqueKeyMessage = ({ name, columns }: UniqueKey): WireUniqueKey => ({ $typeName: 'switchyard.data.v1.UniqueKey', name, columns: [...columns] });

/** A table's shape with all that whoever moves it must know. `storeKind`: kind of the store that has described it. */
export const schemaMessage = (schema: TableSchema, storeKind: string): WireSchema => ({
  $typeName: 'switchyard.store.v1.TableSchema',
  name: schema.name,
  columns: schema.columns.map((column) => ({
    $typeName: 'switchyard.store.v1.Column',
    column: columnMessage(column),
    storedType: column.storedType ?? '',
    ownWay: column.ownWay ?? '',
    numbered: column.numbered === true,
    ...(column.limits === undefined ? {} : { limits: limitsMessage(column.limits) }),
  })),
  primaryKey: [...schema.primaryKey],
  uniqueKeys: schema.uniqueKeys.map(uniqueKeyMessage),
  fingerprint: schema.fingerprint,
  storeKind: schema.storeKind ?? storeKind,
});

/** The reverse of `schemaMessage`. TABLE_UNSUPPORTED: a column of a kind that this release does not know. */
export function schemaFromMessage(message: WireSchema): TableSchema {
  return {
    name: message.name,
    columns: message.columns.map(({ column, ...more }) => columnFromMessage(message.name, column, more)),
    primaryKey: message.primaryKey,
    uniqueKeys: message.uniqueKeys.map(({ name, columns }) => ({ name, columns })),
    fingerprint: message.fingerprint,
    ...(message.storeKind === '' ? {} : { storeKind: message.storeKind }),
  };
}

/** A column that a message describes, of this table; `more` is empty where it does not say. */
export function columnFromMessage(
  table: string,
  column: WireColumn | undefined,
  more: { readonly storedType: string; readonly ownWay: string; readonly numbered: boolean; readonly limits?: WireLimits | undefined },
): ColumnSchema {
  const kind = column === undefined ? null : kindOfWire(column.kind);
  const elementKind = kind === 'array' && column !== undefined ? kindOfWire(column.elementKind) : undefined;
  if (column === undefined || kind === null || elementKind === null || elementKind === 'array')
    throw new SwitchyardError('TABLE_UNSUPPORTED', `table "${table}": the service describes its column "${column?.name ?? ''}" in a way that this release does not know`, {
      metadata: { table, ...(column === undefined ? {} : { column: column.name }) },
    });
  const { name, nullable, hasDefault, generated, nativeType } = column;
  return {
    name,
    kind,
    nullable,
    hasDefault,
    // To callers a column that the store numbers is generated as well.
    generated: generated && !more.numbered,
    nativeType,
    ...(more.numbered ? { numbered: true } : {}),
    ...(elementKind === undefined ? {} : { elementKind: elementKind satisfies ScalarKind }),
    ...(more.storedType === '' ? {} : { storedType: more.storedType }),
    ...(more.ownWay === '' ? {} : { ownWay: more.ownWay }),
    ...(more.limits === undefined ? {} : { limits: limitsFromMessage(more.limits) }),
  };
}

const lengthMessage = ({ most, exactly }: Length): WireLength => ({ $typeName: 'switchyard.store.v1.Length', most: BigInt(most), exactly });
const lengthFromMessage = ({ most, exactly }: WireLength): Length => ({ most: Number(most), exactly });

const limitsMessage = ({ characters, bytes, noBlankAtEnd, least, most, without = [] }: ColumnLimits): WireLimits => ({
  $typeName: 'switchyard.store.v1.ColumnLimits',
  ...(characters === undefined ? {} : { characters: lengthMessage(characters) }),
  ...(bytes === undefined ? {} : { bytes: lengthMessage(bytes) }),
  noBlankAtEnd: noBlankAtEnd === true,
  least: least ?? '',
  most: most ?? '',
  withoutNan: without.includes('NaN'),
  withoutNegativeZero: without.includes('-0'),
  withoutInfinity: without.includes('infinity'),
});

function limitsFromMessage({ characters, bytes, noBlankAtEnd, least, most, withoutNan, withoutNegativeZero, withoutInfinity }: WireLimits): ColumnLimits {
  const without = [withoutNan ? (['NaN'] as const) : [], withoutNegativeZero ? (['-0'] as const) : [], withoutInfinity ? (['infinity'] as const) : []].flat();
  return {
    ...(characters === undefined ? {} : { characters: lengthFromMessage(characters) }),
    ...(bytes === undefined ? {} : { bytes: lengthFromMessage(bytes) }),
    ...(noBlankAtEnd ? { noBlankAtEnd } : {}),
    ...(least === '' ? {} : { least }),
    ...(most === '' ? {} : { most }),
    ...(without.length === 0 ? {} : { without }),
  };
}

/** How a request names a shape that both ends know. */
export const shapeMessage = ({ name, fingerprint }: TableSchema): TableShape => ({ $typeName: 'switchyard.store.v1.TableShape', table: name, fingerprint });
