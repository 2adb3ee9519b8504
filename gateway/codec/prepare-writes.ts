import type { WriteOperation } from '../../core/operation.ts';
import type { TableRef } from '../../core/routing-table.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { InsertManyRequest, MutateRequest } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import type { PreparedWrites, PrepareWrites } from '../flow/executor.ts';
import type { TableHandle } from './table-handle.ts';
import { checkRequestId } from './once.ts';
import { type DecodedWrite, decodeWrite, orderKey, sizeOf, type WriteKind, type WriteRequest } from './validate-writes.ts';

const mostMutations = 1_000;

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

/** One write of a call with the table's name as its caller gave it. */
export interface NamedWrite {
  readonly name: string;
  readonly kind: WriteKind;
  readonly request: WriteRequest;
  /** Stands before every field's name in messages. */
  readonly at: string;
  /** What messages call the row itself, where that is not its field's name behind `at`. */
  readonly rowField?: string;
}

/** The writes of an InsertMany, checked as far as that is possible before their table is known. */
export function insertsOf({ table, rows, returning, requestId }: InsertManyRequest): readonly NamedWrite[] {
  if (table === '') throw argument('table: missing; give "orders" or "keyspace.orders"');
  checkRequestId(requestId);
  if (rows.length === 0 || rows.length > mostMutations) throw argument(`rows: got ${rows.length}; must be 1 to ${mostMutations}`);
  return rows.map((row, index) => ({
    name: table,
    kind: 'insert',
    request: { $typeName: 'switchyard.data.v1.InsertRequest', table, row, returning, validateOnly: false, requestId: '' },
    at: '',
    rowField: `rows[${index}]`,
  }));
}

/** The writes of a Mutate, checked as far as that is possible before their tables are known. */
export function writesOf(request: MutateRequest): readonly NamedWrite[] {
  checkRequestId(request.requestId);
  const count = request.mutations.length;
  if (count === 0 || count > mostMutations) throw argument(`mutations: got ${count}; must be 1 to ${mostMutations}`);
  return request.mutations.map(({ kind }, index) => {
    const at = `mutations[${index}].`;
    if (kind.case === undefined) throw argument(`mutations[${index}]: a mutation without a kind; set insert, upsert, update or delete`);
    const inner = kind.value;
    if (inner.table === '') throw argument(`${at}${kind.case}.table: missing; give "orders" or "keyspace.orders"`);
    if (inner.validateOnly) throw argument(`${at}${kind.case}.validate_only: belongs to the whole Mutate`);
    if (inner.requestId !== '') throw argument(`${at}${kind.case}.request_id: belongs to the whole Mutate`);
    return { name: inner.table, kind: kind.case, request: inner, at: `${at}${kind.case}.` };
  });
}

/** Turns writes into operations on the shapes that their route leads to. */
export const preparerOf =
  (writes: readonly NamedWrite[]): PrepareWrites =>
  (handles, refs): PreparedWrites => {
    const decoded = writes.map((write) => ({ write, decoded: decodeWrite(routed(handles, write.name), write.kind, write.request, write.at, write.rowField) }));
    const schemas = new Map<string, TableSchema>();
    for (const handle of handles.values()) schemas.set(handle.schema.name, handle.schema);
    const operations: WriteOperation[] = decoded.map(({ decoded: { operation } }) => operation);
    return {
      schemas,
      operations,
      orderKeys: () =>
        decoded.flatMap(({ write, decoded: { keys } }: { write: NamedWrite; decoded: DecodedWrite }) => keys.map((key) => orderKey(routed(refs, write.name).key, key))),
      bytes: () => operations.reduce((sum, operation) => sum + sizeOf(operation), 0),
    };
  };

/** What the route has found for a table, by the name that its caller gave. */
export function routed<T extends TableHandle | TableRef>(map: ReadonlyMap<string, T>, name: string): T {
  const found = map.get(name);
  if (found === undefined) throw new Error(`table ${name} of a write was not routed`);
  return found;
}
