import type { Hold, RulesDocument, TableRule } from '../../core/rules-document.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { RulesChange } from '../../topo/topology.ts';
import type { Departure } from './departure.ts';

/**
 * How far the rules say that a departure has come; they alone say it, and every step is one compare-and-set of all the tables' rules.
 *
 * The source is *serving*. For attempt a it is *holding*: writes wait in every gateway. Then either it is serving again, or *moved*: decided, the target is read, and writes wait until nobody can read the source any more. *Done*: the target takes
 * writes. Every hold has an attempt of its own: rules that are held for one have been held ever since it began.
 */
export type Phase = { readonly kind: 'serving' } | { readonly kind: 'holding' | 'moved' | 'done'; readonly attempt: number } | { readonly kind: 'torn'; readonly message: string };

export function phaseOf(document: RulesDocument, departure: Pick<Departure, 'name' | 'tables' | 'source' | 'target'>): Phase {
  const rules = ownRules(document, departure.name);
  const [first] = rules.values();
  if (first === undefined || rules.size !== departure.tables.length) return torn('not every table of the workflow has a rule that names it');
  const { primary, hold } = first;
  for (const rule of rules.values()) {
    if (rule.primary !== primary || rule.hold?.attempt !== hold?.attempt) return torn('the tables of the workflow have rules of different phases');
    if (rule.movement?.barrier !== true) return torn('a rule does not say that there is a barrier');
  }
  const isSource = primary === departure.source.keyspace;
  if (!isSource && primary !== departure.target.keyspace) return torn(`the rules name "${primary}"`);
  if (hold === undefined) return isSource ? { kind: 'serving' } : { kind: 'done', attempt: first.attempt };
  return { kind: isSource ? 'holding' : 'moved', attempt: hold.attempt };
}

const torn = (message: string): Phase => ({ kind: 'torn', message: `${message}: somebody has changed them by hand; give them back what the history of the rules has of them` });

const ownRules = (document: RulesDocument, workflow: string): ReadonlyMap<string, TableRule> =>
  new Map(Object.entries(document.tables).filter(([, rule]) => rule.movement?.workflow === workflow));

/** serving → holding. FENCE_CONFLICT: they are something else, or the target is not wanted any more. */
export function heldRules(document: RulesDocument, departure: Departure, hold: Hold): RulesChange {
  const phase = phaseOf(document, departure);
  if (phase.kind !== 'serving') throw conflict(phase);
  const rules = ownRules(document, departure.name);
  if ([...rules.values()].some(({ movement }) => movement?.want !== 'target')) throw new SwitchyardError('FENCE_CONFLICT', 'the target is not wanted any more');
  return changed(document, rules, (rule) => ({ ...rule, writes: 'held', hold }));
}

/** holding(attempt) → moved: the decision. FENCE_CONFLICT: somebody else has decided. */
export function movedRules(document: RulesDocument, departure: Departure, attempt: number): RulesChange {
  const phase = phaseOf(document, departure);
  if (phase.kind !== 'holding' || phase.attempt !== attempt) throw conflict(phase);
  return changed(document, ownRules(document, departure.name), (rule) => ({ ...rule, primary: departure.target.keyspace, attempt }));
}

/** holding(attempt) → serving, the other decision; null: it is not holding for that attempt. */
export function servingRules(document: RulesDocument, departure: Departure, attempt: number): RulesChange | null {
  const phase = phaseOf(document, departure);
  return phase.kind === 'holding' && phase.attempt === attempt ? opened(document, departure) : null;
}

/** moved(attempt) → done; null: it is not moved for that attempt. */
export function doneRules(document: RulesDocument, departure: Departure, attempt: number): RulesChange | null {
  const phase = phaseOf(document, departure);
  return phase.kind === 'moved' && phase.attempt === attempt ? opened(document, departure) : null;
}

const opened = (document: RulesDocument, { name }: Departure): RulesChange => changed(document, ownRules(document, name), ({ hold: _, ...rule }) => ({ ...rule, writes: 'open' }));

function changed(document: RulesDocument, rules: ReadonlyMap<string, TableRule>, change: (rule: TableRule) => TableRule): RulesChange {
  const tables = { ...document.tables };
  for (const [key, rule] of rules) tables[key] = change(rule);
  return { defaultKeyspace: document.defaultKeyspace, keyspaces: document.keyspaces, tables };
}

function conflict(phase: Phase): SwitchyardError {
  const found = 'attempt' in phase ? `${phase.kind} for attempt ${phase.attempt}` : phase.kind === 'torn' ? phase.message : phase.kind;
  return new SwitchyardError('FENCE_CONFLICT', `somebody else has gone on meanwhile: the tables are ${found}`);
}
