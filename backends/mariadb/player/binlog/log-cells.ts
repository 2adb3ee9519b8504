import { assertNever } from '../../../../core/assert-never.ts';
import type { Cell } from '../../../../core/cell.ts';
import { SwitchyardError } from '../../../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../../../core/table-schema.ts';
import type { Charsets, DecodeText } from './charsets.ts';
import { LogFault } from './log-fault.ts';
import { type MapColumn, wire } from './table-map.ts';
import { dateText, datetimeMicros, decimalText, integer, longInteger, timeMicros, timestampMicros, uncompressed, uuidText } from './values.ts';

/** What the bytes of a column's values in the log mean: the same cells as those of a read of the row. VALUE_UNSUPPORTED: a value without an exact cell. */
export type ReadCell = (bytes: Buffer) => Cell;

/** Null: the bytes have no exact cell. */
type Meaning = (bytes: Buffer) => Cell;

/** `map`: the column in the log, which is of the type that `column` says. */
export function cellReader(column: ColumnSchema, map: MapColumn, charsets: Charsets): ReadCell {
  const meaning = meaningOf(column, map, charsets);
  return (bytes) => {
    const cell = meaning(bytes);
    if (cell !== null) return cell;
    const shown = bytes.subarray(0, 40).toString('hex');
    throw new SwitchyardError(
      'VALUE_UNSUPPORTED',
      `column "${column.name}" (${column.nativeType}) was given x'${shown}${bytes.length > 40 ? '…' : ''}', which has no exact mapping: correct it in the store`,
      {
        metadata: { column: column.name },
      },
    );
  };
}

function meaningOf(column: ColumnSchema, map: MapColumn, charsets: Charsets): Meaning {
  switch (column.kind) {
    case 'bool':
      return (bytes) => (bytes[0] === 0 || bytes[0] === 1 ? bytes[0] === 1 : null);
    case 'int16':
    case 'int32':
      return (bytes) => integer(bytes, map.unsigned);
    case 'int64':
      // INT UNSIGNED is one of 32 bits.
      return map.type === wire.longlong ? (bytes) => longInteger(bytes, false) : (bytes) => BigInt(integer(bytes, map.unsigned));
    case 'uint64':
      return (bytes) => longInteger(bytes, true);
    // A number that was too small for its column is -0 in the log; whoever reads it gets 0.
    case 'float32':
      return (bytes) => bytes.readFloatLE() + 0;
    case 'float64':
      return (bytes) => bytes.readDoubleLE() + 0;
    case 'decimal':
      return (bytes) => decimalText(map, bytes);
    case 'text':
    case 'json': {
      const decode = stored(map, textDecoder(column, map, charsets));
      return (bytes) => {
        const text = decode(bytes);
        return text?.includes('\0') === true ? null : text;
      };
    }
    case 'enum':
      return enumMeaning(column, map, charsets);
    case 'bytes':
      return bytesMeaning(map);
    case 'uuid':
      return uuidText;
    case 'date':
      return dateText;
    case 'time':
      return (bytes) => timeMicros(map, bytes);
    case 'timestamp':
      return (bytes) => datetimeMicros(map, bytes);
    case 'timestamptz':
      return (bytes) => timestampMicros(map, bytes);
    case 'array':
      throw new LogFault('PROTOCOL', `column "${column.name}": there are no arrays in MariaDB`);
    default:
      return assertNever(column.kind);
  }
}

/** The character set that the log says the column has. */
function textDecoder(column: ColumnSchema, map: MapColumn, charsets: Charsets): DecodeText {
  const charset = map.collation === null ? null : charsets.nameOf(map.collation);
  const decode = charset === null ? null : charsets.decoderOf(charset);
  if (decode === null) throw unreadableCharset(column, charset);
  return decode;
}

/** A stream cannot bring texts of a set that we cannot read. */
export const unreadableCharset = ({ name, nativeType }: ColumnSchema, charset: string | null): LogFault =>
  new LogFault('VALUE_UNSUPPORTED', `column "${name}" (${nativeType}) has the character set ${charset ?? '(unknown)'}, whose texts cannot be read from the log`, {
    fix: 'ALTER TABLE … MODIFY … CHARACTER SET utf8mb4',
  });

export const isCompressed = ({ type }: MapColumn): boolean => type === wire.compressedBlob || type === wire.compressedVarchar;

const stored =
  (map: MapColumn, decode: DecodeText): DecodeText =>
  (bytes) =>
    decode(isCompressed(map) ? uncompressed(bytes) : bytes);

/** Copies: the log's memory is not ours to keep. What a BINARY ends with of zero bytes is left out in the log. */
function bytesMeaning(map: MapColumn): Meaning {
  if (map.type !== wire.string) return (bytes) => new Uint8Array(isCompressed(map) ? uncompressed(bytes) : bytes);
  return (bytes) => {
    const whole = new Uint8Array(map.size);
    whole.set(bytes);
    return whole;
  };
}

/** Labels are numbered from 1; 0 is what an invalid value was turned into by somebody without strict mode. */
function enumMeaning(column: ColumnSchema, map: MapColumn, charsets: Charsets): Meaning {
  const decode = textDecoder(column, map, charsets);
  const labels = (map.labels ?? []).map(decode);
  return (bytes) => labels[integer(bytes, true) - 1] ?? null;
}
