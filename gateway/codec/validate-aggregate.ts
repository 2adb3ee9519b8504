import { aggregateColumn, aggregateKind } from '../../core/aggregate-column.ts';
import type { AggregateGroup, AggregateOperation, Aggregation } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import type { AggregateRequest, AggregateResponse, Aggregation as WireAggregation } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { columnOf } from './columns.ts';
import { encodeCell } from '../../runtime/wire/encode-cell.ts';
import type { TableHandle } from './table-handle.ts';
import { decodeFilter } from './validate-filter.ts';

const mostAggregations = 16;
const mostGroups = 1_000;

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

/** The operation asks for one group more than is answered, to know whether there are too many. */
export function decodeAggregate(handle: TableHandle, request: AggregateRequest): AggregateOperation {
  const grouping = decodeGrouping(handle, request);
  return { filter: decodeFilter(handle, request.filter, 'filter'), ...grouping, limit: mostGroups + 1 };
}

/** What is computed, and by which groups. */
type Grouping = Pick<AggregateOperation, 'aggregations' | 'groupBy'>;

/** The part of a request that says what its answer's columns are. */
export function decodeGrouping(handle: TableHandle, request: Pick<AggregateRequest, 'aggregations' | 'groupBy'>): Grouping {
  const count = request.aggregations.length;
  if (count === 0 || count > mostAggregations) throw argument(`aggregations: got ${count}; must be 1 to ${mostAggregations}`);
  const aggregations = request.aggregations.map((aggregation, index) => decodeAggregation(handle, aggregation, `aggregations[${index}]`));
  return { aggregations, groupBy: decodeGroupBy(handle, request.groupBy) };
}

function decodeAggregation(handle: TableHandle, { kind }: WireAggregation, at: string): Aggregation {
  if (kind.case === undefined) throw argument(`${at}: an aggregation without a kind; set count, sum, min or max`);
  if (kind.case === 'count') return { kind: 'count' };
  const column = columnOf(handle, kind.value, `${at}.${kind.case}`);
  if (aggregateKind(kind.case, column.kind) === null) throw argument(`${at}.${kind.case}: "${column.name}" is of kind ${column.kind}; ${needs[kind.case]}`);
  return { kind: kind.case, column: column.name };
}

const needs = {
  sum: 'a sum needs a column of numbers',
  min: 'the smallest needs a column of numbers, text, dates or times',
  max: 'the largest needs a column of numbers, text, dates or times',
} as const;

function decodeGroupBy(handle: TableHandle, name: string): string | null {
  if (name === '') return null;
  const column = columnOf(handle, name, 'group_by');
  if (column.kind === 'json' || column.kind === 'array') throw argument(`group_by: "${name}" is of kind ${column.kind}, whose values have no order; group by another column`);
  return name;
}

/** The columns that an answer's groups and values are cells of; `group` null: all rows are one. */
export function columnsOfGroups(handle: TableHandle, { aggregations, groupBy }: Grouping): { readonly group: ColumnSchema | null; readonly values: readonly ColumnSchema[] } {
  const column = (name: string): ColumnSchema => columnOf(handle, name, 'aggregations');
  return { group: groupBy === null ? null : column(groupBy), values: aggregations.map((aggregation) => aggregateColumn(aggregation, column)) };
}

/** RESULT_TOO_LARGE where there are more groups than an answer holds. */
export function encodeGroups(handle: TableHandle, { aggregations, groupBy }: AggregateOperation, groups: readonly AggregateGroup[]): AggregateResponse {
  if (groups.length > mostGroups)
    throw new SwitchyardError(
      'RESULT_TOO_LARGE',
      `group_by: "${groupBy}" has more than ${mostGroups} values among these rows; narrow them by a filter, such as a range of "${groupBy}"`,
    );
  const { group, values } = columnsOfGroups(handle, { aggregations, groupBy });
  return {
    $typeName: 'switchyard.data.v1.AggregateResponse',
    groups: groups.map((found) => ({
      $typeName: 'switchyard.data.v1.AggregateGroup',
      ...(group === null ? {} : { group: encodeCell(group.kind, found.group) }),
      values: values.map(({ kind }, index) => encodeCell(kind, found.values[index] ?? null)),
    })),
  };
}
