import { shapeDifferenceBetweenKinds, storeKindOf, type TableSchema } from '../core/table-schema.ts';
import type { Side } from './move.ts';

/** What keeps rows of the table `there` from being rows of the table `here`; null: nothing. Between stores of one kind the definitions are compared, between two what rows are made of. */
export function unlikeness(from: Pick<Side, 'kind'>, there: TableSchema, to: Pick<Side, 'kind'>, here: TableSchema): string | null {
  if (storeKindOf(there, from.kind) !== storeKindOf(here, to.kind)) return shapeDifferenceBetweenKinds(there, here);
  return there.fingerprint === here.fingerprint ? null : 'their definitions';
}
