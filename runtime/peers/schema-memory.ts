import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { TableShape } from '../../gen/switchyard/store/v1/common_pb.ts';

type Describe = (keyspace: string, table: string, signal: AbortSignal) => Promise<TableSchema | null>;

/** Shapes of one table that are remembered: whoever was told of an earlier one goes on with it, as with a store of its own, until the store itself refuses. */
const mostShapes = 4;
const mostTables = 10_000;

/** The shapes that peers have been told of, by name and fingerprint: what they send are cells in that order. Only what the own store has described is ever taken for a shape. */
export class SchemaMemory {
  readonly #describe: Describe;
  readonly #known = new Map<string, readonly TableSchema[]>();

  constructor(describe: Describe) {
    this.#describe = describe;
  }

  /** The shape as the store tells it now. Null: no such table. */
  async describe(keyspace: string, table: string, signal: AbortSignal): Promise<TableSchema | null> {
    const schema = await this.#describe(keyspace, table, signal);
    if (schema !== null) this.#remember(keyspace, schema);
    return schema;
  }

  /** The shape that a request names, asked of the store where it is not remembered. SCHEMA_CHANGED: the table has another one. TABLE_UNKNOWN. */
  async find(keyspace: string, shape: TableShape | undefined, signal: AbortSignal): Promise<TableSchema> {
    if (shape === undefined || shape.table === '') throw new SwitchyardError('ARGUMENT_INVALID', 'table: missing');
    const { table, fingerprint } = shape;
    const known = this.#known.get(keyOf(keyspace, table))?.find((schema) => schema.fingerprint === fingerprint);
    if (known !== undefined) return known;
    const schema = await this.describe(keyspace, table, signal);
    const metadata = { table, keyspace };
    if (schema === null) throw new SwitchyardError('TABLE_UNKNOWN', `keyspace "${keyspace}" has no table "${table}"`, { metadata });
    if (schema.fingerprint === fingerprint) return schema;
    throw new SwitchyardError('SCHEMA_CHANGED', `table "${table}" of keyspace "${keyspace}" has another shape by now than the caller knows; nothing was done`, { metadata });
  }

  /** Those that a request names, by table. */
  async findAll(keyspace: string, shapes: readonly TableShape[], signal: AbortSignal): Promise<ReadonlyMap<string, TableSchema>> {
    const schemas = new Map<string, TableSchema>();
    for (const shape of shapes) schemas.set(shape.table, await this.find(keyspace, shape, signal));
    return schemas;
  }

  #remember(keyspace: string, schema: TableSchema): void {
    const key = keyOf(keyspace, schema.name);
    const known = this.#known.get(key) ?? [];
    // The same object as before: what was prepared for it is found again.
    if (known[0]?.fingerprint === schema.fingerprint) return;
    if (this.#known.size >= mostTables) this.#known.clear();
    this.#known.set(key, [schema, ...known.filter(({ fingerprint }) => fingerprint !== schema.fingerprint)].slice(0, mostShapes));
  }
}

const keyOf = (keyspace: string, table: string): string => JSON.stringify([keyspace, table]);
