import type { Cell } from '../../core/cell.ts';
import { patternFault } from '../../core/like-pattern.ts';
import type { CompareOperator, Filter } from '../../core/operation.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { Comparison_Operator, type Filter as WireFilter, type TupleComparison } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { Value } from '../../gen/switchyard/data/v1/value_pb.ts';
import { columnOf } from './columns.ts';
import { decodeCell, invalid } from '../../runtime/wire/decode-cell.ts';
import type { TableHandle } from './table-handle.ts';

const deepest = 20;
const mostConditions = 1_000;
/** Values in one list. */
export const mostValues = 1_000;
const mostTupleColumns = 16;

const operators: Readonly<Record<number, CompareOperator>> = {
  [Comparison_Operator.EQUAL]: '=',
  [Comparison_Operator.NOT_EQUAL]: '<>',
  [Comparison_Operator.LESS]: '<',
  [Comparison_Operator.LESS_OR_EQUAL]: '<=',
  [Comparison_Operator.GREATER]: '>',
  [Comparison_Operator.GREATER_OR_EQUAL]: '>=',
};

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

/** Checks a filter (at most 1,000 conditions, 20 deep) against the table. `field` names where it stands in the request. Absent: null. */
export function decodeFilter(handle: TableHandle, filter: WireFilter | undefined, field: string): Filter | null {
  if (filter === undefined) return null;
  let conditions = 0;
  const decode = (given: WireFilter, at: string, depth: number): Filter => {
    conditions += 1;
    if (depth > deepest) throw argument(`${at}: filters may be nested at most ${deepest} deep`);
    if (conditions > mostConditions) throw argument(`${field}: a filter may hold at most ${mostConditions} conditions`);
    const { kind } = given;
    switch (kind.case) {
      case 'compare': {
        const { column: name, operator: wireOperator, value } = kind.value;
        const operator = operators[wireOperator];
        if (operator === undefined) throw argument(`${at}.compare.operator: got ${wireOperator}; must be one of OPERATOR_EQUAL to OPERATOR_GREATER_OR_EQUAL`);
        const column = comparable(handle, name, `${at}.compare.column`, operator === '=' || operator === '<>');
        return { kind: 'compare', column: column.name, operator, value: comparand(value, column, `${at}.compare.value`) };
      }
      case 'in': {
        const { column: name, values } = kind.value;
        const column = comparable(handle, name, `${at}.in.column`, false);
        if (values.length === 0 || values.length > mostValues) throw argument(`${at}.in.values: got ${values.length}; must be 1 to ${mostValues} values`);
        return { kind: 'in', column: column.name, values: values.map((value, index) => comparand(value, column, `${at}.in.values[${index}]`)) };
      }
      case 'isNull':
        return { kind: 'isNull', column: columnOf(handle, kind.value.column, `${at}.is_null.column`).name };
      case 'prefix': {
        const column = textual(handle, kind.value.column, `${at}.prefix.column`, 'a prefix');
        return { kind: 'prefix', column: column.name, text: kind.value.text };
      }
      case 'like': {
        const column = textual(handle, kind.value.column, `${at}.like.column`, 'a pattern');
        const fault = patternFault(kind.value.pattern);
        if (fault !== null) throw argument(`${at}.like.pattern: got ${JSON.stringify(kind.value.pattern)}; ${fault}`);
        return { kind: 'like', column: column.name, pattern: kind.value.pattern };
      }
      case 'tuple':
        return decodeTuple(handle, kind.value, `${at}.tuple`);
      case 'and':
      case 'or': {
        const { filters } = kind.value;
        if (filters.length === 0) throw argument(`${at}.${kind.case}.filters: must hold at least one filter`);
        return { kind: kind.case, filters: filters.map((inner, index) => decode(inner, `${at}.${kind.case}.filters[${index}]`, depth + 1)) };
      }
      case 'not':
        return { kind: 'not', filter: decode(kind.value, `${at}.not`, depth + 1) };
      default:
        throw argument(`${at}: a filter without a kind; set compare, in, is_null, prefix, like, tuple, and, or, or not`);
    }
  };
  return decode(filter, field, 1);
}

function decodeTuple(handle: TableHandle, { columns, operator: wireOperator, values }: TupleComparison, at: string): Filter {
  const operator = operators[wireOperator];
  if (operator === undefined) throw argument(`${at}.operator: got ${wireOperator}; must be one of OPERATOR_EQUAL to OPERATOR_GREATER_OR_EQUAL`);
  if (columns.length < 2 || columns.length > mostTupleColumns) throw argument(`${at}.columns: got ${columns.length}; must be 2 to ${mostTupleColumns} columns`);
  if (values.length !== columns.length) throw argument(`${at}.values: got ${values.length}; must be one for each of the ${columns.length} columns`);
  const twice = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twice !== undefined) throw argument(`${at}.columns: "${twice}" is named twice`);
  const cells = columns.map((name, index) => comparand(values[index], comparable(handle, name, `${at}.columns[${index}]`, false), `${at}.values[${index}]`));
  return { kind: 'tuple', columns, operator, values: cells };
}

/** A column of text, or of an enum, which is matched by its labels. */
function textual(handle: TableHandle, name: string, field: string, what: string): ColumnSchema {
  const column = columnOf(handle, name, field);
  if (column.kind !== 'text' && column.kind !== 'enum') throw argument(`${field}: "${column.name}" is of kind ${column.kind}; ${what} needs a column of kind text or enum`);
  return column;
}

function comparable(handle: TableHandle, name: string, field: string, forEquality: boolean): ColumnSchema {
  const column = columnOf(handle, name, field);
  if (!forEquality && (column.kind === 'json' || column.kind === 'array'))
    throw argument(`${field}: "${column.name}" is of kind ${column.kind}, which has no order; only OPERATOR_EQUAL, OPERATOR_NOT_EQUAL and is_null can be asked`);
  return column;
}

function comparand(value: Value | undefined, column: ColumnSchema, field: string): Cell {
  const cell = decodeCell(value, column, field);
  if (cell === null) throw invalid(value, column, field, 'a comparison with NULL is never true; use is_null');
  return cell;
}
