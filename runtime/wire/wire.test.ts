import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from '@jest/globals';
import { type Cell, cellsEqual } from '../../core/cell.ts';
import { type ChangeEvent, type ChangeTransaction, unchanged } from '../../core/change.ts';
import { attempt, position } from '../../core/ids.ts';
import type { Filter, WriteOperation } from '../../core/operation.ts';
import type { TableExtras } from '../../core/table-extras.ts';
import type { ColumnSchema, TableSchema } from '../../core/table-schema.ts';
import { DeleteResponseSchema, FilterSchema, InsertManyResponseSchema, InsertResponseSchema, MutateResponseSchema } from '../../gen/switchyard/data/v1/data_service_pb.ts';
import { CellsSchema, ChangeEventSchema, FenceRowSchema, type FenceState, TableDefinitionSchema, TableSchemaSchema } from '../../gen/switchyard/store/v1/common_pb.ts';
import { ChangeTransactionSchema, FollowResponseSchema } from '../../gen/switchyard/store/v1/replication_store_pb.ts';
import { answerBytes } from './answer-bytes.ts';
import { cellsFromMessage, cellsMessage, orderedCells } from './cells.ts';
import { eventFromMessage, eventMessage, transactionFromMessage, transactionMessage } from './change-message.ts';
import { definitionFromMessage, definitionMessage } from './definition-message.ts';
import { fenceRowFromMessage, fenceRowMessage } from './fence-message.ts';
import { filterMessage } from './filter-message.ts';
import { messageFromText, messageToText } from './message-json.ts';
import { schemaFromMessage, schemaMessage } from './table-schema.ts';
import { resultFromMessage, resultMessage } from './write-message.ts';

/* What two services say to each other is read as it was meant, over both protocols; and what only one of them knows is left out, or refused where it must not be. */

const column = (name: string, kind: ColumnSchema['kind'], more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  kind,
  nullable: true,
  hasDefault: false,
  generated: false,
  nativeType: kind,
  ...more,
});
const table: TableSchema = {
  name: 'every',
  columns: [
    column('id', 'int64', { nullable: false, numbered: true, limits: { least: '-128', most: '127' } }),
    column('b', 'bool'),
    column('s', 'int16'),
    column('u', 'uint64'),
    column('f', 'float32'),
    column('d', 'float64', { limits: { without: ['NaN', '-0', 'infinity'] } }),
    column('n', 'decimal', { storedType: 'numeric(12,2)', ownWay: 'is a domain' }),
    column('t', 'text', { limits: { characters: { most: 3, exactly: true }, noBlankAtEnd: true } }),
    column('y', 'bytes', { limits: { bytes: { most: 16_777_215, exactly: false } } }),
    column('z', 'timestamptz'),
    column('j', 'json'),
    column('a', 'array', { elementKind: 'text' }),
  ],
  primaryKey: ['id'],
  uniqueKeys: [{ name: 'every_t', columns: ['t'] }],
  fingerprint: 'f1',
};
const rows: readonly (readonly Cell[])[] = [
  [-(2n ** 63n), true, -32_768, 2n ** 64n - 1n, -0, Number.NEGATIVE_INFINITY, '-0.10', 'ünï🚂\u0000', new Uint8Array([0, 255]), 2n ** 63n - 1n, '{"n": 1e400}', ['', null, '"']],
  [1n, false, 0, 0n, 0.5, Number.NaN, 'NaN', '', new Uint8Array(), 0n, 'null', []],
  [2n, ...Array.from({ length: 11 }, () => null)],
];
const schemas = new Map([['every', table]]);

describe.each([
  ['protobuf', <D extends Parameters<typeof toBinary>[0]>(desc: D, message: Parameters<typeof toBinary<D>>[1]) => fromBinary(desc, toBinary(desc, message))],
  ['JSON', <D extends Parameters<typeof toBinary>[0]>(desc: D, message: Parameters<typeof toBinary<D>>[1]) => messageFromText(desc, messageToText(desc, message as never))],
] as const)('over %s', (_, sent) => {
  test('cells of every kind come as they were, bit by bit', () => {
    for (const row of rows) {
      const read = cellsFromMessage(table.columns, sent(CellsSchema, cellsMessage(table.columns, row)), 'row');
      expect(read.every((cell, index) => cellsEqual(cell, row[index] ?? null))).toBe(true);
    }
  });

  test('a shape comes with all that whoever moves it must know', () => {
    expect(schemaFromMessage(sent(TableSchemaSchema, schemaMessage(table, 'postgres')))).toEqual({ ...table, storeKind: 'postgres' });
  });

  test('a definition comes with all that stores of other kinds are told', () => {
    const extras: TableExtras = {
      defaults: new Map([
        ['id', { kind: 'numbered' }],
        ['z', { kind: 'now' }],
        ['y', { kind: 'value', cell: new Uint8Array([0, 255]) }],
        ['s', { kind: 'value', cell: -1 }],
        ['t', { kind: 'value', cell: null }],
      ]),
      labels: new Map([['j', ['b', '', 'a']]]),
      indexes: [
        {
          name: 'by',
          columns: [
            { name: 's', descending: true },
            { name: 'u', descending: false },
          ],
        },
      ],
      foreignKeys: [{ name: 'to', columns: ['s', 'u'], references: 'other', referencedColumns: ['b', 'a'] }],
      leftOut: ['an index'],
    };
    const definition = { schema: { ...table, storeKind: 'postgres' }, extras, more: ['a check'], native: { kind: 'postgres', detail: { a: [1] } } };
    expect(definitionFromMessage(sent(TableDefinitionSchema, definitionMessage(definition)))).toEqual(definition);
  });

  test('changes come in their order, with what has not changed told from NULL', () => {
    const events: readonly ChangeEvent[] = [
      { kind: 'insert', table: 'every', row: rows[0] ?? [] },
      { kind: 'update', table: 'every', row: (rows[1] ?? []).map((cell, index) => (index === 7 ? unchanged : index === 8 ? null : cell)), oldKey: [7n] },
      { kind: 'update', table: 'every', row: rows[2] ?? [], oldKey: null },
      { kind: 'delete', table: 'every', key: [1n] },
      { kind: 'truncate', tables: ['every'] },
      { kind: 'marker', attempt: attempt(9) },
      { kind: 'watermark', id: 4_000_000_000 },
      { kind: 'request', record: { caller: '', id: 'é', table: 'every', digest: 'd', result: new Uint8Array([0, 1]), recordedAtMicros: 5n } },
    ];
    const transaction: ChangeTransaction = { id: 4_294_967_295, position: position('0/1'), ageMs: 0.5, events };
    const message = transactionMessage(
      transaction,
      events.map((event) => eventMessage(schemas, event)),
    );
    expect(transactionFromMessage(schemas, sent(ChangeTransactionSchema, message))).toEqual(transaction);
    expect(transactionFromMessage(schemas, sent(ChangeTransactionSchema, transactionMessage({ ...transaction, id: null }, []))).id).toBeNull();
  });

  test('fence rows come as they were', () => {
    for (const state of ['OPEN', 'FROZEN', 'SEALED', 'CLOSED', 'READABLE'] as const) {
      for (const workflow of ['move', null]) {
        const row = { table: 'every', state, attempt: attempt(3), peer: 'new', workflow };
        expect(fenceRowFromMessage(sent(FenceRowSchema, fenceRowMessage(row)))).toEqual(row);
      }
    }
  });

  test('a filter comes with its values; empty ones mean what they mean', () => {
    const filters: readonly Filter[] = [
      { kind: 'compare', column: 'd', operator: '=', value: -0 },
      { kind: 'tuple', columns: ['t', 'id'], operator: '>=', values: ['x', 1n] },
      { kind: 'and', filters: [] },
      {
        kind: 'or',
        filters: [
          { kind: 'or', filters: [] },
          { kind: 'not', filter: { kind: 'like', column: 't', pattern: 'a%' } },
        ],
      },
    ];
    expect(filters.map((filter) => sent(FilterSchema, filterMessage(table, filter)).kind.case)).toEqual(['compare', 'tuple', 'not', 'or']);
  });
});

test('half a character is refused: the wire would make another one of it', () => {
  const cells: readonly Cell[] = (rows[2] ?? []).map((cell, index) => (index === 7 ? 'a\ud83d' : cell));
  expect(() => cellsMessage(table.columns, cells)).toThrow(expect.objectContaining({ reason: 'VALUE_INVALID' }));
  expect(() => filterMessage(table, { kind: 'compare', column: 't', operator: '=', value: '\ud83d' })).toThrow(expect.objectContaining({ reason: 'VALUE_INVALID' }));
});

test('what only another release knows is left out, or refused where it must not be', () => {
  expect(messageFromText(FollowResponseSchema, '{"transactions": [], "later": 1}').transactions).toEqual([]);
  expect(() => messageFromText(FollowResponseSchema, '[]')).toThrow(expect.objectContaining({ reason: 'ARGUMENT_INVALID' }));
  // A field of a number that this release does not have.
  const unknown = fromBinary(ChangeEventSchema, new Uint8Array([0x7a, 0x01, 0x00]));
  expect(() => eventFromMessage(schemas, unknown)).toThrow(expect.objectContaining({ reason: 'STREAM_FAILED' }));
  const state = create(FenceRowSchema, { table: 'every', state: 77 as FenceState });
  expect(() => fenceRowFromMessage(state)).toThrow(expect.objectContaining({ reason: 'STORE_FAILED' }));
});

test('a write’s answer is the message of its method, in whatever order the store returns its columns', () => {
  const insert: WriteOperation = { kind: 'insert', table: 'every', row: { columns: ['id'], cells: [5n] }, returning: ['t', 'id'] };
  const remove: WriteOperation = { kind: 'delete', table: 'every', key: [5n], precondition: null, allowMissing: true };
  const results = [
    { found: true, row: { columns: ['id', 't'], cells: [5n, 'x'] } },
    { found: false, row: null },
  ];
  const written = { schemas, operations: [insert, remove] };
  const sent = results.map((result, index) => resultMessage(schemas, written.operations[index] as WriteOperation, result));
  expect(sent.map((result, index) => resultFromMessage(schemas, written.operations[index] as WriteOperation, result))).toEqual([
    { found: true, row: { columns: ['t', 'id'], cells: ['x', 5n] } },
    { found: false, row: null },
  ]);
  expect(orderedCells(['t', 'id'], { columns: ['id', 't'], cells: [5n, 'x'] })).toEqual(['x', 5n]);
  const mutated = fromBinary(MutateResponseSchema, answerBytes('mutate', written, results, 1_000));
  expect(mutated.results.map(({ row, deleted }) => [row?.cells.t?.kind.value, deleted])).toEqual([
    ['x', false],
    [undefined, false],
  ]);
  const one = { schemas, operations: [insert] };
  expect(fromBinary(InsertResponseSchema, answerBytes('insert', one, results.slice(0, 1), 1_000)).row?.cells.id?.kind.value).toBe(5n);
  expect(fromBinary(InsertManyResponseSchema, answerBytes('insertMany', one, results.slice(0, 1), 1_000)).rows).toHaveLength(1);
  expect(fromBinary(DeleteResponseSchema, answerBytes('delete', { schemas, operations: [remove] }, [{ found: true, row: null }], 1_000)).deleted).toBe(true);
  expect(() => answerBytes('insert', one, results.slice(0, 1), 3)).toThrow(expect.objectContaining({ reason: 'RESULT_TOO_LARGE' }));
});
