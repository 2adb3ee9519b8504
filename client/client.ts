/* What a program imports: docs/client.md. */
export type { Aggregated, Aggregation, Aggregations } from './aggregate.ts';
export { type Database, type DatabaseOptions, openDatabase, type Tables, type TransactionTables } from './database.ts';
export type { GatewaysOptions } from './gateways.ts';
export type { BatchTable, BatchTables, ResultsOf, Write } from './mutate.ts';
export type { RowChange, StreamOptions, Table, WatchOptions } from './table.ts';
export type {
  AggregateOptions,
  Alone,
  CallOptions,
  InTransaction,
  OrderTerm,
  Page,
  PageOptions,
  QueryOptions,
  ReadOptions,
  RowConditions,
  TableCalls,
  Tagged,
  WriteOptions,
} from './table-calls.ts';
export { type Amount, add, type ChangesOf, type ColumnType, type KeyOf, type NewRowOf, type RowOf, type TableType } from './table-type.ts';
export type { TransactOptions } from './transact.ts';
export { and, type Combined, type Columns, type Conditions, not, or, type Where } from './where.ts';
export { SwitchyardError } from '../core/switchyard-error.ts';
