import type { ColumnSchema } from '../../core/table-schema.ts';
import { quoteIdentifier } from './connection.ts';
import { isExactText } from './comparison.ts';

/** The column's `ownWay`, nothing where another kind of store keeps its values as they are. `inKey`: it is part of the primary key or of a unique key. */
export function ownWay(table: string, column: ColumnSchema, inKey: boolean): { readonly ownWay?: string } {
  const why = reason(column, inKey);
  if (why === null) return {};
  const [text, type] = why;
  return { ownWay: `${text}: ALTER TABLE ${quoteIdentifier(table)} MODIFY ${quoteIdentifier(column.name)} ${type}` };
}

function reason(column: ColumnSchema, inKey: boolean): readonly [text: string, type: string] | null {
  const { kind, nativeType } = column;
  const [type = ''] = nativeType.split(' ');
  if (inKey && kind === 'text' && !isExactText(column))
    return ['is part of a key whose collation takes different texts for equal', `${type} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin …`];
  const [, charset = 'utf8mb4'] = / collate ([a-z0-9]+)_/.exec(nativeType) ?? [];
  if (kind === 'text' && charset !== 'utf8mb4') return [`holds the characters of ${charset} alone`, `${type} CHARACTER SET utf8mb4 …`];
  if (inKey && type.startsWith('char(')) return ['is part of a key in which blanks at the end of a text do not count', type.replace('char(', 'varchar(')];
  const [, precision = '0'] = /^(?:timestamp|datetime|time)(?:\((\d)\))?/.exec(type) ?? [];
  if ((kind === 'time' || kind === 'timestamp' || kind === 'timestamptz') && Number(precision) < 6) return ['rounds what it is given', `${type.replace(/\(\d\)/, '')}(6) …`];
  if ((kind === 'float32' || kind === 'float64') && type.includes('(')) return ['rounds what it is given', `${type.replace(/\(.*\)/, '')} …`];
  return null;
}
