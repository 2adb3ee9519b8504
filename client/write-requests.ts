import { setOwnMember } from '../core/own-member.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import { amountOf, type ChangesOf, type KeyOf, type NewRowOf, type TableType } from './table-type.ts';
import { columnOf, wireRow, wireValue } from './values.ts';
import { filterOf, type Where } from './where.ts';

/* The requests of writes, which are the same in a call of its own, within a transaction and as a part of a mutate. */

export interface Returning<K> {
  /** Columns to return; left out: the primary key. */
  readonly returning?: readonly K[];
}
/** What must be so of the row that is there. */
export interface OnRow<T extends TableType> {
  readonly where?: Where<T>;
}
interface Tag {
  readonly etag?: string;
}

export const insertRequest = <T extends TableType>(table: T, row: NewRowOf<T>, { returning = [] }: Returning<string> = {}) => ({
  table: table.name,
  row: wireRow(table, row),
  returning: [...returning],
});

export const insertManyRequest = <T extends TableType>(table: T, rows: readonly NewRowOf<T>[], { returning = [] }: Returning<string> = {}) => ({
  table: table.name,
  rows: rows.map((row) => wireRow(table, row)),
  returning: [...returning],
});

export const upsertRequest = <T extends TableType>(table: T, row: NewRowOf<T> & KeyOf<T>, { returning = [], where }: Returning<string> & OnRow<T> = {}) => ({
  table: table.name,
  row: wireRow(table, row),
  ...preconditionOf(table, where),
  returning: [...returning],
});

export function updateRequest<T extends TableType>(table: T, key: KeyOf<T>, changes: ChangesOf<T>, { returning = [], where, etag }: Returning<string> & OnRow<T> & Tag = {}) {
  const set: Record<string, unknown> = {};
  const added: Record<string, ReturnType<typeof wireValue>> = {};
  for (const [name, value] of Object.entries(changes)) {
    const amount = amountOf(value);
    if (amount === undefined) setOwnMember(set, name, value);
    else setOwnMember(added, name, wireValue(columnOf(table, name), name, amount));
  }
  return {
    table: table.name,
    key: wireRow(table, key),
    row: wireRow(table, set),
    ...(Object.keys(added).length === 0 ? {} : { add: { cells: added } }),
    ...preconditionOf(table, where),
    etag: checkedTag(etag),
    returning: [...returning],
  };
}

export const deleteRequest = <T extends TableType>(table: T, key: KeyOf<T>, { where, etag }: OnRow<T> & Tag = {}) => ({
  table: table.name,
  key: wireRow(table, key),
  allowMissing: true,
  etag: checkedTag(etag),
  ...preconditionOf(table, where),
});

function preconditionOf<T extends TableType>(table: T, where: Where<T> | undefined) {
  const precondition = filterOf(table, where);
  return precondition === undefined ? {} : { precondition };
}

/** On the wire an empty tag is no condition at all: a tag that got lost would let every row pass. */
function checkedTag(etag: string | undefined): string {
  if (etag === '') throw new SwitchyardError('ARGUMENT_INVALID', 'etag: got an empty text, which no row has; leave it out for a write without this condition');
  return etag ?? '';
}
