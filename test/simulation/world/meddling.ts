import { type RulesDocument, rulesDocumentSchema } from '../../../core/rules-document.ts';
import type { ConsulState } from '../consul/consul-state.ts';
import type { FaultAction } from './plan.ts';

const key = 'switchyard/sim/rules';

/** What somebody else does to the rules with a Consul client of his own, under a compare-and-set. Returns whether anything was written. */
export function meddleWithRules(state: ConsulState, how: Extract<FaultAction, { kind: 'rules' }>['how']): boolean {
  const item = state.get(key).items[0];
  if (item === undefined) return false;
  if (how === 'delete') return state.write([{ verb: 'delete', key }]).kind === 'written';
  if (how === 'garbage') return state.write([{ verb: 'cas', key, value: Buffer.from('{"version": 0, "tables": []}'), index: item.modifyIndex }]).kind === 'written';
  const parsed = rulesDocumentSchema.safeParse(parse(item.value.toString()));
  if (!parsed.success) return false;
  const changed = change(parsed.data, how);
  return state.write([{ verb: 'cas', key, value: Buffer.from(JSON.stringify(changed)), index: item.modifyIndex }]).kind === 'written';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function change(rules: RulesDocument, how: 'flip' | 'drop' | 'hold' | 'leap'): RulesDocument {
  const next = { ...rules, version: rules.version + (how === 'leap' ? 1_000 : 1), nonce: `meddled-${rules.version}`, changedBy: 'somebody', reason: how };
  const entries = Object.entries(rules.tables);
  switch (how) {
    case 'leap':
      return next;
    case 'drop':
      return { ...next, tables: Object.fromEntries(entries.slice(1)) };
    case 'flip':
      return {
        ...next,
        tables: Object.fromEntries(entries.map(([table, rule]) => [table, { ...rule, primary: rule.primary === 'old' ? 'new' : 'old', attempt: rule.attempt + 50 }])),
      };
    case 'hold':
      return {
        ...next,
        tables: Object.fromEntries(entries.map(([table, rule]) => [table, { ...rule, writes: 'held' as const, hold: { holdMs: 1_000, attempt: rule.attempt + 70 } }])),
      };
  }
}
