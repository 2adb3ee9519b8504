import type { MessageInitShape } from '@bufbuild/protobuf';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { MutationResult, MutationSchema } from '../gen/switchyard/data/v1/data_service_pb.ts';
import { type CallOf, checkOptions } from './options.ts';
import type { ChangesOf, ColumnName, KeyName, KeyOf, NewRowOf, RowOf, TableType } from './table-type.ts';
import { programRow } from './values.ts';
import { deleteRequest, insertRequest, type OnRow, type Returning, updateRequest, upsertRequest } from './write-requests.ts';

const write = Symbol('write');
/** A write of a `mutate`, not yet done, and what it will come to. */
export interface Write<R> {
  readonly [write]: { readonly mutation: MessageInitShape<typeof MutationSchema>; readonly resultOf: (answer: MutationResult) => R };
}
export type ResultsOf<W extends readonly Write<unknown>[]> = { readonly [I in keyof W]: W[I] extends Write<infer R> ? R : never };

function checked<O>(call: CallOf<'batch'>, options: O): O {
  checkOptions('batch', call, options);
  return options;
}

/** The writes of one table that a `mutate` can be made of, as the calls of the same names. */
export class BatchTable<T extends TableType> {
  readonly #table: T;
  readonly #made: (made: Write<unknown>) => void;

  constructor(table: T, made: (made: Write<unknown>) => void) {
    this.#table = table;
    this.#made = made;
  }

  insert<K extends ColumnName<T> = KeyName<T>>(row: NewRowOf<T>, options?: Returning<K>): Write<RowOf<T, K>> {
    return this.#write({ case: 'insert', value: insertRequest(this.#table, row, checked('insert', options)) }, (answer) => this.#row(answer));
  }

  upsert<K extends ColumnName<T> = KeyName<T>>(row: NewRowOf<T> & KeyOf<T>, options?: Returning<K> & OnRow<T>): Write<RowOf<T, K>> {
    return this.#write({ case: 'upsert', value: upsertRequest(this.#table, row, checked('upsert', options)) }, (answer) => this.#row(answer));
  }

  update<K extends ColumnName<T> = KeyName<T>>(key: KeyOf<T>, changes: ChangesOf<T>, options?: Returning<K> & OnRow<T>): Write<RowOf<T, K>> {
    return this.#write({ case: 'update', value: updateRequest(this.#table, key, changes, checked('update', options)) }, (answer) => this.#row(answer));
  }

  delete(key: KeyOf<T>, options?: OnRow<T>): Write<boolean> {
    return this.#write({ case: 'delete', value: deleteRequest(this.#table, key, checked('delete', options)) }, ({ deleted }) => deleted);
  }

  #write<R>(kind: NonNullable<MessageInitShape<typeof MutationSchema>['kind']>, resultOf: (answer: MutationResult) => R): Write<R> {
    const made: Write<R> = { [write]: { mutation: { kind }, resultOf } };
    this.#made(made);
    return made;
  }

  #row<K extends ColumnName<T>>({ row }: MutationResult): RowOf<T, K> {
    return programRow(this.#table, row) as RowOf<T, K>;
  }
}

export type BatchTables<S extends Readonly<Record<string, TableType>>> = { readonly [N in keyof S]: BatchTable<S[N]> };

/** The writes that a function returns. ARGUMENT_INVALID where it has made one that it does not return: that one would not be done, and nobody would notice. */
export function writesOf<S extends Readonly<Record<string, TableType>>, W extends readonly Write<unknown>[]>(tables: S, make: (batch: BatchTables<S>) => W): W {
  const made = new Set<Write<unknown>>();
  const batch = Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, new BatchTable(table, (each) => made.add(each))]));
  const writes = make(batch as unknown as BatchTables<S>);
  if (!Array.isArray(writes)) throw new SwitchyardError('ARGUMENT_INVALID', 'mutate: the function must return an array of the writes that it makes, and no promise of one');
  if (writes.length !== made.size || !writes.every((each: Write<unknown>) => made.has(each)) || new Set(writes).size !== made.size)
    throw new SwitchyardError(
      'ARGUMENT_INVALID',
      `mutate: the function made ${made.size} writes and returned ${writes.length}; it must return each of them once, in the order in which they are to be done`,
    );
  return writes;
}

export const mutationsOf = (writes: readonly Write<unknown>[]) => writes.map((each) => each[write].mutation);

/** What each write has come to, in order. */
export function resultsOf<W extends readonly Write<unknown>[]>(writes: W, answers: readonly MutationResult[]): ResultsOf<W> {
  const results = writes.map((each, index) => {
    const answer = answers[index];
    if (answer === undefined) throw new SwitchyardError('INTERNAL', `the gateway answered ${writes.length} writes with ${answers.length} results`);
    return each[write].resultOf(answer);
  });
  return results as unknown as ResultsOf<W>;
}
