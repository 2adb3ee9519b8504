import type { Movement, RulesDocument, TableRule } from '../../core/rules-document.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { RulesChange } from '../../topo/topology.ts';
import type { SideName } from '../move.ts';

/** The tables of a workflow as the rules name them. */
export interface Claim {
  readonly workflow: string;
  readonly source: string;
  readonly target: string;
  readonly tables: readonly string[];
  /** Tables whose bare name belongs to another keyspace's table: their rule is kept under the source-qualified name. */
  readonly bareElsewhere: ReadonlySet<string>;
  /** The source cannot fence; left out: it can. */
  readonly barrier?: true;
}

/** The qualified names under which a table is known while a workflow owns it and after. */
const qualifiedNames = (claim: Pick<Claim, 'source' | 'target'>, table: string): readonly string[] => [`${claim.source}.${table}`, `${claim.target}.${table}`];

interface Entry {
  readonly key: string;
  readonly rule: TableRule;
}

/** Every rule that one of these names leads to. */
function rulesNamed(document: RulesDocument, names: readonly string[]): readonly Entry[] {
  return Object.entries(document.tables).flatMap(([key, rule]) => (names.some((name) => key === name || rule.names.includes(name)) ? [{ key, rule }] : []));
}

/**
 * The rules with all the tables claimed for the workflow, under all their names. TABLE_OWNED names the workflow that owns one already; PRECHECK_FAILED says why a table cannot be moved from the source.
 */
export function claimTables(document: RulesDocument, claim: Claim): RulesChange {
  const { source } = claim;
  const redirect = document.keyspaces[source];
  if (redirect !== undefined) throw new SwitchyardError('PRECHECK_FAILED', `keyspace ${source} is redirected to ${redirect}: move the tables from ${redirect}`);
  const tables: Record<string, TableRule> = { ...document.tables };
  for (const table of claim.tables) {
    const { key, rule } = ruleFor(document, claim, table);
    const names = [...new Set([...(rule?.names ?? []), ...qualifiedNames(claim, table)])].filter((name) => name !== key);
    if (names.length > 16) throw new SwitchyardError('PRECHECK_FAILED', `table ${table} has ${names.length} names by now; remove old ones from the names of its rule "${key}"`);
    const movement: Movement = { workflow: claim.workflow, source, target: claim.target, want: 'source', ...(claim.barrier === undefined ? {} : { barrier: true }) };
    tables[key] = { attempt: rule?.attempt ?? 0, primary: source, writes: 'open', movement, names };
  }
  return { defaultKeyspace: document.defaultKeyspace, keyspaces: document.keyspaces, tables };
}

function ruleFor(document: RulesDocument, claim: Claim, table: string): { readonly key: string; readonly rule: TableRule | null } {
  const qualified = qualifiedNames(claim, table);
  const bare = rulesNamed(document, [table]);
  for (const { key, rule } of [...rulesNamed(document, qualified), ...bare]) {
    if (rule.movement === undefined) continue;
    const { workflow } = rule.movement;
    throw new SwitchyardError('TABLE_OWNED', `table ${table} is owned by workflow ${workflow} (rule "${key}"): complete or cancel that one first`, {
      metadata: { table, workflow },
    });
  }
  const own = rulesNamed(document, qualified)[0] ?? bare.find((entry) => entry.rule.primary === claim.source);
  if (own === undefined) return { key: bare.length > 0 || claim.bareElsewhere.has(table) ? `${claim.source}.${table}` : table, rule: null };
  if (own.rule.primary !== claim.source)
    throw new SwitchyardError(
      'PRECHECK_FAILED',
      `table ${table} is served by ${own.rule.primary} (rule "${own.key}"), not by ${claim.source}: the source of a move must be the keyspace that serves`,
    );
  if (own.rule.writes === 'held') throw new SwitchyardError('PRECHECK_FAILED', `writes of table ${table} are held by its rule "${own.key}": open them first`);
  return own;
}

/**
 * The rules without the workflow's movement. Names, primary and attempt stay: every name leads to the table for ever. To be written also where no rule names the workflow: whoever has read the rules before, and means to give them
 * back to it, then finds others.
 */
export function releaseTables(document: RulesDocument, workflow: string, primary: string): RulesChange {
  const owned = Object.entries(document.tables).filter(([, rule]) => rule.movement?.workflow === workflow);
  const tables = { ...document.tables };
  for (const [key, { movement: _movement, hold: _hold, ...rule }] of owned) tables[key] = { ...rule, primary, writes: 'open' };
  return { defaultKeyspace: document.defaultKeyspace, keyspaces: document.keyspaces, tables };
}

/** Which side the rules want to be primary: null when none of them names the workflow. A workflow's tables are switched together, so one table that wants another side than it has counts for all. */
export function wantOf(document: RulesDocument, workflow: string, serving: SideName): SideName | null {
  const wants = Object.values(document.tables).flatMap((rule) => (rule.movement?.workflow === workflow ? [rule.movement.want] : []));
  return wants.find((want) => want !== serving) ?? wants[0] ?? null;
}

/** The rules with the wanted side set on all the workflow's tables; null when they say so already. */
export function wantSide(document: RulesDocument, workflow: string, want: SideName): RulesChange | null {
  const owned = Object.entries(document.tables).filter(([, rule]) => rule.movement?.workflow === workflow);
  if (owned.every(([, rule]) => rule.movement?.want === want)) return null;
  const tables = { ...document.tables };
  for (const [key, rule] of owned) if (rule.movement !== undefined) tables[key] = { ...rule, movement: { ...rule.movement, want } };
  return { defaultKeyspace: document.defaultKeyspace, keyspaces: document.keyspaces, tables };
}
