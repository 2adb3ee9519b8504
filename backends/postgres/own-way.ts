import type { ColumnSchema } from '../../core/table-schema.ts';
import { quoteIdentifier, quoteTable } from './connection.ts';

const CHARACTER = 1042;
const JSONB = 3802;

/** What of a column decides whether another kind of store can hold its values to equality. */
export interface OwnWayFacts {
  /** Its type is a domain. */
  readonly domain: boolean;
  /** Object id of the type behind all domains. */
  readonly base: number;
  /** Part of the primary key or of a unique key. */
  readonly inKey: boolean;
}

/** The column's `ownWay`, nothing where another kind of store keeps its values as they are. */
export function ownWay(table: string, column: ColumnSchema, facts: OwnWayFacts): { readonly ownWay?: string } {
  const why = reason(column, facts);
  if (why === null) return {};
  const [text, type] = why;
  const alter = `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteIdentifier(column.name)} TYPE ${type}`;
  return { ownWay: `${text}: ${alter}` };
}

function reason({ kind, nativeType }: ColumnSchema, { base, domain, inKey }: OwnWayFacts): readonly [text: string, type: string] | null {
  if (domain) return ['is a domain, whose rules only PostgreSQL knows', 'the type behind it, with its rules as a CHECK'];
  if (base === JSONB) return ['writes its values anew', 'json'];
  if (base === CHARACTER && inKey) return ['is part of a key in which blanks at the end of a text do not count', 'text'];
  const [, precision] = /^time(?:stamp)?\((\d)\)/.exec(nativeType) ?? [];
  if (precision !== undefined && Number(precision) < 6) return ['rounds what it is given', nativeType.replace(/\(\d\)/, '')];
  if (kind === 'decimal' && /,\s*-/.test(nativeType)) return ['rounds what it is given', 'numeric'];
  if (kind === 'decimal' && inKey && nativeType === 'numeric') return ['is part of a key and has no scale, so that one value has many texts', 'numeric(precision,scale)'];
  return null;
}
