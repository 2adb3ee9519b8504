import { create } from '@bufbuild/protobuf';
import { hasReason, SwitchyardError } from '../core/switchyard-error.ts';
import {
  Comparison_Operator,
  type DeleteRequest,
  type Filter,
  FilterSchema,
  type GetRequest,
  GetRequestSchema,
  type UpdateRequest,
} from '../gen/switchyard/data/v1/data_service_pb.ts';
import type { Row as WireRow } from '../gen/switchyard/data/v1/value_pb.ts';
import { isMatch, rowTag, type TagCondition } from './row-tag.ts';

const mostRounds = 8;

/** What reads the whole row that a write names. */
export const wholeRow = ({ table, key }: Pick<UpdateRequest, 'table' | 'key'>): GetRequest => create(GetRequestSchema, { table, ...(key === undefined ? {} : { key }) });

/** What a write of one row is refused with whose etag no row has. */
export const noTag = (table: string, why: string): SwitchyardError => new SwitchyardError('PRECONDITION_FAILED', `etag: ${why}; nothing was written`, { metadata: { table } });

export interface RowAccess {
  /** The whole row, read strongly. ROW_NOT_FOUND. */
  readonly read: () => Promise<WireRow>;
  /** Columns of the primary key, which the write names anyway. */
  readonly primaryKey: readonly string[];
  /** What the caller is told where no row with such a tag is there. */
  readonly noMatch: (why: string) => Error;
}

/**
 * Does an update or delete of a row that must have one of these tags. Comparing tags and then writing would be a race: the write carries the row that has the tag, cell by cell, as its precondition, which the store checks in the same statement. When the store finds another row then, the row
 * is read again: usually its tag no longer matches. `noMatch` where no row, or none with such a tag, is there. The caller's own precondition still answers PRECONDITION_FAILED.
 * A write with a request id goes to the store in any case, for it may have been done already: where the tag does not match, under a condition that no row satisfies.
 */
export async function writeIfMatch<R extends UpdateRequest | DeleteRequest, A>(condition: TagCondition, request: R, row: RowAccess, write: (request: R) => Promise<A>): Promise<A> {
  const { noMatch } = row;
  const missingIsNoMatch = (error: unknown): never => {
    throw hasReason(error, 'ROW_NOT_FOUND') ? noMatch('there is no such row') : error;
  };
  if (condition === 'any') return await write(strict(request, request.precondition)).catch(missingIsNoMatch);
  for (let round = 1; round <= mostRounds; round += 1) {
    const found = await row.read().catch(missingIsNull);
    if (found === null || !isMatch(condition, rowTag(found))) {
      const error = noMatch(found === null ? 'there is no such row' : 'the row has changed: its etag is another one');
      if (request.requestId === '' || request.validateOnly) throw error;
      return await write(strict(request, noRow(row.primaryKey))).catch((failure: unknown) => {
        throw hasReason(failure, 'PRECONDITION_FAILED', 'ROW_NOT_FOUND') ? error : failure;
      });
    }
    const sameRow = conditionsOf(found, row.primaryKey);
    const own = request.precondition === undefined ? [] : [request.precondition];
    const filters = [...own, ...sameRow];
    try {
      return await write(strict(request, filters.length === 0 ? undefined : create(FilterSchema, { kind: { case: 'and', value: { filters } } })));
    } catch (error) {
      if (hasReason(error, 'ROW_NOT_FOUND')) throw noMatch('there is no such row any more');
      if (!hasReason(error, 'PRECONDITION_FAILED')) throw error;
      // Either the row is another one by now, which the next look will tell, or it is the caller's own precondition that fails.
      if (own.length > 0 && isMatch(condition, rowTag(await row.read().catch(missingIsNoMatch)))) throw error;
    }
  }
  throw new SwitchyardError('SERIALIZATION_FAILURE', `the row changed and changed back ${mostRounds} times while it was written; nothing was written`);
}

/** What no row satisfies: a part of a key is never NULL. */
const noRow = ([column = '']: readonly string[]): Filter => create(FilterSchema, { kind: { case: 'isNull', value: { column } } });

/** Every cell of the row but the key's, as conditions. */
function conditionsOf(row: WireRow, primaryKey: readonly string[]): Filter[] {
  return Object.entries(row.cells)
    .filter(([column]) => !primaryKey.includes(column))
    .map(([column, value]) =>
      value.kind.case === 'nullValue'
        ? create(FilterSchema, { kind: { case: 'isNull', value: { column } } })
        : create(FilterSchema, { kind: { case: 'compare', value: { column, operator: Comparison_Operator.EQUAL, value } } }),
    );
}

/** The request under this precondition; a missing row is no success for who expects one. */
function strict<R extends UpdateRequest | DeleteRequest>(request: R, precondition: Filter | undefined): R {
  const copy: R = { ...request };
  if (precondition === undefined) delete copy.precondition;
  else copy.precondition = precondition;
  if (copy.$typeName === 'switchyard.data.v1.DeleteRequest') copy.allowMissing = false;
  return copy;
}

function missingIsNull(error: unknown): null {
  if (hasReason(error, 'ROW_NOT_FOUND')) return null;
  throw error;
}
