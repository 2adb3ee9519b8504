import type { ColumnSchema } from './table-schema.ts';

/** How long a value is at most, or always. */
export interface Length {
  readonly most: number;
  readonly exactly: boolean;
}

/** Numbers and times that are none. −0 is told from 0 by every float of ours. */
export type NoNumber = 'NaN' | '-0' | 'infinity';

/** What a column refuses, or would not keep as it is, of the values that its kind has. In terms that a store of any kind can check: another store that takes in the column's rows must not take what could not come back. */
export interface ColumnLimits {
  /** Of a text, in code points. */
  readonly characters?: Length;
  /** Of bytes, or of a text in UTF-8. */
  readonly bytes?: Length;
  /** A text must not end with a blank. */
  readonly noBlankAtEnd?: true;
  /** Smallest and largest value: an integer or decimal, "YYYY-MM-DD" of a date, "YYYY-MM-DD HH:MM:SS.ffffff" of a timestamp, in UTC with a time zone. Years are 0000 to 9999. */
  readonly least?: string;
  readonly most?: string;
  readonly without?: readonly NoNumber[];
}

/** Words with which a kind of store says one condition; null: it never holds such a value anyway. `name`: the column, quoted. */
export interface LimitWords {
  length(unit: 'characters' | 'bytes', column: ColumnSchema, name: string): string;
  noBlankAtEnd(name: string): string;
  /** A bound of a range as a literal. */
  bound(column: ColumnSchema, text: string): string | null;
  /** Whether the value is ±infinity. */
  isInfinite(column: ColumnSchema, name: string): string | null;
  /** Whether the value is not among these. */
  without(column: ColumnSchema, name: string, without: readonly NoNumber[]): string | null;
}

/** The limits of a column as one condition, as a CHECK has it; null where it has none. */
export function limitCondition(column: ColumnSchema, name: string, words: LimitWords): string | null {
  const { characters, bytes, noBlankAtEnd, without = [] } = column.limits ?? {};
  const lengths = [['characters', characters] as const, ['bytes', bytes] as const].flatMap(([unit, length]) =>
    length === undefined ? [] : [`${words.length(unit, column, name)} ${length.exactly ? '=' : '<='} ${length.most}`],
  );
  const numbers = without.length === 0 || isTime(column) ? null : words.without(column, name, without);
  const conditions = [...lengths, ...(noBlankAtEnd === true ? [words.noBlankAtEnd(name)] : []), ...[rangeCondition(column, name, words), numbers].filter((each) => each !== null)];
  return conditions.length === 0 ? null : conditions.join(' AND ');
}

const isTime = ({ kind }: ColumnSchema): boolean => kind === 'date' || kind === 'timestamp' || kind === 'timestamptz';

function rangeCondition(column: ColumnSchema, name: string, words: LimitWords): string | null {
  const { least, most, without = [] } = column.limits ?? {};
  const bounds = [['>=', least] as const, ['<=', most] as const].flatMap(([operator, text]) => {
    const bound = text === undefined ? null : words.bound(column, text);
    return bound === null ? [] : [`${name} ${operator} ${bound}`];
  });
  if (bounds.length === 0) return null;
  const range = bounds.join(' AND ');
  const isInfinite = isTime(column) && !without.includes('infinity') ? words.isInfinite(column, name) : null;
  return isInfinite === null ? range : `(${isInfinite} OR ${range})`;
}
