import type { Hold, RulesDocument, TableRule } from '../../core/rules-document.ts';
import type { RulesChange } from '../../topo/topology.ts';
import type { Move, SideName } from '../move.ts';

/** What the rules of a move's tables should say. */
export interface RulesGoal {
  readonly move: Move;
  readonly primary: SideName;
  /** Attempt of the switch that made it so; null keeps what the rules say. */
  readonly attempt: number | null;
  /**
   * Also rules of the tables that do not name the move, and tables without a rule, are put right. Only while the move owns its tables beyond doubt: not while it is
   * being created or ended, and only where the store has said so after these very rules were read.
   */
  readonly restore: boolean;
}

interface Found {
  readonly key: string;
  readonly rule: TableRule | null;
}

/** The rule of one table of the move under whichever of its names it is kept. Null: another workflow's, or there is none and `restore` is off. */
function findRule(document: RulesDocument, move: Move, table: string, restore: boolean): Found | null {
  const names = [table, `${move.source.keyspace}.${table}`, `${move.target.keyspace}.${table}`];
  const keys = [...names, ...Object.keys(document.tables).filter((key) => document.tables[key]?.names.some((name) => names.includes(name)))];
  const candidates = keys.flatMap((key) => {
    const rule = document.tables[key];
    return rule === undefined ? [] : [{ key, rule }];
  });
  const own = candidates.find(({ rule }) => rule.movement?.workflow === move.name);
  if (own !== undefined) return own;
  if (!restore) return null;
  const keyspaces = [move.source.keyspace, move.target.keyspace];
  const unowned = candidates.find(({ rule }) => rule.movement === undefined && keyspaces.includes(rule.primary));
  if (unowned !== undefined) return unowned;
  const free = names.find((name) => document.tables[name] === undefined);
  return free === undefined ? null : { key: free, rule: null };
}

/** Why the rules are not yet as the goal says, null when they are. */
export function rulesProblem(document: RulesDocument, goal: RulesGoal): string | null {
  const keyspace = goal.move[goal.primary].keyspace;
  for (const table of goal.move.tables) {
    const found = findRule(document, goal.move, table, goal.restore);
    if (found === null) continue;
    const { key, rule } = found;
    if (rule === null) return `"${key}" has no rule`;
    if (rule.primary !== keyspace) return `"${key}" points to "${rule.primary}", not to "${keyspace}"`;
    if (rule.writes === 'held') return `writes of "${key}" are held for attempt ${rule.hold?.attempt ?? 0}`;
    if (rule.movement?.workflow !== goal.move.name) return `"${key}" does not name the workflow`;
  }
  return null;
}

function change(document: RulesDocument, goal: RulesGoal, hold: Hold | null): RulesChange {
  const { move } = goal;
  const tables = { ...document.tables };
  const keyspace = move[goal.primary].keyspace;
  for (const table of move.tables) {
    const found = findRule(document, move, table, goal.restore);
    if (found === null) continue;
    const { hold: _, ...rule } = found.rule ?? { attempt: 0, names: [`${move.source.keyspace}.${table}`, `${move.target.keyspace}.${table}`].filter((name) => name !== found.key) };
    const movement = found.rule?.movement ?? { workflow: move.name, source: move.source.keyspace, target: move.target.keyspace, want: goal.primary };
    const base = { ...rule, primary: keyspace, attempt: goal.attempt ?? rule.attempt, movement };
    tables[found.key] = hold === null ? { ...base, writes: 'open' } : { ...base, writes: 'held', hold };
  }
  return { defaultKeyspace: document.defaultKeyspace, keyspaces: document.keyspaces, tables };
}

/** The rules with writes of all the move's tables open at the goal's primary. Which side is wanted stays as it is. */
export const openRules = (document: RulesDocument, goal: RulesGoal): RulesChange => change(document, goal, null);

/**
 * The rules with writes of the move's tables held at `primary`, null where no rule names the move. Rules that do not are left alone: whoever holds has not asked the store, and the move may have ended while he slept. Nobody
 * could take its name out of the rules again.
 */
export function heldRules(document: RulesDocument, move: Move, primary: SideName, hold: Hold): RulesChange | null {
  const isNamed = move.tables.some((table) => findRule(document, move, table, false) !== null);
  return isNamed ? change(document, { move, primary, attempt: null, restore: false }, hold) : null;
}

/** Highest attempt that the move's tables are held for, null when none is held. */
export function heldAttempt(document: RulesDocument, move: Move): number | null {
  const attempts = Object.values(document.tables).flatMap((rule) => (rule.movement?.workflow === move.name && rule.hold !== undefined ? [rule.hold.attempt] : []));
  return attempts.length === 0 ? null : Math.max(...attempts);
}
