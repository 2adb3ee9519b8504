import type { ColumnLimits, Length } from '../../core/column-limits.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';

const firstDay = '0000-01-01';
const lastDay = '9999-12-31';

/** Ranges of the integers that are narrower than their kind. */
const integers: Readonly<Record<string, readonly [least: string, most: string]>> = {
  tinyint: ['-128', '127'],
  'tinyint unsigned': ['0', '255'],
  'smallint unsigned': ['0', '65535'],
  mediumint: ['-8388608', '8388607'],
  'mediumint unsigned': ['0', '16777215'],
  'int unsigned': ['0', '4294967295'],
};
/** Bytes of the texts and binaries without a length of their own. */
const sizes: Readonly<Record<string, number>> = { tinytext: 255, text: 65_535, mediumtext: 16_777_215, tinyblob: 255, blob: 65_535, mediumblob: 16_777_215 };

/** What a column of this type does not hold of its kind. The server's own limits, as its manual has them for 10.6: a timestamp ends in 2038. */
export function limitsOf({ kind, nativeType }: Pick<ColumnSchema, 'kind' | 'nativeType'>): ColumnLimits | null {
  const [, type = '', first = '', unsigned] = /^(\w+)(?:\((\d+)[^)]*\))?( unsigned)?/.exec(nativeType) ?? [];
  const upTo = (most: number, exactly = false): Length => ({ most, exactly });
  const isUnsigned = unsigned !== undefined;
  switch (kind) {
    case 'int16':
    case 'int32':
    case 'int64': {
      const [least, most] = integers[isUnsigned ? `${type} unsigned` : type] ?? [];
      return least === undefined || most === undefined ? null : { least, most };
    }
    case 'float32':
    case 'float64':
      return { without: ['NaN', '-0', 'infinity'], ...(isUnsigned ? { least: '0' } : {}) };
    case 'decimal':
      return { without: ['NaN', 'infinity'], ...(isUnsigned ? { least: '0' } : {}) };
    case 'text':
      if (type === 'char') return { characters: upTo(Number(first)), noBlankAtEnd: true };
      if (type === 'varchar') return { characters: upTo(Number(first)) };
      return sizes[type] === undefined ? null : { bytes: upTo(sizes[type]) };
    case 'bytes':
      if (type === 'binary' || type === 'varbinary') return { bytes: upTo(Number(first), type === 'binary') };
      return sizes[type] === undefined ? null : { bytes: upTo(sizes[type]) };
    case 'date':
      return { least: firstDay, most: lastDay, without: ['infinity'] };
    case 'timestamp':
      return { least: `${firstDay} 00:00:00.000000`, most: `${lastDay} 23:59:59.999999`, without: ['infinity'] };
    case 'timestamptz':
      return { least: '1970-01-01 00:00:00.000001', most: '2038-01-19 03:14:07.999999', without: ['infinity'] };
    default:
      return null;
  }
}
