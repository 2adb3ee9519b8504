import type { FenceRow } from '../../../core/fence.ts';
import { rulesDocumentSchema } from '../../../core/rules-document.ts';
import { type WorkflowDocument, workflowDocumentSchema } from '../../../core/workflow-document.ts';
import { cellText } from '../../../core/cell.ts';
import type { Engine } from '../store/engine.ts';
import { rowsOf, type WholeRow } from '../store/rows.ts';
import { workflowName } from './operator.ts';
import { tableNames } from './tables.ts';
import type { World } from './world.ts';

/* What must be so in the end, some time after the last fault: asked of the stores and Consul themselves. */

/** Keyspace whose tables are OPEN while the other's are CLOSED; null: not (yet) so. */
export function servingStore(world: World): string | null {
  const states = new Map<string, Set<string>>();
  for (const [name, { engine }] of world.stores) states.set(name, new Set(tableNames.map((table) => (newest(engine, 'fence', table) as FenceRow | undefined)?.state ?? 'none')));
  const are = (name: string, state: string): boolean => states.get(name)?.size === 1 && states.get(name)?.has(state) === true;
  if (are('old', 'OPEN') && are('new', 'CLOSED')) return 'old';
  return are('new', 'OPEN') && are('old', 'CLOSED') ? 'new' : null;
}

/** What is not yet as it should be, null when everything is. */
export function unsettled(world: World): string | null {
  const serving = servingStore(world);
  if (serving === null) return 'no store is OPEN while the other is CLOSED';
  // Without a workflow nobody puts right what somebody does to the rules by hand: the gateways go on by the fence rows.
  const rules = world.isMeddled && hasEnded(world) ? null : rulesProblem(world, serving);
  if (rules !== null) return rules;
  for (const { place, plane, process } of world.gateways) {
    if (!process.isRunning) return `${place} does not run`;
    if (plane.holds.isHeld(workflowName)) return `${place} still holds writes`;
    if (plane.buffer.counts.waiting > 0) return `${plane.buffer.counts.waiting} writes still wait in ${place}`;
  }
  return workflowProblem(world, serving);
}

function rulesProblem(world: World, serving: string): string | null {
  const item = world.consul.state.get('switchyard/sim/rules').items[0];
  if (item === undefined) return 'there are no rules';
  const parsed = rulesDocumentSchema.safeParse(parse(item.value));
  if (!parsed.success) return 'the rules are invalid';
  for (const table of tableNames) {
    const rule = parsed.data.tables[table];
    if (rule === undefined) return `${table} has no rule`;
    if (rule.primary !== serving) return `the rules send ${table} to ${rule.primary}, and ${serving} serves`;
    if (rule.writes === 'held') return `the rules hold ${table}`;
  }
  return null;
}

function workflowOf(world: World): WorkflowDocument | null {
  const item = world.consul.state.get(`switchyard/sim/workflows/${workflowName}`).items[0];
  return item === undefined ? null : workflowDocumentSchema.parse(parse(item.value));
}

const hasEnded = (world: World): boolean => {
  const state = workflowOf(world)?.state;
  return state === 'completed' || state === 'cancelled';
};

function workflowProblem(world: World, serving: string): string | null {
  const document = workflowOf(world);
  if (document === null) return 'the workflow has no document';
  const { state, message, cutovers, request } = document;
  if (request !== undefined) return `somebody waits for the workflow's ${request.kind}: ${message}`;
  if (cutovers.at(-1)?.outcome === 'running') return 'the last cutover has no end';
  const right = serving === 'new' ? ['switched', 'completed'] : ['running', 'cancelled'];
  if (!right.includes(state)) return `the workflow is ${state} (${message}), and ${serving} serves`;
  if (hasEnded(world)) return null;
  const logs = logsProblem(world, serving);
  if (logs !== null) return logs;
  const different = differentRow(world);
  return different === null ? null : `the stores differ: ${different}`;
}

/** The store that serves keeps its log for the other one, and nothing else is kept: whatever nobody follows would grow for ever. */
function logsProblem(world: World, serving: string): string | null {
  for (const [name, { engine }] of world.stores) {
    const wanted = name === serving ? [`${workflowName}.${serving === 'old' ? 'forward' : 'reverse'}`] : [];
    const kept = [...engine.slots.keys()];
    if (kept.join() !== wanted.join()) return `${name} keeps the logs [${kept.join(', ')}] instead of [${wanted.join(', ')}]`;
  }
  return null;
}

/** The first row that is not the same in both stores. */
function differentRow(world: World): string | null {
  const [a, b] = [...world.stores.values()].map(({ engine }) => engine);
  if (a === undefined || b === undefined) return null;
  for (const table of tableNames) {
    for (const key of new Set([...a.keys(rowsOf(table)), ...b.keys(rowsOf(table))])) {
      const [ofA, ofB] = [a, b].map((engine) => text(newest(engine, rowsOf(table), key) as WholeRow | undefined));
      if (ofA !== ofB) return `${table} ${key} is ${ofA} in ${a.name} and ${ofB} in ${b.name}`;
    }
  }
  return null;
}

export const newest = (engine: Engine, relation: Parameters<Engine['read']>[0], key: string): unknown => engine.read(relation, key, engine.lastCommit);

const text = (row: WholeRow | undefined): string => (row === undefined ? 'missing' : row.map(cellText).join(' | '));

function parse(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString());
  } catch {
    return null;
  }
}
