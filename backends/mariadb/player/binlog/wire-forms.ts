import type { Charsets } from './charsets.ts';
import { BINARY_COLLATION, type MapColumn, wire } from './table-map.ts';

/** What `information_schema.COLUMNS` says of a column, as far as its values in the log depend on it. */
export interface ColumnFacts {
  readonly name: string;
  readonly dataType: string;
  readonly columnType: string;
  /** Null: no text. */
  readonly charset: string | null;
  /** Most bytes of a text, or of bytes. */
  readonly octets: number;
  readonly precision: number;
  readonly scale: number;
  /** Digits of the seconds' fraction. */
  readonly fraction: number;
}

const integers: ReadonlyMap<number, string> = new Map<number, string>([
  [wire.tiny, 'tinyint'],
  [wire.short, 'smallint'],
  [wire.int24, 'mediumint'],
  [wire.long, 'int'],
  [wire.longlong, 'bigint'],
  [wire.float, 'float'],
  [wire.double, 'double'],
]);

/** Texts of every size are stored alike, but for the bytes that tell a value's length. */
const blobs: ReadonlyMap<string, number> = new Map(
  ['tiny', '', 'medium', 'long'].flatMap((size, i) => ['blob', 'text'].map((kind): [string, number] => [`${size}${kind}`, i + 1])),
);
const varying: ReadonlySet<string> = new Set(['varchar', 'varbinary']);
const fixed: ReadonlySet<string> = new Set(['char', 'binary']);
const timed: ReadonlySet<string> = new Set(['timestamp', 'datetime', 'time']);
const UUID_BYTES = 16;

/* How a column's values are stored in the log, as a text for people: equal exactly where the values are to be read alike. */

/** As the table is. */
export function formOfFacts({ dataType, columnType, charset, octets, precision, scale, fraction }: ColumnFacts): string {
  const sign = columnType.includes('unsigned') ? ' unsigned' : '';
  const compressed = columnType.includes('COMPRESSED') ? ' compressed' : '';
  const set = charset ?? 'binary';
  const blob = blobs.get(dataType);
  if (dataType === 'uuid') return `fixed(${UUID_BYTES}) binary`;
  if (dataType === 'decimal') return `decimal(${precision},${scale})${sign}`;
  if (dataType === 'enum') return `${columnType} ${set}`;
  // A compressed one has a byte more, which says how.
  if (varying.has(dataType)) return `varying(${compressed === '' ? octets : octets + 1}) ${set}${compressed}`;
  if (fixed.has(dataType)) return `fixed(${octets}) ${set}`;
  if (blob !== undefined) return `blob(${blob}) ${set}${compressed}`;
  return timed.has(dataType) ? `${dataType}(${fraction})` : `${dataType}${sign}`;
}

/** As the log describes it. */
export function formOfMap(column: MapColumn, charsets: Charsets): string {
  const sign = column.unsigned ? ' unsigned' : '';
  const set = setOf(column, charsets);
  switch (column.type) {
    case wire.decimal:
      return `decimal(${column.precision},${column.scale})${sign}`;
    case wire.enum:
      return `enum(${labelsText(column, charsets, set)}) ${set}`;
    case wire.varchar:
    case wire.compressedVarchar:
      return `varying(${column.size}) ${set}${column.type === wire.varchar ? '' : ' compressed'}`;
    case wire.string:
      return `fixed(${column.size}) ${set}`;
    case wire.blob:
    case wire.compressedBlob:
      return `blob(${column.size}) ${set}${column.type === wire.blob ? '' : ' compressed'}`;
    case wire.timestamp:
      return `timestamp(${column.size})`;
    case wire.datetime:
      return `datetime(${column.size})`;
    case wire.time:
      return `time(${column.size})`;
    case wire.date:
      return 'date';
    default:
      return `${integers.get(column.type) ?? `type ${column.type}`}${sign}`;
  }
}

function setOf({ collation }: MapColumn, charsets: Charsets): string {
  if (collation === null || collation === BINARY_COLLATION) return 'binary';
  return charsets.nameOf(collation) ?? `collation ${collation}`;
}

/** As in `COLUMN_TYPE`. */
function labelsText({ labels }: MapColumn, charsets: Charsets, set: string): string {
  const decode = charsets.decoderOf(set);
  return (labels ?? []).map((label) => `'${(decode?.(label) ?? '?').replaceAll("'", "''")}'`).join(',');
}
