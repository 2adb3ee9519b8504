import type { Problem, TableDefinition } from '../../backends/backend.ts';
import { isForeign, type Keyspace } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { noExtras, type TableExtras } from '../../core/table-extras.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { Stored, Topology } from '../../topo/topology.ts';
import { finding, type Finding, precheckError } from '../cutover/finding.ts';
import { ownerAndPlayer } from '../store-checks.ts';
import type { Departure } from './departure.ts';
import { OrderedRows, sourcePages, unorderedColumn } from './ordered-rows.ts';

/** The source's tables as they would be made in the target. PRECHECK_FAILED names each that cannot leave, with why. */
export async function definitionsOf({ source, tables }: Departure, signal: AbortSignal): Promise<readonly TableDefinition[]> {
  const found = await Promise.all(tables.map(async (table) => ({ table, schema: await source.store.describe(table, signal) })));
  const problems = found.flatMap(({ table, schema }) => {
    if (schema === null) return [`${source.keyspace}.${table}: there is no such table`];
    const column = unorderedColumn(schema);
    return column === null
      ? []
      : [`${source.keyspace}.${table}: column "${column}" of its key is neither a whole number nor a UUID, and a service's order of others cannot be relied on`];
  });
  if (problems.length > 0) throw new SwitchyardError('PRECHECK_FAILED', problems.join('\n'), { metadata: { problems: String(problems.length) } });
  return found.flatMap(({ schema }) => (schema === null ? [] : [{ schema, extras: extrasOf(schema), more: [], native: { kind: source.kind, detail: null } }]));
}

/** A service tells of no defaults. A single whole number that is the key and need not be given is one that it counts, as a store does. */
function extrasOf({ columns, primaryKey }: TableSchema): TableExtras {
  const numbered = columns.filter(({ name, kind, hasDefault }) => hasDefault && primaryKey.length === 1 && primaryKey[0] === name && /^int\d+$/.test(kind));
  return { ...noExtras, defaults: new Map(numbered.map(({ name }) => [name, { kind: 'numbered' }])) };
}

/** Other keyspaces that lead to the same service: what is called there by their names would pass the barrier by. */
export function otherNames({ source }: Departure, keyspaces: readonly Stored<Keyspace>[]): readonly Finding[] {
  const addressesOf = (name: string): readonly string[] =>
    keyspaces.flatMap(({ value }) => (value.name === name ? value.shards : [])).flatMap((shard) => ('gateways' in shard && isForeign(shard) ? shard.gateways : []));
  const own = new Set(addressesOf(source.keyspace));
  return keyspaces.flatMap(({ value: { name } }) =>
    name !== source.keyspace && addressesOf(name).some((address) => own.has(address))
      ? [
          finding(
            'PRECHECK_FAILED',
            `keyspace "${name}" names the same service as "${source.keyspace}": callers under its name would not be held`,
            'apply it anew with another address',
          ),
        ]
      : [],
  );
}

/** PRECHECK_FAILED, NOT_SUPPORTED: the target cannot take the tables, or the service cannot list their rows page by page. */
export async function checkDeparture(departure: Departure, topology: Topology, signal: AbortSignal): Promise<void> {
  const { source, target, tables } = departure;
  const findings = otherNames(departure, await topology.keyspaces(signal));
  if (findings.length > 0) throw precheckError(findings);
  const definitions = await definitionsOf(departure, signal);
  for (const { schema } of definitions) await checkPages(departure, schema, signal);
  const problems = await ownerAndPlayer(target, () => target.owner.checkTables(tables, 'target', signal), signal);
  const said = ({ table, message, fix }: Problem): string => `${target.keyspace}${table === null ? '' : `.${table}`}: ${message} (${fix})`;
  if (problems.length > 0)
    throw new SwitchyardError('PRECHECK_FAILED', problems.map(said).join('\n'), { metadata: { problems: String(problems.length), source: source.keyspace } });
}

/** Two rows, one a page: a service that cannot go on behind a row is found out now, and not in the middle of a copy. */
async function checkPages({ source }: Departure, table: TableSchema, signal: AbortSignal): Promise<void> {
  const rows = new OrderedRows(sourcePages(source.store, table), table, 1);
  for (let row = 0; row < 2 && (await rows.peek(signal)) !== null; row += 1) rows.take();
}

/** What `create` would do, for people. */
export async function planDeparture(departure: Departure, signal: AbortSignal): Promise<string> {
  const { source, target, tables } = departure;
  const definitions = await definitionsOf(departure, signal);
  const missing: TableDefinition[] = [];
  for (const definition of definitions) if ((await target.player.describe(definition.schema.name, signal)) === null) missing.push(definition);
  const statements = await target.owner.planTables(missing, signal);
  return [
    `would claim ${tables.join(', ')}, compare ${source.keyspace} with ${target.keyspace} again and again, and create where it is missing:`,
    ...statements,
    `${source.keyspace} cannot fence: the switch is forward only, and safe only where nobody writes to it past the gateways`,
  ].join('\n');
}
