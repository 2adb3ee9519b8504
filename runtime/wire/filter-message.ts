import type { CompareOperator, Filter } from '../../core/operation.ts';
import { columnNamed, type TableSchema } from '../../core/table-schema.ts';
import { Comparison_Operator, type Filter as WireFilter } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { sentCell } from './cells.ts';

const operators: Readonly<Record<CompareOperator, Comparison_Operator>> = {
  '=': Comparison_Operator.EQUAL,
  '<>': Comparison_Operator.NOT_EQUAL,
  '<': Comparison_Operator.LESS,
  '<=': Comparison_Operator.LESS_OR_EQUAL,
  '>': Comparison_Operator.GREATER,
  '>=': Comparison_Operator.GREATER_OR_EQUAL,
};

/** A filter on this table as a message. COLUMN_UNKNOWN. */
export function filterMessage(table: TableSchema, filter: Filter): WireFilter {
  return { $typeName: 'switchyard.data.v1.Filter', kind: kindOf(table, filter) };
}

export const optionalFilter = (table: TableSchema, filter: Filter | null): { readonly filter: WireFilter } | object =>
  filter === null ? {} : { filter: filterMessage(table, filter) };

function kindOf(table: TableSchema, filter: Filter): WireFilter['kind'] {
  switch (filter.kind) {
    case 'compare': {
      const column = columnNamed(table, filter.column);
      return {
        case: 'compare',
        value: { $typeName: 'switchyard.data.v1.Comparison', column: column.name, operator: operators[filter.operator], value: sentCell(column, filter.value) },
      };
    }
    case 'in': {
      const column = columnNamed(table, filter.column);
      return { case: 'in', value: { $typeName: 'switchyard.data.v1.InList', column: column.name, values: filter.values.map((cell) => sentCell(column, cell)) } };
    }
    case 'isNull':
      return { case: 'isNull', value: { $typeName: 'switchyard.data.v1.NullTest', column: filter.column } };
    case 'prefix':
      return { case: 'prefix', value: { $typeName: 'switchyard.data.v1.Prefix', column: filter.column, text: filter.text } };
    case 'like':
      return { case: 'like', value: { $typeName: 'switchyard.data.v1.Like', column: filter.column, pattern: filter.pattern } };
    case 'tuple':
      return {
        case: 'tuple',
        value: {
          $typeName: 'switchyard.data.v1.TupleComparison',
          columns: [...filter.columns],
          operator: operators[filter.operator],
          values: filter.columns.map((name, index) => sentCell(columnNamed(table, name), filter.values[index] ?? null)),
        },
      };
    case 'and':
    case 'or':
      if (filter.filters.length === 0) return constant(table, filter.kind === 'and');
      return { case: filter.kind, value: { $typeName: 'switchyard.data.v1.FilterList', filters: filter.filters.map((each) => filterMessage(table, each)) } };
    case 'not':
      return { case: 'not', value: filterMessage(table, filter.filter) };
  }
}

/** What every row satisfies, or none: a part of a key is never NULL. */
function constant({ primaryKey }: TableSchema, everyRow: boolean): WireFilter['kind'] {
  const isNull: WireFilter['kind'] = { case: 'isNull', value: { $typeName: 'switchyard.data.v1.NullTest', column: primaryKey[0] ?? '' } };
  return everyRow ? { case: 'not', value: { $typeName: 'switchyard.data.v1.Filter', kind: isNull } } : isNull;
}
